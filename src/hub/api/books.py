"""The books: accounts, transactions and the proofs that they are in order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.kernel import Money
from hub.ledger import Account, Proof, Transaction, accounts, transaction, transactions, verify

Prefix = Annotated[
    str, QueryParameter(name="prefix", description="Only accounts whose code begins like this.")
]
OfAccount = Annotated[
    str | None, QueryParameter(name="account", description="Only entries on this account code.")
]

_TYPES = {
    "A": "asset", "L": "liability", "E": "expense", "R": "revenue", "X": "residue", "M": "memo",
}  # fmt: skip


class AccountShape(msgspec.Struct, frozen=True, kw_only=True):
    """An account. ``balance`` is debit positive: all balances of a currency sum to zero."""

    account: str
    currency: str
    type: str
    balance: Decimal

    @classmethod
    def of(cls, one: Account) -> AccountShape:
        """The shape of a stored account."""
        return cls(
            account=one.code, currency=one.currency, type=_TYPES[one.type],
            balance=Money.of_minor(one.balance, one.currency).amount,
        )  # fmt: skip


class LegShape(msgspec.Struct, frozen=True):
    """One side of an entry; debit positive."""

    account: str
    amount: Decimal


class TransactionShape(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable entry whose legs sum to zero."""

    id: str
    kind: str
    phase: str
    currency: str
    legs: list[LegShape]
    effective_at: datetime
    recorded_at: datetime
    ref_type: str
    ref_id: str
    memo: str
    reverses: str | None
    resolves: str | None

    @classmethod
    def of(cls, one: Transaction) -> TransactionShape:
        """The shape of a stored transaction."""
        legs = [
            LegShape(leg.account, Money.of_minor(leg.amount, one.currency).amount)
            for leg in one.legs
        ]
        return cls(
            id=str(one.id), kind=one.kind, phase=one.phase, currency=one.currency, legs=legs,
            effective_at=one.effective_at, recorded_at=one.recorded_at, ref_type=one.ref_type,
            ref_id=one.ref_id, memo=one.memo, reverses=_text(one.reverses_txn_id),
            resolves=_text(one.resolves_txn_id),
        )  # fmt: skip


def _text(found: UUID | None) -> str | None:
    return None if found is None else str(found)


class Verified(msgspec.Struct, frozen=True):
    """Every proof, and whether all hold."""

    ok: bool
    proofs: list[Proof]


@get(
    "/ledger/accounts", tags=["finance"], operation_id="list_accounts", responses=answers(),
    guards=[needs("finance:read")],
)  # fmt: skip
async def list_accounts(tx: Work, prefix: Prefix = "") -> Page[AccountShape]:
    """The accounts of this book with their balances, by code."""
    return Page([AccountShape.of(one) for one in await accounts(tx, prefix)], None)


@get(
    "/ledger/transactions", tags=["finance"], operation_id="list_transactions",
    responses=answers(), guards=[needs("finance:read")],
)  # fmt: skip
async def list_transactions(
    tx: Work, account: OfAccount = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[TransactionShape]:
    """The entries of this book, newest first."""
    key = key_of(cursor, tuple[UUID])
    rows = await transactions(tx, key[0] if key else None, limit + 1, account=account)
    return page_of(rows, limit, lambda row: (row.id,), TransactionShape.of)


@get(
    "/ledger/transactions/{transaction_id:str}", tags=["finance"],
    operation_id="get_transaction", responses=answers(404), guards=[needs("finance:read")],
)  # fmt: skip
async def get_transaction(tx: Work, transaction_id: FromPath[str]) -> TransactionShape:
    """One entry with its legs."""
    return TransactionShape.of(await transaction(tx, uuid_of(transaction_id, "ledger transaction")))


@get(
    "/ledger/verify", tags=["finance"], operation_id="verify_ledger", responses=answers(),
    guards=[needs("finance:read")],
)  # fmt: skip
async def verify_ledger(tx: Work) -> Verified:
    """Run every proof over this book; reads all of it, so it takes its time."""
    proofs = await verify(tx)
    return Verified(all(one.ok for one in proofs), proofs)
