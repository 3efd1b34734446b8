"""A priced session as a CDR: pure, so that a replay and a live session make the same record."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from uuid import UUID

import msgspec

from hub.kernel import new_id
from hub.settlement.model import Cdr, CdrDimension, CdrLocation, CdrPeriod, CdrToken, Price
from hub.tariffs import Cost, Priced, Tariff

_PLACES: Final = Decimal("0.0001")  # OCPI numbers carry four decimals
_WH: Final = Decimal("0.001")


class Billable(msgspec.Struct, frozen=True, kw_only=True):
    """What a session brings to its CDR besides its price."""

    session_id: str
    country_code: str
    party_id: str
    start: datetime
    end: datetime
    token: CdrToken
    location: CdrLocation
    auth_method: str
    authorization_reference: str | None = None
    partner_id: UUID | None = None
    estimated: bool = False
    meter_id: str | None = None


def cdr_of(billable: Billable, tariff: Tariff, priced: Priced, now: datetime) -> Cdr:
    """The CDR of a session under the tariff that governed it (CD-5 to CD-7)."""
    return Cdr(
        id=str(new_id()),
        country_code=billable.country_code,
        party_id=billable.party_id,
        start_date_time=billable.start,
        end_date_time=billable.end,
        session_id=billable.session_id,
        cdr_token=billable.token,
        auth_method=billable.auth_method,
        authorization_reference=billable.authorization_reference,
        cdr_location=billable.location,
        meter_id=billable.meter_id,
        currency=priced.currency,
        tariffs=(tariff,),
        charging_periods=_periods(priced, billable),
        total_cost=Price(priced.total_excl.amount, priced.total_incl.amount),
        total_fixed_cost=_price(priced.fixed),
        total_energy=priced.energy_wh * _WH,
        total_energy_cost=_price(priced.energy),
        total_time=_hours(priced.time_s),
        total_time_cost=_price(priced.time),
        total_parking_time=_hours(priced.parking_s),
        total_parking_cost=_price(priced.parking),
        total_reservation_cost=_price(priced.reservation),
        last_updated=now,
        partner_id=billable.partner_id,
        tax_lines=priced.tax_lines,
        policy=priced.policy,
        estimated=billable.estimated,
    )


def credit_of(original: Cdr, reason: str, now: datetime) -> Cdr:
    """The credit CDR: all data of the original, only ``total_cost`` negated (CD-2)."""
    return msgspec.structs.replace(
        original,
        id=str(new_id()),
        credit=True,
        credit_reference_id=original.id,
        total_cost=-original.total_cost,
        remark=reason[:255],
        last_updated=now,
    )


def _periods(priced: Priced, billable: Billable) -> tuple[CdrPeriod, ...]:
    made = tuple(
        CdrPeriod(
            period.start,
            tuple(CdrDimension(d.type, d.volume) for d in period.dimensions),
            period.tariff_id,
        )
        for period in priced.charging_periods
    )
    # CD-6: at least one, also for a session in which nothing happened.
    none = CdrPeriod(billable.start, (CdrDimension("TIME", Decimal(0)),), priced.tariff_id)
    return made or (none,)


def _price(cost: Cost) -> Price:
    return Price(_four(cost.excl), _four(cost.incl))


def _hours(seconds: Decimal) -> Decimal:
    return _four(seconds / 3600)


def _four(amount: Decimal) -> Decimal:
    return amount.quantize(_PLACES, rounding=ROUND_HALF_UP)
