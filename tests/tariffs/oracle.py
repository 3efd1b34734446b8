"""A second pricer, slow and written another way: exact fractions over elementary intervals.

It cuts at every quarter hour and every threshold, whether the tariff needs it or not, and asks
each element about the middle of each interval by the local clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from hub.tariffs import Period, Tariff, TariffRestrictions

QUARTER = 900
State = tuple[Fraction, Fraction, Fraction, Fraction, Fraction | None]
DAYS = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
WHEN: dict[str, list[str | None]] = {
    "CHARGING": [None],
    "PARKING": [None],
    "RESERVATION": ["RESERVATION"],
    "RESERVATION_EXPIRED": ["RESERVATION_EXPIRES", "RESERVATION"],
}


def cost(tariff: Tariff, periods: Sequence[Period], zone: str) -> tuple[Fraction, Fraction]:
    """Exact totals without and with VAT."""
    bills: dict[str, list[tuple[int, int, Fraction]]] = {}
    flats: dict[str, tuple[int, int]] = {}
    origin: dict[bool, Fraction] = {}
    energy_before = Fraction(0)
    for period in periods:
        start, end = _seconds(period.start), _seconds(period.end)
        reserved = "RESERVATION" in period.kind
        base = origin.setdefault(reserved, start)
        before = Fraction(0) if reserved else energy_before
        wh = Fraction(period.energy_wh)
        cuts = _cuts(tariff, start, end, base, before, wh)
        for low, high in pairwise(cuts):
            middle = (low + high) / 2
            at = before + wh * (middle - start) / (end - start)
            power = wh * 36 / 10 / (end - start)
            if period.power_kw is not None:
                power = Fraction(period.power_kw)
            current = None if period.current_a is None else Fraction(period.current_a)
            state = (middle, middle - base, at, power, current)
            part = wh * (high - low) / (end - start)
            who = "reserved" if reserved else "session"
            for dimension, amount in (
                ("ENERGY", part),
                ("TIME", high - low),
                ("FLAT", Fraction(1)),
            ):
                name = (
                    "PARKING_TIME"
                    if dimension == "TIME" and period.kind == "PARKING"
                    else dimension
                )
                if reserved and name == "ENERGY":
                    continue
                found = _find(tariff, period.kind, name, state, zone)
                if found is None or amount == 0:
                    continue
                if name == "FLAT":
                    flats.setdefault(who, found)
                else:
                    bills.setdefault(f"{who} {name}", []).append((*found, amount))
        energy_before += 0 if reserved else wh
    return _sum(tariff, bills, flats, any("RES" not in period.kind for period in periods))


def _seconds(at: datetime) -> Fraction:
    span = at - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(span // timedelta(microseconds=1), 1_000_000)


def _cuts(
    tariff: Tariff, start: Fraction, end: Fraction, base: Fraction, before: Fraction, wh: Fraction
) -> list[Fraction]:
    points = {start, end}
    points |= {Fraction(n * QUARTER) for n in range(int(start // QUARTER), int(end // QUARTER) + 1)}
    for element in tariff.elements:
        r = element.restrictions
        if r is None:
            continue
        for limit in (r.min_duration, r.max_duration):
            if limit is not None:
                points.add(base + limit)
        for level in (r.min_kwh, r.max_kwh):
            if level is not None and wh:
                points.add(start + (Fraction(level) * 1000 - before) * (end - start) / wh)
    return sorted(point for point in points if start <= point <= end)


def _find(
    tariff: Tariff, kind: str, dimension: str, state: State, zone: str
) -> tuple[int, int] | None:
    for when in WHEN[kind]:
        for i, element in enumerate(tariff.elements):
            r = element.restrictions or TariffRestrictions()
            if r.reservation != when:
                continue
            for j, component in enumerate(element.price_components):
                if component.type == dimension and _holds(r, state, zone):
                    return i, j
    return None


def _holds(r: TariffRestrictions, state: State, zone: str) -> bool:
    moment, elapsed, wh, power, current = state
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(moment))
    local = utc.astimezone(ZoneInfo(zone))
    clock = local.hour * 60 + local.minute
    if local.fold:
        # The second pass through a repeated hour: whatever that hour marks is past already.
        clock = local.hour * 60 + 59
    start = (r.start_time or 0) // 60
    end = (r.end_time or 86400) // 60
    inside = start <= clock < end if start < end else not end <= clock < start
    if r.start_time is None and r.end_time is None:
        inside = True
    tests = [
        inside,
        not r.day_of_week or DAYS[local.weekday()] in r.day_of_week,
        r.start_date is None or local.date() >= r.start_date,
        r.end_date is None or local.date() < r.end_date,
        r.min_duration is None or elapsed >= r.min_duration,
        r.max_duration is None or elapsed < r.max_duration,
        r.min_kwh is None or wh >= 1000 * Fraction(r.min_kwh),
        r.max_kwh is None or wh < 1000 * Fraction(r.max_kwh),
        r.min_power is None or power >= Fraction(r.min_power),
        r.max_power is None or power < Fraction(r.max_power),
        r.min_current is None or (current is not None and current >= Fraction(r.min_current)),
        r.max_current is None or (current is not None and current < Fraction(r.max_current)),
    ]
    return all(tests)


def _sum(
    tariff: Tariff,
    bills: dict[str, list[tuple[int, int, Fraction]]],
    flats: dict[str, tuple[int, int]],
    charged: bool,
) -> tuple[Fraction, Fraction]:
    excl = incl = Fraction(0)

    def add(place: tuple[int, int], units: Fraction) -> None:
        nonlocal excl, incl
        component = tariff.elements[place[0]].price_components[place[1]]
        amount = units * Fraction(component.price)
        excl += amount
        incl += amount * (1 + Fraction(component.vat or 0) / 100)

    for place in flats.values():
        add(place, Fraction(1))
    for key, uses in bills.items():
        per = 1000 if key.endswith("ENERGY") else 3600
        for i, j, amount in uses:
            add((i, j), amount / per)
        if key == "session TIME" and "session PARKING_TIME" in bills:
            continue
        i, j, _ = uses[-1]
        step = tariff.elements[i].price_components[j].step_size
        total = sum((amount for _, _, amount in uses), Fraction(0))
        if step:
            add((i, j), (math.ceil(total / step) * step - total) / per)
    floor, ceiling = tariff.min_price if charged else None, tariff.max_price
    if floor is not None:
        excl, incl = max(excl, Fraction(floor.excl_vat)), max(incl, Fraction(floor.incl_vat or 0))
    if ceiling is not None and ceiling.incl_vat is not None:
        excl, incl = min(excl, Fraction(ceiling.excl_vat)), min(incl, Fraction(ceiling.incl_vat))
    return excl, incl


def cents(amount: Fraction) -> Decimal:
    """Rounded half up to two decimals, amounts from zero."""
    return Decimal(math.floor(amount * 100 + Fraction(1, 2))).scaleb(-2)
