"""Reading the journal: one transaction, or pages of them, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from hub.kernel import NotFound
from hub.ledger.model import Leg, Transaction
from hub.runtime import Tx

_COLUMNS = (
    "id, idem, kind, phase, currency, resolves_txn_id, reverses_txn_id, effective_at, "
    "recorded_at, period, ref_type, ref_id, event_ref, memo, expires_at"
)


async def transaction(tx: Tx, txn_id: UUID) -> Transaction:
    """The transaction ``txn_id`` of this book with its legs; raises ``NotFound``."""
    found = await tx.one(
        Transaction,
        f"SELECT {_COLUMNS} FROM ledger.v_txn WHERE tenant_id = %s AND id = %s",
        tx.tenant, txn_id,
    )  # fmt: skip
    if found is None:
        raise NotFound("ledger transaction", str(txn_id))
    return (await _with_legs(tx, [found]))[0]


async def transactions(
    tx: Tx, after: UUID | None = None, limit: int = 50, *, account: str | None = None
) -> list[Transaction]:
    """A page of this book's transactions, newest first, older than ``after``.

    ``account`` keeps those with a leg on that account code.
    """
    page = await tx.all(
        Transaction,
        f"""SELECT {_COLUMNS} FROM ledger.v_txn t
            WHERE tenant_id = %s AND (%s::uuid IS NULL OR id < %s)
              AND (%s::text IS NULL OR EXISTS (
                SELECT FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id
                WHERE l.tenant_id = t.tenant_id AND l.txn_id = t.id AND a.code = %s))
            ORDER BY id DESC LIMIT %s""",
        tx.tenant, after, after, account, account, limit,
    )  # fmt: skip
    return await _with_legs(tx, page)


async def _with_legs(tx: Tx, page: Sequence[Transaction]) -> list[Transaction]:
    rows = await tx.rows(
        """SELECT l.txn_id, a.code, l.amount
           FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id
           WHERE l.tenant_id = %s AND l.txn_id = ANY(%s) ORDER BY l.txn_id, l.seq""",
        tx.tenant, [t.id for t in page],
    )  # fmt: skip
    legs: dict[UUID, list[Leg]] = {}
    for txn_id, code, amount in rows:
        legs.setdefault(txn_id, []).append(Leg(code, amount))
    return [msgspec.structs.replace(t, legs=tuple(legs.get(t.id, ()))) for t in page]
