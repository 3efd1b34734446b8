"""Whose clock to trust: pure decisions about instants that stations write on their messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_FIRST = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(minutes=5)


def plausible(at: datetime, received_at: datetime) -> bool:
    """Whether a station's instant can be true: not before 2015, not five minutes in the future.

    The past is believed: a stop may come days late from a station that was offline.
    """
    return _FIRST <= at <= received_at + _AHEAD


def business_time(at: datetime, received_at: datetime) -> datetime:
    """The instant to bill on: the station's when it can be true, else that of receipt."""
    return at if plausible(at, received_at) else received_at


def ended_time(
    at: datetime, received_at: datetime, *, start_raw: datetime | None, started_at: datetime
) -> datetime:
    """The instant of an end, never before the start.

    A clock that stood in 1970 at the start and still does measures the length rightly.
    """
    if plausible(at, received_at):
        return max(at, started_at)
    moved = shifted(at, start_raw=start_raw, started_at=started_at)
    if moved is not None and started_at <= moved <= received_at:
        return moved
    return max(received_at, started_at)


def shifted(at: datetime, *, start_raw: datetime | None, started_at: datetime) -> datetime | None:
    """A reading's instant in true time, or ``None`` when its clock was lost and nothing helps."""
    if at >= _FIRST:
        return at
    if start_raw is None or start_raw >= _FIRST:
        return None
    return started_at + (at - start_raw)
