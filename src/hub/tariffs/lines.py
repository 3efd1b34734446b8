"""What a price is made of: lines that explain themselves, tax lines, totals, charging periods."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from hub.kernel import Money
from hub.tariffs.model import Kind

LineDimension = Literal["FLAT", "ENERGY", "TIME", "PARKING_TIME", "MIN_PRICE", "MAX_PRICE"]
Unit = Literal["Wh", "s", "session"]
Part = Literal["fixed", "energy", "time", "parking", "reservation", "limit"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a price, amounts exact and unrounded.

    ``quantity`` was measured, ``billed`` is what ``step_size`` made of it, both in ``unit``;
    ``unit_price`` is per kWh, per hour or per session, gross when the tariff includes taxes.
    ``element`` counts from 0 in the tariff's list; ``clause`` says which rule made the line.
    """

    dimension: LineDimension
    part: Part
    kind: Kind
    start: datetime
    end: datetime
    quantity: Decimal
    billed: Decimal
    unit: Unit
    unit_price: Decimal
    vat: Decimal | None
    excl: Decimal
    tax: Decimal
    element: int | None
    clause: str

    @property
    def incl(self) -> Decimal:
        """The amount including tax."""
        return self.excl + self.tax


class TaxLine(msgspec.Struct, frozen=True):
    """The rounded net and tax of one VAT rate; the rate is ``None`` where no VAT applies."""

    vat: Decimal | None
    net: Decimal
    tax: Decimal


class Cost(msgspec.Struct, frozen=True):
    """An exact amount without and with tax."""

    excl: Decimal
    incl: Decimal


class CdrDimension(msgspec.Struct, frozen=True):
    """A volume of a charging period: kWh for ENERGY, hours otherwise, 4 decimals."""

    type: Literal["ENERGY", "TIME", "PARKING_TIME", "RESERVATION_TIME"]
    volume: Decimal


class ChargedPeriod(msgspec.Struct, frozen=True):
    """A charging period as a CDR lists it: nothing about its price changes within."""

    start: datetime
    dimensions: tuple[CdrDimension, ...]
    tariff_id: str


class Reading(msgspec.Struct, frozen=True):
    """How an open or ambiguous rule was read, named because it touched this price."""

    rule: str
    choice: str


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A price that explains itself.

    ``excl`` and ``incl`` are exact and the sum of the lines; ``total_excl`` and ``total_incl``
    are money, rounded once, and the sum of the tax lines. The parts (``fixed`` ...) are exact
    and before a minimum or maximum price. Times in seconds; ``time_s`` includes parking, not
    reservation.
    """

    currency: str
    policy: str
    tariff_id: str
    excl: Decimal
    incl: Decimal
    total_excl: Money
    total_incl: Money
    tax_lines: tuple[TaxLine, ...]
    fixed: Cost
    energy: Cost
    time: Cost
    parking: Cost
    reservation: Cost
    energy_wh: Decimal
    time_s: Decimal
    parking_s: Decimal
    reservation_s: Decimal
    lines: tuple[Line, ...]
    charging_periods: tuple[ChargedPeriod, ...]
    readings: tuple[Reading, ...]
