"""What the journal refuses, and how to go on.

Raised inside a transaction that Postgres has already given up, unless said otherwise: roll back
(or return to a savepoint) and act on the field.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from hub.kernel import HubError
from hub.runtime import refusals
from hub.runtime.refusals import Refusal


class LedgerError(HubError):
    """Something about one entry that the journal does not accept; ``subject`` names it."""

    code = "ledger_refused"
    status = 409

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.subject = subject


class Unbalanced(LedgerError):
    """Legs that do not sum to zero, or fewer than two, or one of zero. No transaction is lost."""

    code = "unbalanced"
    status = 400

    def __str__(self) -> str:
        return f"the entry does not balance: {self.subject}"


class IdempotencyMismatch(LedgerError):
    """The key was used before for an entry with another content."""

    code = "idempotency_mismatch"

    def __str__(self) -> str:
        return f"key {self.subject!r} was used for another entry; choose a key of its own"


class UnknownAccount(LedgerError):
    """No rule of the chart of accounts matches the code."""

    code = "unknown_account"
    status = 400

    def __str__(self) -> str:
        return f"the chart of accounts has no place for {self.subject!r}"


class AlreadyResolved(LedgerError):
    """The pending transaction was posted, voided or expired before, or never was pending."""

    code = "already_resolved"

    def __str__(self) -> str:
        return f"no open pending transaction {self.subject}; read it to see how it ended"


class BeyondPending(LedgerError):
    """The resolving legs exceed the pending ones, or touch other accounts."""

    code = "beyond_pending"
    status = 400

    def __str__(self) -> str:
        return f"more than was reserved by {self.subject}; post the excess as an entry of its own"


class AlreadyReversed(LedgerError):
    """The transaction has its reversal already, under another key."""

    code = "already_reversed"

    def __str__(self) -> str:
        return f"{self.subject} is reversed already"


class NotReversible(LedgerError):
    """Only a posted transaction that is not itself a reversal can be reversed."""

    code = "not_reversible"

    def __str__(self) -> str:
        return f"{self.subject} is no posting that can be reversed"


class LimitReached(LedgerError):
    """An account would fall below its floor or pass its ceiling, pending amounts included."""

    code = "limit_reached"

    def __str__(self) -> str:
        return f"not enough available on {self.subject}"


class AppendOnly(LedgerError):
    """Somebody tried to change or delete what was posted."""

    code = "append_only"

    def __str__(self) -> str:
        return f"posted entries are never changed ({self.subject}); post a reversal"


_BY_STATE: Final[dict[str, Callable[[str], LedgerError]]] = {
    "HL001": IdempotencyMismatch,
    "HL002": Unbalanced,
    "HL003": UnknownAccount,
    "HL004": AlreadyResolved,
    "HL005": BeyondPending,
    "HL006": AppendOnly,
}
_BY_CONSTRAINT: Final[dict[str, Callable[[str], LedgerError]]] = {
    "txn_resolved_once": AlreadyResolved,
    "txn_reversed_once": AlreadyReversed,
    "account_floor": LimitReached,
    "account_ceiling": LimitReached,
}


def explained(subject: str) -> AbstractContextManager[None]:
    """Turn what Postgres refuses into this room's errors; ``subject`` where it names nothing."""

    def explain(refusal: Refusal) -> LedgerError | None:
        if found := _BY_CONSTRAINT.get(refusal.constraint):
            return found(subject)
        known = _BY_STATE.get(refusal.sqlstate)
        return known(refusal.detail or subject) if known else None

    return refusals.explained(explain)
