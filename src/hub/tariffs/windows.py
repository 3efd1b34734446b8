"""Times of day, weekdays and dates of a location, turned into instants, with summer time.

A day's boundaries become UTC instants once: a time that occurs twice means its first
occurrence, a time that is skipped means the end of the gap. Days are kept per zone and tariff.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from hub.tariffs.model import DAY_SECONDS, WEEKDAYS, TariffRestrictions

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
DAY_US: Final = DAY_SECONDS * 1_000_000
FOREVER: Final = 1 << 80
_KEPT_DAYS: Final = 1_500

Instant = int | Decimal  # microseconds since 1970; a cut may fall between two of them


def is_timed(restrictions: TariffRestrictions | None) -> bool:
    """Whether an element depends on local time, date or weekday at all."""
    return restrictions is not None and (
        restrictions.start_time is not None
        or restrictions.end_time is not None
        or restrictions.start_date is not None
        or restrictions.end_date is not None
        or bool(restrictions.day_of_week)
    )


def matches_day(restrictions: TariffRestrictions, day: date) -> bool:
    """Whether date and weekday restrictions admit this local day (end date exclusive)."""
    if restrictions.start_date is not None and day < restrictions.start_date:
        return False
    if restrictions.end_date is not None and day >= restrictions.end_date:
        return False
    return not restrictions.day_of_week or WEEKDAYS[day.weekday()] in restrictions.day_of_week


def matches_clock(restrictions: TariffRestrictions, second: int) -> bool:
    """Whether a second of the day lies in ``start_time`` to ``end_time``.

    An end before the start wraps over midnight; an end of 00:00 is the end of the day; an end
    equal to the start is the whole day.
    """
    start = restrictions.start_time or 0
    end = restrictions.end_time or DAY_SECONDS
    if start < end:
        return start <= second < end
    return second >= start or second < end


def first_instant(day: date, second: int, zone: ZoneInfo) -> int:
    """Microseconds since 1970 (UTC) at which a local day's clock first reads ``second`` or later.

    For a time that is skipped in spring this is the end of the gap.
    """
    wall = datetime(day.year, day.month, day.day) + timedelta(seconds=second)  # noqa: DTZ001
    late = _instant(wall.replace(tzinfo=zone, fold=0))
    early = _instant(wall.replace(tzinfo=zone, fold=1))
    if early >= late:
        return late
    while late - early > 1_000_000:
        middle = (early + late) // 2_000_000 * 1_000_000
        local = (EPOCH + middle * MICROSECOND).astimezone(zone).replace(tzinfo=None)
        early, late = (middle, late) if local < wall else (early, middle)
    return late


def _instant(local: datetime) -> int:
    return (local.astimezone(UTC) - EPOCH) // MICROSECOND


class Timeline:
    """Which elements local time admits, as a bit mask over time; days are worked out once."""

    __slots__ = ("_days", "_elements", "_every", "_marks", "_zone")

    def __init__(self, elements: Sequence[TariffRestrictions | None], zone: ZoneInfo) -> None:
        self._elements = [
            (1 << index, element)
            for index, element in enumerate(elements)
            if element is not None and is_timed(element)
        ]
        self._every = (1 << len(elements)) - 1
        self._zone = zone
        marks = {0}
        for _, element in self._elements:
            marks |= {element.start_time or 0, element.end_time or 0}
        self._marks = sorted(marks)
        self._days: dict[int, tuple[list[int], list[int]]] = {}

    def at(self, instant: Instant) -> tuple[int, int]:
        """The mask at an instant, and the instant until which it surely holds."""
        if not self._elements:
            return self._every, FOREVER
        day = int(instant // DAY_US)
        known = self._days.get(day)
        if known is None:
            known = self._days_of(day)
        starts, masks = known
        place = bisect_right(starts, instant)
        until = starts[place] if place < len(starts) else (day + 1) * DAY_US
        return masks[place - 1], until

    def _days_of(self, utc_day: int) -> tuple[list[int], list[int]]:
        """The masks of one UTC day, from the three local days that can touch it."""
        floor, ceiling = utc_day * DAY_US, (utc_day + 1) * DAY_US
        starts: list[int] = []
        masks: list[int] = []
        middle = date(1970, 1, 1) + timedelta(days=utc_day)
        for day in (middle + timedelta(days=offset) for offset in (-1, 0, 1)):
            admitted = [(bit, item) for bit, item in self._elements if matches_day(item, day)]
            for second in self._marks:
                instant = first_instant(day, second, self._zone)
                if instant >= ceiling:
                    continue
                mask = self._mask(admitted, second)
                if starts and instant <= max(starts[-1], floor):
                    masks[-1] = mask
                elif not masks or masks[-1] != mask:
                    starts.append(max(instant, floor))
                    masks.append(mask)
        if len(self._days) >= _KEPT_DAYS:
            self._days.clear()
        self._days[utc_day] = (starts, masks)
        return starts, masks

    def _mask(self, admitted: list[tuple[int, TariffRestrictions]], second: int) -> int:
        mask = self._every
        for bit, _ in self._elements:
            mask &= ~bit
        for bit, item in admitted:
            if matches_clock(item, second):
                mask |= bit
        return mask

    def shifts(self, start: Instant, end: Instant) -> bool:
        """Whether the zone's offset changes between two instants while local time matters."""
        if not self._elements:
            return False
        local = (EPOCH + int(at) * MICROSECOND for at in (start, end))
        first, last = (at.astimezone(self._zone).utcoffset() for at in local)
        return first != last
