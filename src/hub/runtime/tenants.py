"""Tenants: each a legal entity and a book of its own."""

from __future__ import annotations

from uuid import UUID

from hub.kernel import exponent, new_id
from hub.runtime.db import Tx


async def open_tenant(tx: Tx, name: str, currency: str, *, scratch: bool = False) -> UUID:
    """A new tenant whose book is kept in ``currency``; for a system transaction.

    ``scratch`` marks one for trying things out. Raises ``InvalidValue`` for a malformed currency.
    """
    exponent(currency)
    tenant = new_id()
    await tx.run(
        "INSERT INTO runtime.tenant (id, name, currency, scratch) VALUES (%s, %s, %s, %s)",
        tenant, name, currency, scratch,
    )  # fmt: skip
    return tenant
