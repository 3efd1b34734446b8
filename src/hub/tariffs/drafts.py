"""Runs become draft lines: which component bills what, and what ``step_size`` makes of it.

OCPI 2.2.1, PriceComponent: ``step_size`` counts once per session for ENERGY and once for TIME and
PARKING_TIME together, on the session's total, by the component that priced the last of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final

from hub.tariffs.lines import LineDimension
from hub.tariffs.model import Kind, Policy
from hub.tariffs.plan import Rate
from hub.tariffs.walk import ZERO, Run
from hub.tariffs.windows import Instant

_NOISE: Final = Decimal(1).scaleb(-18)
_US: Final = Decimal(1).scaleb(-6)
_PLAIN = "price of the first matching element (Tariff, elements)"
_STEPPED = "step_size of the last component rounds the session's total up (PriceComponent)"
_FLAT = "FLAT is charged once (TariffDimensionType)"


class Draft:
    """A line in the making; quantities in Wh, seconds or sessions."""

    __slots__ = ("billed", "clause", "dimension", "end", "kind", "quantity", "rate", "start")

    def __init__(
        self, dimension: LineDimension, rate: Rate, run: Run, quantity: Decimal, clause: str
    ) -> None:
        self.dimension = dimension
        self.rate = rate
        self.kind: Kind = run.kind
        self.start: Instant = run.start
        self.end: Instant = run.end
        self.quantity = quantity
        self.billed = quantity
        self.clause = clause


class Drafts:
    """All draft lines of a session by dimension, and the readings met on the way."""

    __slots__ = ("energy", "flat", "parking", "readings", "reserved", "time")

    def __init__(self, runs: Sequence[Run], policy: Policy) -> None:
        self.energy: list[Draft] = []
        self.time: list[Draft] = []
        self.parking: list[Draft] = []
        self.reserved: list[Draft] = []
        self.readings: list[str] = []
        for run in runs:
            if run.wh and run.active.energy is not None:
                _extend(self.energy, "ENERGY", run.active.energy, run, run.wh)
            if run.active.time is not None and run.end != run.start:
                seconds = (run.end - run.start) * _US
                place, dimension = self._place(run.kind)
                _extend(place, dimension, run.active.time, run, seconds)
        self.flat = _flats(runs, policy, self.readings)
        self._round(runs)

    def all(self) -> list[Draft]:
        """Every draft, in the order of a receipt."""
        return [*self.flat, *self.reserved, *self.energy, *self.time, *self.parking]

    def _place(self, kind: Kind) -> tuple[list[Draft], LineDimension]:
        if kind == "PARKING":
            return self.parking, "PARKING_TIME"
        return (self.time if kind == "CHARGING" else self.reserved), "TIME"

    def _round(self, runs: Sequence[Run]) -> None:
        stepped = _round_up(self.energy)
        if _round_up(self.reserved) and (self.time or self.parking):
            self.readings.append("step_reservation_apart")
        if self.parking:
            rounded = _round_up(self.parking)
            if self.time and (rounded or self.time[-1].rate.component.step_size > 1):
                self.readings.append("step_parking_only")
                if self.time[-1].start >= self.parking[-1].end:
                    self.readings.append("parking_then_charging")
        else:
            rounded = _round_up(self.time)
        if runs and (
            (rounded and runs[-1].active.time is None)
            or (stepped and runs[-1].wh and runs[-1].active.energy is None)
        ):
            self.readings.append("step_last_priced")


def _extend(
    drafts: list[Draft], dimension: LineDimension, rate: Rate, run: Run, quantity: Decimal
) -> None:
    """Continue the last line when the same rate goes on without a gap, else begin a new one."""
    if drafts:
        last = drafts[-1]
        if last.rate is rate and last.end == run.start:
            last.quantity += quantity
            last.billed = last.quantity
            last.end = run.end
            return
    drafts.append(Draft(dimension, rate, run, quantity, _PLAIN))


def _round_up(drafts: list[Draft]) -> bool:
    """Round the total up to the last component's step, on that last line; whether it changed."""
    if not drafts:
        return False
    last = drafts[-1]
    step = last.rate.component.step_size
    if step == 0:
        return False
    total = sum((draft.quantity for draft in drafts), ZERO)
    steps = ((total - _NOISE) / step).to_integral_value(rounding=ROUND_CEILING)
    surplus = steps * step - total
    if surplus <= _NOISE:
        return False
    last.billed = last.quantity + surplus
    last.clause = _STEPPED
    return True


def _flats(runs: Sequence[Run], policy: Policy, readings: list[str]) -> list[Draft]:
    """The FLAT fees: per reservation and per session the first one, or each one once."""
    drafts: list[Draft] = []
    seen: dict[bool, list[Rate]] = {}
    for run in runs:
        rate = run.active.flat
        if rate is None:
            continue
        met = seen.setdefault(run.kind.startswith("RESERVATION"), [])
        if rate in met:
            continue
        met.append(rate)
        if len(met) > 1:
            readings.append("flat_once" if policy.flat == "first" else "flat_each")
        if len(met) == 1 or policy.flat == "each":
            drafts.append(Draft("FLAT", rate, run, Decimal(1), _FLAT))
    return drafts
