"""Sessions of the charging room as OCPI shows them: one, or a page of one partner's."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from hub.charging import pricing_periods
from hub.kernel import round_half_up
from hub.ocpi import objects
from hub.ocpi.paging import Page
from hub.parties import Party, our_party
from hub.runtime import Tx
from hub.settlement.model import CdrToken
from hub.tariffs.model import Period

UNKNOWN: Final = "#NA"
"""What stands where a required value cannot exist (T-B15): a session without a known EVSE."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``charging.v_session``, as far as a partner sees it."""

    id: UUID
    evse_uid: str | None
    connector_id: str | None
    location_id: str | None
    token_uid: str | None
    token_type: str | None
    contract_id: str | None
    token_country_code: str | None
    token_party_id: str | None
    auth_method: str | None
    authorization_reference: str | None
    state: str
    started_at: datetime
    ended_at: datetime | None
    energy_wh: Decimal
    tariff_id: str | None
    currency: str
    price_excl: Decimal | None
    price_incl: Decimal | None
    last_updated: datetime


_COLUMNS: Final = ", ".join(Row.__struct_fields__)
_WHERE: Final = """partner_id = %s AND (%s::timestamptz IS NULL OR last_updated >= %s)
  AND (%s::timestamptz IS NULL OR last_updated < %s)"""


async def session_of_partner(tx: Tx, partner_id: UUID, session_id: UUID) -> objects.Session | None:
    """One session of a partner's driver, or ``None``."""
    row = await tx.one(
        Row,
        f"SELECT {_COLUMNS} FROM charging.v_session WHERE id = %s AND partner_id = %s",
        session_id, partner_id,
    )  # fmt: skip
    return None if row is None else await _session(tx, row, await our_party(tx))


async def page_of_sessions(
    tx: Tx, partner_id: UUID, page: Page
) -> tuple[list[objects.Session], bool, int]:
    """A page of a partner's sessions, oldest first; whether more follow; how many in all."""
    filters = (partner_id, page.date_from, page.date_from, page.date_to, page.date_to)
    after = UUID(page.after) if page.after else None
    rows = await tx.all(
        Row,
        f"""SELECT {_COLUMNS} FROM charging.v_session
            WHERE {_WHERE} AND (%s::uuid IS NULL OR id > %s) ORDER BY id LIMIT %s OFFSET %s""",
        *filters, after, after, page.limit + 1, 0 if after else page.offset,
    )  # fmt: skip
    total = await tx.value(f"SELECT count(*) FROM charging.v_session WHERE {_WHERE}", *filters)
    ours = await our_party(tx)
    found = [await _session(tx, row, ours) for row in rows[: page.limit]]
    return found, len(rows) > page.limit, int(total)


async def _session(tx: Tx, row: Row, ours: Party) -> objects.Session:
    periods = await pricing_periods(tx, row.id)
    cost = None
    if row.price_excl is not None:
        cost = objects.Price(row.price_excl, row.price_incl)
    return objects.Session(
        country_code=ours.country_code,
        party_id=ours.party_id,
        id=str(row.id),
        start=row.started_at,
        end=row.ended_at,
        kwh=kwh(row.energy_wh),
        token=CdrToken(
            country_code=row.token_country_code or "",
            party_id=row.token_party_id or "",
            uid=row.token_uid or "",
            type=row.token_type or "OTHER",
            contract_id=row.contract_id or "",
        ),
        auth_method=row.auth_method or "WHITELIST",
        authorization_reference=row.authorization_reference,
        location_id=row.location_id or UNKNOWN,
        evse_uid=row.evse_uid or UNKNOWN,
        connector_id=row.connector_id or UNKNOWN,
        currency=row.currency,
        periods=tuple(charging_period(period, row.tariff_id) for period in joined(periods)),
        total_cost=cost,
        status=row.state,
        last_updated=row.last_updated,
    )


def joined(periods: list[Period]) -> list[Period]:
    """Neighbours of one kind as one period: partners need only what the price depends on (SE-6)."""
    found: list[Period] = []
    for period in periods:
        last = found[-1] if found else None
        if last is not None and (last.kind, last.end) == (period.kind, period.start):
            found[-1] = Period(
                last.start, period.end, last.energy_wh + period.energy_wh, period.kind
            )
        else:
            found.append(period)
    return found


def kwh(energy_wh: Decimal) -> Decimal:
    """Wh as kWh, exactly; OCPI numbers have four decimals by default, energy needs more."""
    return (energy_wh / 1000).normalize() + 0


def hours(span: timedelta) -> Decimal:
    """A duration in hours, to four decimals (T-C5)."""
    seconds = Decimal(span // timedelta(microseconds=1)).scaleb(-6)
    return round_half_up(seconds / 3600, 4)


def charging_period(period: Period, tariff_id: str | None) -> objects.ChargingPeriod:
    """A priced period as OCPI's charging period: energy in kWh, time in hours (SE-6)."""
    kinds = {"CHARGING": "TIME", "PARKING": "PARKING_TIME"}
    dimensions = [(kinds.get(period.kind, "RESERVATION_TIME"), hours(period.end - period.start))]
    if period.energy_wh:
        dimensions.insert(0, ("ENERGY", kwh(period.energy_wh)))
    return objects.ChargingPeriod(period.start, tuple(dimensions), tariff_id)
