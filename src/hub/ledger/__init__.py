"""Double-entry journal: accounts, balanced immutable entries, balances, proofs.

A book is a tenant. Amounts are whole minor units, debit positive. Knows nothing of charging.
"""

from hub.ledger.accounts import accounts, balance, fold, fold_everywhere, set_limits
from hub.ledger.errors import (
    AlreadyResolved,
    AlreadyReversed,
    BeyondPending,
    IdempotencyMismatch,
    LimitReached,
    NotReversible,
    Unbalanced,
    UnknownAccount,
)
from hub.ledger.journal import (
    expire_due,
    post,
    post_across,
    post_many,
    reserve,
    resolve,
    reverse,
    void,
)
from hub.ledger.model import Account, Balance, Entry, Leg, Posted, Proof, Transaction
from hub.ledger.periods import close_period, period_state
from hub.ledger.proofs import verify
from hub.ledger.reading import transaction, transactions

__all__ = [
    "Account",
    "AlreadyResolved",
    "AlreadyReversed",
    "Balance",
    "BeyondPending",
    "Entry",
    "IdempotencyMismatch",
    "Leg",
    "LimitReached",
    "NotReversible",
    "Posted",
    "Proof",
    "Transaction",
    "Unbalanced",
    "UnknownAccount",
    "accounts",
    "balance",
    "close_period",
    "expire_due",
    "fold",
    "fold_everywhere",
    "period_state",
    "post",
    "post_across",
    "post_many",
    "reserve",
    "resolve",
    "reverse",
    "set_limits",
    "transaction",
    "transactions",
    "verify",
    "void",
]
