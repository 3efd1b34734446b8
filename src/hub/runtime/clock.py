"""Business time: the wall clock, or one shared clock that runs faster in demo and tests.

``HUB_CLOCK=EPOCH,FACTOR``: at the wall instant EPOCH both clocks agree; from then on business
time runs FACTOR times as fast. Every process with the same setting sees the same time.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import time

from hub.kernel import Clock, InvalidValue, parse_instant

_LONGEST_NAP = 3600.0


def _wall() -> datetime:
    return datetime.fromtimestamp(time(), UTC)


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return _wall()

    async def sleep_until(self, at: datetime) -> None:
        """Return once the wall clock has reached ``at``."""
        while (left := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, _LONGEST_NAP))


class FastClock:
    """Business time that equals the wall at ``epoch`` and then runs ``factor`` times as fast."""

    def __init__(self, epoch: datetime, factor: int) -> None:
        self._epoch = epoch
        self._factor = factor

    def now(self) -> datetime:
        """The present business instant in UTC."""
        return self._epoch + (_wall() - self._epoch) * self._factor

    async def sleep_until(self, at: datetime) -> None:
        """Return once business time has reached ``at``."""
        while (left := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left / self._factor, _LONGEST_NAP))


def clock_of(setting: str) -> Clock:
    """The clock that ``HUB_CLOCK`` describes (empty: the wall); ``InvalidValue`` if malformed."""
    if not setting:
        return SystemClock()
    epoch, _, factor = setting.partition(",")
    if not factor.isdigit() or not 1 <= int(factor) <= 100_000:
        raise InvalidValue("HUB_CLOCK", "expected EPOCH,FACTOR such as 2026-01-01T00:00:00Z,60")
    return FastClock(parse_instant(epoch), int(factor))


def later(at: datetime, seconds: int) -> datetime:
    """``at`` plus whole seconds."""
    return at + timedelta(seconds=seconds)
