"""CDRs and statements as values. Field names are OCPI's; energies kWh, times hours."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from hub.tariffs import Tariff, TaxLine

DimensionType = Literal["ENERGY", "TIME", "PARKING_TIME", "RESERVATION_TIME"]


class Price(msgspec.Struct, frozen=True):
    """An amount without and with VAT, in the currency of its CDR."""

    excl_vat: Decimal
    incl_vat: Decimal

    def __neg__(self) -> Price:
        return Price(-self.excl_vat, -self.incl_vat)


class CdrDimension(msgspec.Struct, frozen=True):
    """A volume of a period: kWh for ENERGY, hours for times."""

    type: DimensionType
    volume: Decimal


class CdrPeriod(msgspec.Struct, frozen=True):
    """A charging period: until the next one begins, the price did not change (OCPI CDR)."""

    start_date_time: datetime
    dimensions: tuple[CdrDimension, ...]
    tariff_id: str


class CdrToken(msgspec.Struct, frozen=True, kw_only=True):
    """The token as it was when the session began (CD-5, CD-14)."""

    country_code: str
    party_id: str
    uid: str
    type: str
    contract_id: str


class CdrLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Where it happened, copied so that later changes of the location leave it be."""

    id: str
    name: str | None = None
    address: str = ""
    city: str = ""
    postal_code: str | None = None
    state: str | None = None
    country: str = ""
    latitude: Decimal = Decimal(0)
    longitude: Decimal = Decimal(0)
    evse_uid: str
    evse_id: str
    connector_id: str
    connector_standard: str = ""
    connector_format: str = ""
    connector_power_type: str = ""


class Cdr(msgspec.Struct, frozen=True, kw_only=True):
    """A charge detail record of ours, immutable (OCPI 2.2.1 mod_cdrs, CD-2).

    ``partner_id``, ``tax_lines``, ``policy`` and ``estimated`` are the hub's own: whom it goes
    to, the rounded tax per rate, how it was rounded, and whether the energy is an estimate.
    """

    id: str
    country_code: str
    party_id: str
    start_date_time: datetime
    end_date_time: datetime
    session_id: str
    cdr_token: CdrToken
    auth_method: str
    authorization_reference: str | None = None
    cdr_location: CdrLocation
    meter_id: str | None = None
    currency: str
    tariffs: tuple[Tariff, ...]
    charging_periods: tuple[CdrPeriod, ...]
    total_cost: Price
    total_fixed_cost: Price
    total_energy: Decimal
    total_energy_cost: Price
    total_time: Decimal
    total_time_cost: Price
    total_parking_time: Decimal
    total_parking_cost: Price
    total_reservation_cost: Price
    remark: str | None = None
    credit: bool = False
    credit_reference_id: str | None = None
    last_updated: datetime
    partner_id: UUID | None = None
    tax_lines: tuple[TaxLine, ...] = ()
    policy: str = ""
    estimated: bool = False


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A closed session that is not billed, and why."""

    session_id: UUID
    reason: str
    held_at: datetime


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One CDR on a statement; a credit has its amounts negated and its energy as it was."""

    cdr_id: UUID
    session_id: str
    start_date_time: datetime
    end_date_time: datetime
    energy_kwh: Decimal
    currency: str
    excl_vat: Decimal
    vat: Decimal
    incl_vat: Decimal
    credit: bool
    account: str


class StatementTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement sums to in one currency; ``energy_kwh`` counts credits against."""

    currency: str
    cdrs: int
    credits: int
    energy_kwh: Decimal
    excl_vat: Decimal
    vat: Decimal
    incl_vat: Decimal


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The CDRs of one partner (or of our own drivers) issued in [start, end), settled together."""

    id: UUID
    partner_id: UUID | None
    start: datetime
    end: datetime
    closed_at: datetime
    totals: tuple[StatementTotal, ...]
    lines: tuple[StatementLine, ...]
