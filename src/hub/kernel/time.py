"""Instants: aware UTC datetimes, their text forms, and the one ``Clock`` port.

Business code never asks the machine for the time; it takes ``tx.now`` or a ``Clock``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

from hub.kernel.errors import InvalidValue

_INSTANT = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\.?"
    r"\s*([Zz]|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?")


class Clock(Protocol):
    """Where business time comes from; may run faster than the wall in demo and tests."""

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        ...

    async def sleep_until(self, at: datetime) -> None:
        """Return once ``now()`` has reached ``at``."""
        ...


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant, read as leniently as stations and partners write it (OCPI T-C4).

    Accepts ``Z``, no designator (UTC), ``+hh:mm``, 0 to 9 fraction digits (beyond microseconds
    cut), and a space for ``T``. Raises ``InvalidValue`` for anything else.
    """
    found = _INSTANT.fullmatch(text.strip())
    if not found:
        raise InvalidValue("instant", f"{text[:40]!r} is not an RFC 3339 date and time")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    leap = second == "60"
    try:
        local = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            59 if leap else int(second or 0),
            micro,
            tzinfo=_zone(zone),
        )
        return (local + timedelta(seconds=1 if leap else 0)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidValue("instant", f"{text[:40]!r}: {error}") from error


def _zone(text: str | None) -> timezone:
    found = _OFFSET.fullmatch(text or "")
    if not found:
        return UTC
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-offset if sign == "-" else offset)


def format_instant(at: datetime) -> str:
    """``at`` as RFC 3339 in UTC with ``Z``; milliseconds only when there are any."""
    utc = at.astimezone(UTC)
    style = "milliseconds" if utc.microsecond >= 1000 else "seconds"
    return utc.replace(tzinfo=None).isoformat(timespec=style) + "Z"
