"""The power and energy of a session as coordinates of an SVG; a decision without I/O.

Power is what was measured, or else follows from the energy register between two readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from hub.api.sessions import ReadingRow
from hub.kernel import round_half_up

WIDTH: Final = 760
HEIGHT: Final = 240
_TOP: Final = 4
_BOTTOM: Final = HEIGHT - 4
_ENERGY: Final = "Energy.Active.Import.Register"
_POWER: Final = "Power.Active.Import"

Series = list[tuple[datetime, Decimal]]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points for two polylines, and the words at their corners."""

    power: str
    area: str
    energy: str
    top_power: str
    top_energy: str
    from_time: str
    to_time: str
    grid: tuple[int, ...] = (_TOP, (_TOP + _BOTTOM) // 2, _BOTTOM)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = 0
    right: int = WIDTH


def curve_of(readings: Sequence[ReadingRow], registers: Series | None = None) -> Curve | None:
    """The curve of a session, or ``None`` when fewer than two instants were measured.

    ``registers``: what the meter stood at when the session started and ended, in Wh.
    """
    energy = sorted(dict([*_series(readings, _ENERGY), *(registers or [])]).items())
    power = _series(readings, _POWER) or _from_energy(energy)
    instants = [at for at, _ in (*energy, *power)]
    if len(set(instants)) < 2:
        return None
    start, end = min(instants), max(instants)
    base = energy[0][1] if energy else Decimal(0)
    used = [(at, value - base) for at, value in energy]
    top_power = max((value for _, value in power), default=Decimal(0))
    top_energy = max((value for _, value in used), default=Decimal(0))
    points = _points(power, start, end, top_power)
    return Curve(
        power=points,
        area=_area(points),
        energy=_points(used, start, end, top_energy),
        top_power=f"{round_half_up(top_power.scaleb(-3), 1)} kW",
        top_energy=f"{round_half_up(top_energy.scaleb(-3), 2)} kWh",
        from_time=f"{start:%H:%M}",
        to_time=f"{end:%H:%M}",
    )


def _series(readings: Sequence[ReadingRow], measurand: str) -> Series:
    """One value per instant: the sum, when the meter gives the phases apart."""
    total: dict[datetime, Decimal] = {}
    phases: dict[datetime, Decimal] = {}
    for one in readings:
        if one.measurand != measurand:
            continue
        if one.phase:
            phases[one.at] = phases.get(one.at, Decimal(0)) + one.value
        else:
            total[one.at] = one.value
    return sorted((phases | total).items())


def _from_energy(energy: Series) -> Series:
    found: Series = []
    for (at, value), (later, more) in pairwise(energy):
        seconds = Decimal(int((later - at).total_seconds()))
        if seconds > 0:
            watts = (more - value) * 3600 / seconds
            found += [(at, watts), (later, watts)]
    return found


def _points(series: Series, start: datetime, end: datetime, top: Decimal) -> str:
    length = Decimal(int((end - start).total_seconds() * 1000))
    height = _BOTTOM - _TOP
    texts = []
    for at, value in series:
        passed = Decimal(int((at - start).total_seconds() * 1000))
        x = round_half_up(passed * WIDTH / length, 1)
        y = round_half_up(_BOTTOM - (value * height / top if top > 0 else Decimal(0)), 1)
        texts.append(f"{x},{y}")
    return " ".join(texts)


def _area(points: str) -> str:
    if not points:
        return ""
    first, last = points.split(" ", maxsplit=1)[0], points.rsplit(" ", 1)[-1]
    return (
        f"M{first.split(',')[0]},{_BOTTOM} L{points.replace(' ', ' L')} "
        f"L{last.split(',')[0]},{_BOTTOM} Z"
    )
