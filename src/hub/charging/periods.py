"""A session as priced periods: where its energy went, and when the vehicle only parked.

How the open points are read:

- Charging until the station says otherwise. SuspendedEVSE (the station withholds power) is
  charging time, SuspendedEV is parking (OCPI CD-9, erratum of May 2026).
- EVConnected and Idle are parking once charging has begun; before that they are the handshake
  and count as charging. Without any state a stretch of zero power stays charging.
- Energy between two samples flows while the vehicle charges, evenly; the registers at start and
  end bound the whole, so the last interval is billed and no sample can add or take energy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal
from uuid import UUID

import msgspec

from hub.charging.energy import Sample
from hub.charging.model import Session
from hub.charging.store import samples_of, session
from hub.charging.times import shifted
from hub.runtime import Tx
from hub.tariffs import Period

Kind = Literal["CHARGING", "PARKING"]

_PLACES: Final = Decimal("0.000001")


class Stretch(msgspec.Struct, frozen=True):
    """A part of a session in which the vehicle either asks for power or does not."""

    start: datetime
    end: datetime
    kind: Kind


async def pricing_periods(tx: Tx, session_id: UUID) -> list[Period]:
    """The periods of a session, to its end, or to its last reading while it runs.

    Their energies add up to the session's energy exactly. Raises ``NotFound``.
    """
    found = await session(tx, session_id)
    return periods_of(found, await samples_of(tx, session_id), await states_of(tx, found))


async def states_of(tx: Tx, found: Session) -> list[tuple[datetime, str]]:
    """The charging states of a session: its own (2.x), and its EVSE's while it ran (1.6)."""
    until = found.ended_at or tx.now
    rows = await tx.rows(
        """SELECT at, state FROM charging.state_change WHERE session_id = %s
           UNION ALL
           SELECT at, state FROM charging.state_change
           WHERE session_id IS NULL AND station_id = %s AND evse = %s AND at BETWEEN %s AND %s
           ORDER BY at""",
        found.id, found.station_id, found.evse, found.started_at, until,
    )  # fmt: skip
    return [(at, state) for at, state in rows]


def periods_of(
    found: Session, samples: Sequence[Sample], states: Sequence[tuple[datetime, str]]
) -> list[Period]:
    """The periods of ``found`` from its register samples and charging states."""
    end = found.ended_at or _last_word(found, samples, states)
    curve = _curve(found, samples, end)
    stretches = _stretches(found.started_at, end, states)
    periods: list[Period] = []
    for (begin, before), (until, after) in pairwise(curve):
        parts = _clipped(stretches, begin, until)
        periods.extend(_spread(parts, after - before))
    if not periods:
        return [Period(found.started_at, end, found.energy_wh)]
    return _joined(periods)


def _last_word(
    found: Session, samples: Sequence[Sample], states: Sequence[tuple[datetime, str]]
) -> datetime:
    """How far a running session is known: its station's last word, or its last change here."""
    heard = [s.at for s in samples] + [at for at, _ in states]
    return max([found.started_at, *(heard or [found.last_updated])])


def _curve(
    found: Session, samples: Sequence[Sample], end: datetime
) -> list[tuple[datetime, Decimal]]:
    """Energy since the start over time: rising, from zero to the session's energy."""
    points = [(found.started_at, Decimal(0))]
    for sample in samples:
        at = shifted(sample.at, start_raw=found.start_raw, started_at=found.started_at)
        wh = _since_start(found, sample.wh)
        if at is None or wh is None or not points[-1][0] < at < end:
            continue
        if points[-1][1] <= wh <= found.energy_wh:
            points.append((at, wh))
    if end > points[-1][0]:
        points.append((end, found.energy_wh))
    return points


def _since_start(found: Session, wh: Decimal) -> Decimal | None:
    if found.meter_start is None or "register_reset" in found.flags:
        return None
    if wh >= found.meter_start:
        return wh - found.meter_start
    return wh if "session_relative" in found.flags else None


def _stretches(
    start: datetime, end: datetime, states: Sequence[tuple[datetime, str]]
) -> list[Stretch]:
    kind: Kind = "CHARGING"
    begun, since = False, start
    found: list[Stretch] = []
    for at, state in states:
        begun = begun or state in ("Charging", "SuspendedEV", "SuspendedEVSE")
        becomes = _kind(state, begun=begun)
        if becomes != kind and at < end:
            if at > since:
                found.append(Stretch(since, at, kind))
            kind, since = becomes, max(at, start)
    if end > since:
        found.append(Stretch(since, end, kind))
    return found


def _kind(state: str, *, begun: bool) -> Kind:
    if state == "SuspendedEV" or (begun and state in ("EVConnected", "Idle")):
        return "PARKING"
    return "CHARGING"


def _clipped(stretches: Sequence[Stretch], start: datetime, end: datetime) -> list[Stretch]:
    first = max(bisect_right(stretches, start, key=lambda s: s.start) - 1, 0)
    found: list[Stretch] = []
    for one in stretches[first:]:
        if one.start >= end:
            break
        found.append(Stretch(max(one.start, start), min(one.end, end), one.kind))
    return found


def _spread(parts: Sequence[Stretch], wh: Decimal) -> list[Period]:
    """``wh`` over ``parts``: while the vehicle charges, or evenly when it never does."""
    flows = [part for part in parts if part.kind == "CHARGING"] or list(parts)
    whole = sum((_micros(part) for part in flows), 0)
    periods: list[Period] = []
    passed, given = 0, Decimal(0)
    for part in parts:
        share = Decimal(0)
        if part in flows and whole:
            passed += _micros(part)
            # Differences of a rounded running sum: the shares add up to ``wh`` exactly.
            upto = wh if passed == whole else (wh * passed / whole).quantize(_PLACES)
            share, given = upto - given, upto
        periods.append(Period(part.start, part.end, share, part.kind))
    return periods


def _micros(part: Stretch) -> int:
    return (part.end - part.start) // timedelta(microseconds=1)


def _joined(periods: Sequence[Period]) -> list[Period]:
    """``periods`` with neighbours joined that carry no energy and are of one kind."""
    found: list[Period] = []
    for one in periods:
        last = found[-1] if found else None
        if last and last.kind == one.kind and not last.energy_wh and not one.energy_wh:
            found[-1] = Period(last.start, one.end, last.energy_wh, last.kind)
        else:
            found.append(one)
    return found
