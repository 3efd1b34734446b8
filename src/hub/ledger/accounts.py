"""Accounts and what stands on them; folding, which keeps the read of a hot account cheap."""

from __future__ import annotations

from hub.kernel import exponent
from hub.ledger.errors import explained
from hub.ledger.model import Account, Balance
from hub.runtime import Tx

_BALANCE = """
SELECT code AS account, currency, balance AS posted, pending_debit, pending_credit,
  normal * balance - CASE normal WHEN 1 THEN pending_credit ELSE pending_debit END AS available
FROM ledger.v_balance
"""


async def balance(tx: Tx, account: str, currency: str | None = None) -> Balance:
    """The exact balance of an account now, in ``currency`` or the book's own.

    An account of the chart that nobody posted to yet has a balance of zero.
    """
    money = currency or await tx.value(
        "SELECT currency FROM runtime.tenant WHERE id = %s", tx.tenant
    )
    found = await tx.one(
        Balance,
        _BALANCE + "WHERE tenant_id = %s AND code = %s AND currency = %s",
        tx.tenant, account, money,
    )  # fmt: skip
    return found or Balance(
        account=account, currency=money, posted=0, pending_debit=0, pending_credit=0, available=0
    )


async def accounts(tx: Tx, prefix: str = "") -> list[Account]:
    """The accounts of this book whose code starts with ``prefix``, by code, with balances."""
    return await tx.all(
        Account,
        """SELECT id, code, currency, type, normal, mode, floor, ceiling, version, balance
           FROM ledger.v_balance WHERE tenant_id = %s AND starts_with(code, %s)
           ORDER BY code, currency""",
        tx.tenant, prefix,
    )  # fmt: skip


async def set_limits(
    tx: Tx, account: str, currency: str, *, floor: int | None = None, ceiling: int | None = None
) -> None:
    """Bound what is available on a sync account; ``None`` lifts a bound.

    Bounds are in the account's own sense: a receivable's ceiling is a credit limit. Raises
    ``LimitReached`` when it is passed already.
    """
    exponent(currency)
    with explained(account):
        await tx.run("SELECT ledger.set_limits(%s, %s, %s, %s)", account, currency, floor, ceiling)


async def fold(tx: Tx) -> int:
    """Add what is final into the folded accounts of this book; returns how many legs.

    Safe beside any number of postings, changes no balance, only the cost of reading one.
    """
    return int(await tx.value("SELECT ledger.fold()"))


async def fold_everywhere(tx: Tx) -> int:
    """``fold`` for every book; for a system transaction, run every few seconds."""
    return int(await tx.value("SELECT ledger.fold_all()"))
