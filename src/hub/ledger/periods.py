"""Accounting periods: calendar months in UTC that are open, softly closed or closed.

A late effect of a closed month is posted into the first open one; its effective date stays.
An entry of kind ``adjustment`` may still enter a softly closed month.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from hub.runtime import Tx


async def close_period(tx: Tx, month: date, *, soft: bool = False) -> None:
    """Close this book's months up to and including ``month``; never reopens one."""
    await tx.run("SELECT ledger.close_through(%s, %s)", month.replace(day=1), not soft)


async def period_state(tx: Tx, month: date) -> Literal["open", "soft", "closed"]:
    """Whether postings may still enter ``month`` of this book."""
    row = await tx.row(
        "SELECT closed_through, soft_through FROM ledger.closing WHERE tenant_id = %s", tx.tenant
    )
    closed, soft = row or (None, None)
    first = month.replace(day=1)
    if closed and first <= closed:
        return "closed"
    return "soft" if soft and first <= soft else "open"
