"""A partner's CDR charging periods turned into periods that can be priced again.

Volumes are decimals of hours (0.0834 h is not 5 minutes), so instants win where both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from hub.kernel import InvalidValue
from hub.tariffs.model import Kind, Period

_TIMES: Final[dict[str, Kind]] = {
    "RESERVATION_TIME": "RESERVATION",
    "PARKING_TIME": "PARKING",
    "TIME": "CHARGING",
}
_TOLERANCE: Final = Decimal("0.5")  # seconds; half of the last decimal of 4-decimal hours is 0.18


class VolumePeriod(msgspec.Struct, frozen=True):
    """A charging period as CDRs carry it: its start and its volumes by dimension (kWh, hours)."""

    start: datetime
    volumes: dict[str, Decimal]


class Rebuilt(msgspec.Struct, frozen=True):
    """Periods to price, made ``by`` instants or volumes.

    ``delta_s`` is the sum of the seconds by which the two disagree.
    """

    periods: tuple[Period, ...]
    by: str
    delta_s: Decimal


def rebuilt(periods: Sequence[VolumePeriod], end: datetime) -> Rebuilt:
    """Periods from a CDR's charging periods and its end (4.1 rule 12).

    By the instants when every time volume agrees with them to half a second, else by the volumes,
    laid end to end from the first start. Raises ``InvalidValue`` when the list is not in order.
    """
    stops = [*(period.start for period in periods[1:]), end]
    spans = [_seconds(stop - item.start) for item, stop in zip(periods, stops, strict=False)]
    if any(span < 0 for span in spans):
        raise InvalidValue("charging_periods", "are not in order, or run beyond the end")
    stated = [_stated(item) for item in periods]
    deltas = [
        abs(volume - span) for volume, span in zip(stated, spans, strict=True) if volume is not None
    ]
    delta = sum(deltas, Decimal(0))
    if all(item <= _TOLERANCE for item in deltas):
        made = [_period(item, item.start, stop) for item, stop in zip(periods, stops, strict=False)]
        return Rebuilt(tuple(made), "instants", delta)
    made = []
    at = periods[0].start if periods else end
    for item, volume, span in zip(periods, stated, spans, strict=True):
        stop = at + _delta(span if volume is None else volume)
        made.append(_period(item, at, stop))
        at = stop
    return Rebuilt(tuple(made), "volumes", delta)


def _stated(item: VolumePeriod) -> Decimal | None:
    hours = [item.volumes[name] for name in _TIMES if name in item.volumes]
    return sum(hours, Decimal(0)) * 3600 if hours else None


def _period(item: VolumePeriod, start: datetime, end: datetime) -> Period:
    kind: Kind = "CHARGING"
    for name in ("PARKING_TIME", "RESERVATION_TIME"):
        if item.volumes.get(name):
            kind = _TIMES[name]
    return Period(
        start=start,
        end=end,
        energy_wh=item.volumes.get("ENERGY", Decimal(0)) * 1000,
        kind=kind,
        current_a=item.volumes.get("MAX_CURRENT"),
        power_kw=item.volumes.get("MAX_POWER"),
    )


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)).scaleb(-6)


def _delta(seconds: Decimal) -> timedelta:
    whole = seconds.scaleb(6).to_integral_value(rounding=ROUND_HALF_EVEN)
    return int(whole) * timedelta(microseconds=1)
