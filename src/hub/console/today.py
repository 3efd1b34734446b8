"""What the overview shows: how today is, in six numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from hub.ledger import Account, accounts
from hub.runtime import Tx
from hub.runtime.jobs import dead_jobs
from hub.stations import stations

_MOST = 100_000


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """The day so far, in UTC."""

    stations: int
    online: int
    pending: int
    running: int
    energy_wh: Decimal
    revenue: Decimal
    currency: str
    balanced: bool
    failed: int


def balanced(found: Sequence[Account]) -> bool:
    """Whether debits equal credits over all accounts, per currency."""
    sums: defaultdict[str, int] = defaultdict(int)
    for account in found:
        sums[account.currency] += account.balance
    return not any(sums.values())


async def today(tx: Tx) -> Today:
    """The numbers of the day that ``tx.now`` lies in."""
    midnight = tx.now.replace(hour=0, minute=0, second=0, microsecond=0)
    known = await stations(tx, limit=_MOST)
    currency = await tx.value("SELECT currency FROM runtime.tenant WHERE id = %s", tx.tenant)
    row = await tx.row(
        """SELECT count(*) FILTER (WHERE state = 'ACTIVE'),
             coalesce(sum(energy_wh) FILTER (WHERE started_at >= %s), 0),
             coalesce(sum(price_incl) FILTER (WHERE ended_at >= %s AND currency = %s), 0)
           FROM charging.v_session
           WHERE state <> 'INVALID' AND (state = 'ACTIVE' OR started_at >= %s OR ended_at >= %s)""",
        midnight, midnight, currency, midnight, midnight,
    )  # fmt: skip
    running, energy_wh, revenue = row or (0, Decimal(0), Decimal(0))
    return Today(
        stations=sum(one.state == "approved" for one in known),
        online=sum(one.online and one.state == "approved" for one in known),
        pending=sum(one.state == "pending" for one in known),
        running=running, energy_wh=energy_wh, revenue=revenue, currency=str(currency),
        balanced=balanced(await accounts(tx)),
        failed=len(await dead_jobs(tx, 500)),
    )  # fmt: skip
