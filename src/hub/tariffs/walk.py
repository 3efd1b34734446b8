"""From periods to runs: a session cut wherever its price may change, and joined where it did not.

Energy is spread evenly over a period. Shares keep 30 decimals of a Wh and always add up to the
period's energy exactly, so that cutting a period never creates or loses anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Final

from hub.kernel import InvalidValue
from hub.tariffs.model import Kind, Period
from hub.tariffs.plan import Active, Plan
from hub.tariffs.windows import EPOCH, MICROSECOND, Instant

EXACT: Final = Context(prec=60)
ZERO: Final = Decimal(0)
_FINE: Final = Decimal(1).scaleb(-30)
_SAME: Final = Decimal(1).scaleb(-15)


class Run:
    """A stretch during which the same rates hold. Times in microseconds since 1970."""

    __slots__ = ("active", "end", "kind", "start", "wh")

    def __init__(
        self, kind: Kind, active: Active, start: Instant, *, end: Instant, wh: Decimal
    ) -> None:
        self.kind = kind
        self.active = active
        self.start = start
        self.end = end
        self.wh = wh


Piece = tuple[Instant, Instant, Decimal, int]


def runs_of(plan: Plan, periods: Sequence[Period]) -> list[Run]:
    """The runs of a session, in order; call within ``localcontext(EXACT)``.

    Raises ``InvalidValue`` when periods overlap or are out of order.
    """
    runs: list[Run] = []
    run: Run | None = None
    bases: dict[bool, int] = {}
    used = ZERO
    last = None
    at = plan.time.at
    mask, since, until = 0, 1, 0
    free = not plan.duration.at and not plan.energy.at
    plain = not plan.current.at and not plan.power.at
    for period in periods:
        start = (period.start - EPOCH) // MICROSECOND
        end = (period.end - EPOCH) // MICROSECOND
        if last is not None and start < last:
            raise InvalidValue("periods", f"overlap or are out of order at {period.start}")
        last = end
        kind, wh = period.kind, period.energy_wh
        constant = -1 if plain else plan.measured(period, end - start)
        if free:
            if not since <= start < until:
                since = start
                mask, until = at(start)
            if end <= until:
                run = _joined(runs, run, (start, end, wh, mask & constant), kind, plan)
                continue
        reserved = kind in ("RESERVATION", "RESERVATION_EXPIRED")
        base = bases.setdefault(reserved, start)
        for piece in _pieces(plan, period, start, end, so_far=(base, ZERO if reserved else used)):
            cut = (piece[0], piece[1], piece[2], piece[3] & constant)
            run = _joined(runs, run, cut, kind, plan)
        used += ZERO if reserved else wh
    return runs


def _joined(runs: list[Run], run: Run | None, piece: Piece, kind: Kind, plan: Plan) -> Run:
    """The run that a piece continues, or the new one that it begins."""
    start, end, wh, mask = piece
    active = plan.active(kind, mask)
    if run is not None and run.active is active and run.end == start and run.kind == kind:
        run.end = end
        run.wh += wh
        return run
    run = Run(kind, active, start, end=end, wh=wh)
    runs.append(run)
    return run


def _pieces(
    plan: Plan, period: Period, start: int, end: int, *, so_far: tuple[int, Decimal]
) -> Iterator[Piece]:
    """A period cut at every boundary of local time, session length and session energy."""
    base, used = so_far
    total, span = period.energy_wh, end - start
    now: Instant = start
    done = ZERO
    while True:
        mask, bound = plan.time.at(now)
        stop: Instant = min(bound, end)
        passed = bisect_right(plan.duration.at, now - base)
        if passed < len(plan.duration.at):
            stop = min(stop, base + int(plan.duration.at[passed]))
        upto = total if stop == end else _share(total, stop - start, span)
        reached = bisect_right(plan.energy.at, used + done)
        if reached < len(plan.energy.at):
            stop, upto = _nearer(plan.energy.at[reached] - used, (stop, upto), period, start, span)
        mask &= plan.duration.masks[passed] & plan.energy.masks[reached]
        yield now, stop, upto - done, mask
        now, done = stop, upto
        if stop == end and done == total:
            return


def _nearer(
    room: Decimal, cut: tuple[Instant, Decimal], period: Period, start: int, span: int
) -> tuple[Instant, Decimal]:
    """The cut, or the point before it at which an energy threshold is reached."""
    stop, upto = cut
    if room > upto + _SAME:
        return cut
    if room >= upto - _SAME and upto != period.energy_wh:
        return stop, room
    if room >= upto - _SAME:
        return cut
    exact = start + _share(Decimal(span), room, period.energy_wh)
    whole = exact.to_integral_value()
    return (int(whole) if abs(exact - whole) < _SAME else exact), room


def _share(whole: Decimal, part: Instant, of: Instant) -> Decimal:
    return (whole * part / of).quantize(_FINE) if of else ZERO
