"""Tariffs as OCPI 2.3.0 says them, wide enough for 2.2.1 and 2.1.1; and what is priced: periods.

Values only. Reading partners' JSON lives in ``decode``, pricing in ``price``.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from hub.kernel import InvalidValue

Dimension = Literal["FLAT", "ENERGY", "TIME", "PARKING_TIME"]
Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ReservationRestriction = Literal["RESERVATION", "RESERVATION_EXPIRES"]
TaxIncluded = Literal["YES", "NO", "N/A"]
Kind = Literal["CHARGING", "PARKING", "RESERVATION", "RESERVATION_EXPIRED"]

WEEKDAYS: tuple[Weekday, ...] = (
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
    "SUNDAY",
)
DAY_SECONDS = 86_400


class PriceComponent(msgspec.Struct, frozen=True, kw_only=True):
    """One price. ENERGY per kWh, TIME and PARKING_TIME per hour, FLAT per session.

    ``vat`` in percent: ``None`` says no VAT applies, zero says zero-rated. ``step_size`` in
    Wh or seconds; 0 and 1 leave the quantity as measured (for seconds: whole seconds).
    """

    type: Dimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1


class TariffRestrictions(msgspec.Struct, frozen=True, kw_only=True):
    """When an element applies; all that is set must hold (OCPI 2.2.1, TariffRestrictions).

    Times of day are seconds after local midnight of the location; minimums are inclusive,
    maximums, ``end_time`` and ``end_date`` exclusive; durations in seconds of the session.
    """

    start_time: int | None = None
    end_time: int | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[Weekday, ...] = ()
    reservation: ReservationRestriction | None = None


class TariffElement(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that share their restrictions; the order of elements decides between them."""

    price_components: tuple[PriceComponent, ...]
    restrictions: TariffRestrictions | None = None


class PriceLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A least or greatest total of a session; both sides hold independently when both are set."""

    excl_vat: Decimal
    incl_vat: Decimal | None = None


class DisplayText(msgspec.Struct, frozen=True, kw_only=True):
    """A text for people in one language."""

    language: str
    text: str


class Tariff(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """A tariff of one CPO. Immutable: a change is another tariff with the same id."""

    id: str
    currency: str
    elements: tuple[TariffElement, ...]
    country_code: str = ""
    party_id: str = ""
    type: str | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: str | None = None
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    preauthorize_amount: Decimal | None = None
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    tax_included: TaxIncluded | None = None
    energy_mix: bytes | None = None
    last_updated: datetime | None = None


class Period(msgspec.Struct, frozen=True):
    """A stretch of a session with its energy, spread evenly over it.

    ``kind`` PARKING is connected without the vehicle asking for power (a station that withholds
    is CHARGING). ``current_a`` sums all phases. Power, when not measured, is the average of the
    stretch. Raises ``InvalidValue`` for naive or reversed times and for negative values.
    """

    start: datetime
    end: datetime
    energy_wh: Decimal = Decimal(0)
    kind: Kind = "CHARGING"
    current_a: Decimal | None = None
    power_kw: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be priced, here and once."""
        if self.start.utcoffset() is None or self.end.utcoffset() is None:
            raise InvalidValue("period", "start and end need a time zone; give them in UTC")
        if self.end < self.start:
            raise InvalidValue("period.end", "lies before the start")
        for name in ("energy_wh", "current_a", "power_kw"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and 0 <= value < 1_000_000_000_000):
                raise InvalidValue(f"period.{name}", f"{value} is not a quantity from zero to 1e12")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How to read what OCPI leaves open; ``id`` travels with every price made by it.

    ``flat``: when several FLAT components become active, charge the ``first`` one once, or
    ``each`` of them once. ``round_at`` the ``total``: totals are rounded once and dealt out over
    the tax groups, as the standard's own examples are; ``tax_group``: net and tax of each VAT
    rate are rounded and then summed, as EN 16931 invoices are.
    """

    id: str = "hub-1"
    flat: Literal["first", "each"] = "first"
    rounding: Literal["half_up", "half_even", "down"] = "half_up"
    round_at: Literal["tax_group", "total"] = "total"


DEFAULT = Policy()
PER_TAX_GROUP = Policy(id="hub-1-tax-group", round_at="tax_group")


def tariff_for(tariffs: tuple[Tariff, ...], at: datetime, wanted: str) -> Tariff | None:
    """The tariff that governs a session started at ``at`` for a tariff type (4.1 rule 9).

    ``wanted`` is AD_HOC_PAYMENT, REGULAR or a PROFILE_*; a tariff of exactly that type goes
    before one without a type, which is valid for all. ``None`` when nothing fits.
    """
    valid = [tariff for tariff in tariffs if _holds(tariff, at)]
    for kind in (wanted, None):
        for tariff in valid:
            if tariff.type == kind:
                return tariff
    return None


def _holds(tariff: Tariff, at: datetime) -> bool:
    begun = tariff.start_date_time is None or tariff.start_date_time <= at
    return begun and (tariff.end_date_time is None or at < tariff.end_date_time)
