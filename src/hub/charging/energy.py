"""Energy from registers: pure decisions. What a station's samples and registers prove, in Wh.

The registers at start and stop win over every sample between them. Samples only show progress,
and stand in where a register is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from hub.charging.messages import Reading

REGISTER: Final = "Energy.Active.Import.Register"
INTERVAL: Final = "Energy.Active.Import.Interval"

DEFAULT_MAX_POWER_W: Final = 400_000
"""What an EVSE may deliver at most when nobody said."""

_SLACK_WH: Final = Decimal(100_000)
_HOUR: Final = Decimal(3600)


class Sample(msgspec.Struct, frozen=True):
    """The import register of an EVSE at an instant."""

    at: datetime
    wh: Decimal
    context: str = "Sample.Periodic"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running session has come: its begin register, the highest one seen, its energy.

    ``sure``: the begin register is the station's own statement, not merely the first sample.
    """

    start: Decimal | None = None
    start_at: datetime | None = None
    sure: bool = False
    seen: Decimal | None = None
    seen_at: datetime | None = None
    wh: Decimal = Decimal(0)
    flags: frozenset[str] = frozenset()


def samples(readings: Iterable[Reading]) -> list[Sample]:
    """The import register over time: totals as such, else the sum of the phases; outlet first."""
    found = [r for r in readings if r.measurand == REGISTER and not r.signed]
    for place in ("Outlet", "Inlet"):
        if any(r.location == place for r in found):
            found = [r for r in found if r.location == place]
            break
    totals = [Sample(r.at, r.value, r.context) for r in found if not r.phase]
    return sorted(totals or _summed(found), key=lambda s: s.at)


def _summed(found: Sequence[Reading]) -> list[Sample]:
    phases: dict[datetime, dict[str, Reading]] = defaultdict(dict)
    for reading in found:
        phases[reading.at][(reading.phase or "")[:2]] = reading
    most = max((len(group) for group in phases.values()), default=0)
    return [
        Sample(at, sum((r.value for r in group.values()), Decimal(0)),
               next(iter(group.values())).context)
        for at, group in phases.items() if len(group) == most
    ]  # fmt: skip


def begin_of(found: Sequence[Sample]) -> Sample | None:
    """The sample that the station calls the transaction's begin, if there is one."""
    return next((s for s in found if s.context == "Transaction.Begin"), None)


def end_of(found: Sequence[Sample]) -> Sample | None:
    """The sample that the station calls the transaction's end, if there is one."""
    return next((s for s in reversed(found) if s.context == "Transaction.End"), None)


def ceiling_wh(since: datetime | None, until: datetime, max_power_w: int | None) -> Decimal:
    """More than an EVSE can deliver in that time: 120 % of its power, and room for clocks."""
    seconds = Decimal(max(int((until - since).total_seconds()), 0) if since else 0)
    power = Decimal(max_power_w or DEFAULT_MAX_POWER_W)
    return power * seconds / _HOUR * Decimal("1.2") + _SLACK_WH


def begun(progress: Progress, start: Sample, *, sure: bool) -> Progress:
    """``progress`` with a begin register; a sure one, or an earlier sample, replaces a guess."""
    known = progress.start is not None
    if known and (progress.sure and not sure):
        return progress
    if known and progress.sure == sure and not _earlier(start.at, progress.start_at):
        return progress
    seen = progress.seen
    wh = seen - start.wh if seen is not None and seen >= start.wh else progress.wh
    return msgspec.structs.replace(progress, start=start.wh, start_at=start.at, sure=sure, wh=wh)


def _earlier(at: datetime, known: datetime | None) -> bool:
    return known is None or at < known


def advanced(
    progress: Progress, found: Sequence[Sample], *, since: datetime, max_power_w: int | None
) -> Progress:
    """``progress`` after more samples, in any order and any number of times.

    Samples below what was seen are dropouts or late; samples below the begin register count from
    zero (stations whose samples are relative to the session); impossible jumps are passed over.
    """
    for sample in found:
        progress = _step(progress, sample, since, max_power_w)
    return progress


def _step(progress: Progress, sample: Sample, since: datetime, max_power_w: int | None) -> Progress:
    if progress.start is None:
        if progress.seen is None or sample.wh > progress.seen:
            return msgspec.structs.replace(progress, seen=sample.wh, seen_at=sample.at)
        return progress
    relative = sample.wh < progress.start
    wh = sample.wh if relative else sample.wh - progress.start
    if wh <= progress.wh:
        if relative or (progress.seen is not None and sample.wh <= progress.seen):
            return progress
        return msgspec.structs.replace(progress, seen=sample.wh, seen_at=sample.at)
    if wh > ceiling_wh(since, sample.at, max_power_w):
        return _flagged(progress, "meter_jump")
    if relative:
        return msgspec.structs.replace(_flagged(progress, "session_relative"), wh=wh)
    return msgspec.structs.replace(progress, wh=wh, seen=sample.wh, seen_at=sample.at)


def _flagged(progress: Progress, flag: str) -> Progress:
    return msgspec.structs.replace(progress, flags=progress.flags | {flag})


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The energy of an ended session. ``held``: a person must look before it is settled."""

    wh: Decimal
    estimated: bool = False
    held: bool = False
    flags: frozenset[str] = frozenset()


def final_energy(progress: Progress, stop: Decimal | None, found: Sequence[Sample]) -> Result:
    """The energy between the begin register and ``stop``.

    Without a stop register: what the samples have shown. With a stop register below the begin
    register (the meter was reset): the sum of what ``found``, in order of time, rises.
    """
    if stop is None:
        missing = progress.seen is None and not progress.wh
        return Result(
            wh=progress.wh, estimated=not missing,
            flags=frozenset({"no_meter"} if missing else {"no_stop_meter"}),
        )  # fmt: skip
    if progress.start is None:
        return Result(wh=Decimal(0), held=True, flags=frozenset({"no_start_meter"}))
    if stop >= progress.start:
        return Result(wh=stop - progress.start)
    return Result(
        wh=rises(progress.start, stop, found), estimated=True, held=True,
        flags=frozenset({"register_reset"}),
    )  # fmt: skip


def rises(start: Decimal, stop: Decimal, found: Sequence[Sample]) -> Decimal:
    """What a register rose in all, counted anew from zero after each fall."""
    total, last = Decimal(0), start
    for value in (*(s.wh for s in found), stop):
        total += value - last if value >= last else min(value, _SLACK_WH)
        last = value
    return total
