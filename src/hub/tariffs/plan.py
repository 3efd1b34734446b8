"""A tariff compiled once per time zone: bit masks instead of restrictions, prices ready to use.

Every element is one bit. Local time, session length, energy, power and current each give a mask;
their conjunction picks, per dimension, the first element in the list (4.1 rules 1 and 2).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hub.kernel import InvalidValue
from hub.tariffs.model import (
    DAY_SECONDS,
    Dimension,
    Kind,
    Period,
    PriceComponent,
    Tariff,
    TariffRestrictions,
)
from hub.tariffs.windows import Timeline

_US_PER_KW = 3_600_000  # Wh times this, divided by microseconds, is kW


class Rate(NamedTuple):
    """One price component where it stands; ``parking_fee`` marks a FLAT that belongs to parking."""

    element: int
    component: PriceComponent
    parking_fee: bool


class Active(NamedTuple):
    """The rates that apply at once; ``None`` is free of charge."""

    energy: Rate | None
    time: Rate | None
    flat: Rate | None


class Steps(NamedTuple):
    """Masks between rising thresholds: ``masks[n]`` holds once ``n`` thresholds are reached."""

    at: list[Decimal]
    masks: list[int]
    unknown: int

    def mask(self, value: Decimal | None) -> int:
        """Elements admitted at a value; an unknown value admits only elements without a limit."""
        return self.unknown if value is None else self.masks[bisect_right(self.at, value)]


class Plan:
    """A tariff ready to price; obtain it by ``plan_of``."""

    __slots__ = (
        "_alike",
        "_chosen",
        "_orders",
        "current",
        "duration",
        "energy",
        "power",
        "tariff",
        "time",
        "wraps",
    )

    def __init__(self, tariff: Tariff, zone: ZoneInfo) -> None:
        limits = [element.restrictions for element in tariff.elements]
        self.tariff = tariff
        self.time = Timeline(limits, zone)
        self.duration = _steps(
            limits, lambda r: (_scaled(r.min_duration, 6), _scaled(r.max_duration, 6))
        )
        self.energy = _steps(limits, lambda r: (_scaled(r.min_kwh, 3), _scaled(r.max_kwh, 3)))
        self.power = _steps(limits, lambda r: (r.min_power, r.max_power))
        self.current = _steps(limits, lambda r: (r.min_current, r.max_current))
        self.wraps = any(item is not None and _wraps(item) for item in limits)
        self._orders = {kind: _orders(tariff, kind) for kind in _TIME_OF}
        self._chosen: dict[tuple[Kind, int], Active] = {}
        self._alike: dict[Active, Active] = {}

    def active(self, kind: Kind, mask: int) -> Active:
        """The rates in force for a kind of period when exactly these elements are admitted."""
        chosen = self._chosen.get((kind, mask))
        if chosen is None:
            energy, time, flat = (_first(order, mask) for order in self._orders[kind])
            fresh = Active(energy, time, flat)
            chosen = self._chosen[kind, mask] = self._alike.setdefault(fresh, fresh)
        return chosen

    def measured(self, period: Period, span: int) -> int:
        """The mask of what is constant within a period: its current and its power."""
        mask = -1
        if self.current.at:
            mask &= self.current.mask(period.current_a)
        if self.power.at:
            power = period.power_kw
            if power is None and span:
                power = period.energy_wh * _US_PER_KW / span
            mask &= self.power.mask(power)
        return mask


@lru_cache(maxsize=4096)
def plan_of(tariff: Tariff, time_zone: str) -> Plan:
    """The compiled tariff, kept while in use. ``InvalidValue`` for a zone nobody knows."""
    try:
        return Plan(tariff, ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidValue("time_zone", f"{time_zone[:60]!r} is no IANA time zone") from error


_TIME_OF: dict[Kind, Dimension] = {
    "CHARGING": "TIME",
    "PARKING": "PARKING_TIME",
    "RESERVATION": "TIME",
    "RESERVATION_EXPIRED": "TIME",
}


def _orders(tariff: Tariff, kind: Kind) -> list[list[tuple[int, Rate]]]:
    """Candidates (bit, rate) for energy, time and flat, in the order in which they win."""
    elements = list(enumerate(tariff.elements))

    def having(*wanted: str | None) -> list[int]:
        return [i for i, e in elements if (e.restrictions and e.restrictions.reservation) in wanted]

    if kind == "RESERVATION_EXPIRED":
        # The expiry element goes first for its dimensions, the others fall through (rule 10).
        order = having("RESERVATION_EXPIRES") + having("RESERVATION")
    else:
        order = having("RESERVATION") if kind == "RESERVATION" else having(None)
    energy = [] if kind.startswith("RESERVATION") else _rates(tariff, order, "ENERGY")
    return [energy, _rates(tariff, order, _TIME_OF[kind]), _rates(tariff, order, "FLAT")]


def _rates(tariff: Tariff, order: Sequence[int], dimension: Dimension) -> list[tuple[int, Rate]]:
    found: list[tuple[int, Rate]] = []
    for index in order:
        components = tariff.elements[index].price_components
        kinds = {component.type for component in components}
        parking = "PARKING_TIME" in kinds and not kinds & {"TIME", "ENERGY"}
        match = next((item for item in components if item.type == dimension), None)
        if match is not None:
            found.append((1 << index, Rate(index, match, parking and dimension == "FLAT")))
    return found


def _wraps(limits: TariffRestrictions) -> bool:
    """Whether a window runs over midnight while weekdays or dates matter."""
    over = (limits.start_time or 0) > (limits.end_time or DAY_SECONDS)
    dated = limits.start_date is not None or limits.end_date is not None
    return over and (bool(limits.day_of_week) or dated)


def _first(order: list[tuple[int, Rate]], mask: int) -> Rate | None:
    for bit, rate in order:
        if mask & bit:
            return rate
    return None


def _scaled(value: Decimal | int | None, places: int) -> Decimal | None:
    return None if value is None else Decimal(value).scaleb(places)


def _steps(
    limits: Sequence[TariffRestrictions | None],
    bounds: Callable[[TariffRestrictions], tuple[Decimal | None, Decimal | None]],
) -> Steps:
    """Thresholds of one restriction over all elements: minimum inclusive, maximum exclusive."""
    pairs = [(None, None) if item is None else bounds(item) for item in limits]
    at = sorted({bound for pair in pairs for bound in pair if bound is not None})

    def mask(reached: Decimal | None) -> int:
        bits = 0
        for index, (low, high) in enumerate(pairs):
            above = low is None or (reached is not None and reached >= low)
            below = high is None or reached is None or reached < high
            bits |= (above and below) << index
        return bits

    unknown = sum((low is None and high is None) << i for i, (low, high) in enumerate(pairs))
    return Steps(at, [mask(None), *(mask(value) for value in at)], unknown)
