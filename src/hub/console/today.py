"""What the console reads beyond the API: how today is, in six numbers, and the newest CDRs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from hub.charging import exceptions
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


class CdrRow(msgspec.Struct, frozen=True, kw_only=True):
    """A CDR as the view ``settlement.v_cdr`` shows it."""

    id: UUID
    session_id: str
    partner_id: UUID | None
    currency: str
    ended_at: datetime
    energy_wh: Decimal
    total_excl: Decimal
    total_incl: Decimal
    credit: bool
    issued_at: datetime
    statement_id: UUID | None


async def newest_cdrs(tx: Tx, *, before: UUID | None = None, limit: int = 50) -> list[CdrRow]:
    """A page of the tenant's CDRs, newest first, older than ``before``."""
    return await tx.all(
        CdrRow,
        f"""SELECT {", ".join(CdrRow.__struct_fields__)} FROM settlement.v_cdr
            WHERE %s::uuid IS NULL OR id < %s ORDER BY id DESC LIMIT %s""",
        before, before, limit,
    )  # fmt: skip


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
             coalesce(sum(energy_wh) FILTER (WHERE started_at >= %s), 0)
           FROM charging.v_session
           WHERE state <> 'INVALID' AND (state = 'ACTIVE' OR started_at >= %s)""",
        midnight, midnight,
    )  # fmt: skip
    running, energy_wh = row or (0, Decimal(0))
    revenue = await tx.value(
        """SELECT coalesce(sum(CASE WHEN credit THEN -abs(total_incl) ELSE total_incl END), 0)
           FROM settlement.v_cdr WHERE issued_at >= %s AND currency = %s""",
        midnight, currency,
    )  # fmt: skip
    return Today(
        stations=sum(one.state == "approved" for one in known),
        online=sum(one.online and one.state == "approved" for one in known),
        pending=sum(one.state == "pending" for one in known),
        running=running, energy_wh=energy_wh, revenue=revenue, currency=str(currency),
        balanced=balanced(await accounts(tx)),
        failed=len(await dead_jobs(tx, 500)) + len(await exceptions(tx, limit=500)),
    )  # fmt: skip
