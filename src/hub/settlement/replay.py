"""Past sessions run through tariff, CDRs, ledger and statement in a scratch tenant of their own.

Nobody is told: the CDRs of a replay raise no events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec

from hub.ledger import fold, verify
from hub.runtime import Database, Tx
from hub.runtime.tenants import open_tenant
from hub.settlement.building import Billable, cdr_of
from hub.settlement.cdrs import store_cdrs
from hub.settlement.model import Cdr, CdrLocation, CdrToken, Statement
from hub.settlement.past import PastSession, PastSessions, Refused
from hub.settlement.proofs import prove
from hub.settlement.statements import close_statement
from hub.tariffs import Period, Priced, Tariff, price, save_tariff, tariff_of_ocpi

__all__ = ["DEFAULT_TARIFF", "Refused", "ReplayReport", "replay_sessions"]

DEFAULT_TARIFF: Final = tariff_of_ocpi(b"""
{"country_code": "NL", "party_id": "HUB", "id": "replay-default", "currency": "EUR",
 "type": "REGULAR",
 "tariff_alt_text": [{"language": "en", "text": "0.35 EUR/kWh and 0.50 EUR/h, plus 21 % VAT"}],
 "elements": [{"price_components": [
   {"type": "ENERGY", "price": 0.35, "vat": 21, "step_size": 1},
   {"type": "TIME", "price": 0.50, "vat": 21, "step_size": 60}]}],
 "last_updated": "2026-01-01T00:00:00Z"}
""")
"""Used when no tariff is given: energy and time, each plus VAT."""

_BATCH = 200
Progress = Callable[[int, int], None]


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did. Totals are those of the statement, in ``currency``.

    ``ledger_balanced``: every proof of the ledger and of settlement held; ``broken`` names those
    that did not. ``mended`` counts the rows in which something was read as what it must mean.
    """

    tenant: UUID
    statement_id: UUID
    sessions: int
    refused: tuple[Refused, ...]
    mended: dict[str, int]
    currency: str
    energy_kwh: Decimal
    total_excl_vat: Decimal
    total_incl_vat: Decimal
    ledger_balanced: bool
    broken: tuple[str, ...] = ()


async def replay_sessions(
    database: Database,
    lines: Iterable[str],
    *,
    tariff: Tariff | None = None,
    progress: Progress | None = None,
    time_zone: str = "UTC",
) -> ReplayReport:
    """Bill the past sessions of a CSV (see ``past``) and report what came of them.

    Rows that cannot be read are refused by line and reason, and the rest goes on; ``progress``
    is called with (sessions billed, rows refused) after each batch. ``time_zone`` is the
    stations', for tariffs with times of day. Raises ``NotSessions`` for an unknown header.
    """
    governing = tariff or DEFAULT_TARIFF
    past = PastSessions(lines)
    tenant, start = await _scratch_tenant(database, governing)
    rows = iter(past)
    done = 0
    while batch := list(islice(rows, _BATCH)):
        async with database.tx(tenant, actor="replay") as tx:
            await store_cdrs(tx, [_billed(past, governing, time_zone, tx) for past in batch])
        done += len(batch)
        if progress:
            progress(done, len(past.refused))
    async with database.tx(tenant, actor="replay") as tx:
        closed = await close_statement(tx, None, start, tx.now + timedelta(seconds=1))
        await fold(tx)
        broken = [p.name for p in [*await verify(tx), *await prove(tx)] if not p.ok]
    return _report(tenant, closed, past, governing, tuple(broken))


async def _scratch_tenant(database: Database, tariff: Tariff) -> tuple[UUID, datetime]:
    async with database.system_tx(actor="replay") as tx:
        name = f"replay {tx.now:%Y-%m-%d %H:%M}"
        tenant = await open_tenant(tx, name, tariff.currency, scratch=True)
    async with database.tx(tenant, actor="replay") as tx:
        await save_tariff(tx, tariff, default=True)
        return tenant, tx.now


def _billed(past: PastSession, tariff: Tariff, time_zone: str, tx: Tx) -> tuple[Cdr, Priced]:
    energy = past.energy_kwh * 1000
    priced = price(tariff, [Period(past.start, past.end, energy)], time_zone=time_zone)
    country, party = tariff.country_code or "NL", tariff.party_id or "HUB"
    billable = Billable(
        session_id=past.id,
        country_code=country,
        party_id=party,
        start=past.start,
        end=past.end,
        token=CdrToken(
            country_code=country, party_id=party, uid=past.driver[:36], type="OTHER",
            contract_id=past.driver[:36],
        ),
        location=CdrLocation(
            id=past.station[:36], evse_uid=past.station[:36], evse_id=past.station[:48],
            connector_id="1",
        ),
        auth_method="WHITELIST",
    )  # fmt: skip
    return cdr_of(billable, tariff, priced, tx.now), priced


def _report(
    tenant: UUID, closed: Statement, past: PastSessions, tariff: Tariff, broken: tuple[str, ...]
) -> ReplayReport:
    total = closed.totals[0] if closed.totals else None
    return ReplayReport(
        tenant=tenant,
        statement_id=closed.id,
        sessions=total.cdrs if total else 0,
        refused=tuple(past.refused),
        mended=dict(past.mended),
        currency=tariff.currency,
        energy_kwh=total.energy_kwh if total else Decimal(0),
        total_excl_vat=total.excl_vat if total else Decimal(0),
        total_incl_vat=total.incl_vat if total else Decimal(0),
        ledger_balanced=not broken,
        broken=broken,
    )
