"""Values of the journal: what is asked to be posted, and what stands in the book.

Every amount is a whole number of the currency's minor units (cents), debit positive.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

Phase = Literal["post", "pending", "void", "expire"]


class Leg(msgspec.Struct, frozen=True):
    """One side of an entry: an account code of the chart and a signed amount, never zero."""

    account: str
    amount: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What to post. ``idem`` names it in its book for ever: the same key posts once.

    ``effective_at`` is when it happened (meter time); when it was recorded is ours to note.
    """

    idem: str
    kind: str
    currency: str
    legs: tuple[Leg, ...]
    effective_at: datetime
    ref_type: str
    ref_id: str
    memo: str = ""


class Posted(msgspec.Struct, frozen=True):
    """The transaction that stands under an entry's key; ``created`` is false on a repeat."""

    id: UUID
    created: bool


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """An account's sums.

    ``posted`` is debit positive; ``available`` is in the account's own sense (a wallet's credit
    counts positive) less what is pending out of it.
    """

    account: str
    currency: str
    posted: int
    pending_debit: int
    pending_credit: int
    available: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as opened from the chart.

    ``type``: Asset, Liability, Expense, Revenue, X (residue), Memo. ``normal`` is 1 for a debit
    account, -1 for a credit one. ``mode`` s keeps its balance on each posting, f folds later.
    """

    id: int
    code: str
    currency: str
    type: Literal["A", "L", "E", "R", "X", "M"]
    normal: Literal[1, -1]
    mode: Literal["s", "f"]
    floor: int | None
    ceiling: int | None
    version: int
    balance: int


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as it stands in the book, with its legs in order."""

    id: UUID
    idem: str
    kind: str
    phase: Phase
    currency: str
    resolves_txn_id: UUID | None
    reverses_txn_id: UUID | None
    effective_at: datetime
    recorded_at: datetime
    period: date
    ref_type: str
    ref_id: str
    event_ref: str | None
    memo: str
    expires_at: datetime | None
    legs: tuple[Leg, ...] = ()


class Proof(msgspec.Struct, frozen=True):
    """One thing that was checked, whether it holds, and the first rows that break it."""

    name: str
    ok: bool
    detail: str
