"""One clock for all, and a live bus that never blocks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from hub.kernel import InvalidValue
from hub.runtime import LocalBus, SystemClock, clock_of
from hub.runtime.bus import Wake


async def test_a_fast_clock_agrees_with_the_wall_at_its_epoch_and_then_outruns_it() -> None:
    wall = SystemClock().now()
    clock = clock_of(f"{(wall - timedelta(seconds=10)).isoformat()},60")
    ahead = clock.now() - wall
    assert timedelta(seconds=589) < ahead < timedelta(seconds=660)
    before = SystemClock().now()
    await clock.sleep_until(clock.now() + timedelta(seconds=3))
    assert SystemClock().now() - before < timedelta(seconds=2)


@pytest.mark.parametrize("setting", ["soon", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z,0.5"])
def test_a_malformed_clock_is_refused(setting: str) -> None:
    with pytest.raises(InvalidValue):
        clock_of(setting)


async def test_a_subscriber_hears_its_topic_and_its_prefix() -> None:
    bus = LocalBus()
    with bus.subscribe("session:1") as exact, bus.subscribe("session:*") as every:
        bus.publish("session:1", b"a")
        bus.publish("session:2", b"b")
        assert await exact.get(1) == ("session:1", b"a")
        assert [await every.get(1), await every.get(1)] == [
            ("session:1", b"a"),
            ("session:2", b"b"),
        ]
        assert await exact.get(0.01) is None


async def test_a_slow_subscriber_loses_the_oldest_message_and_blocks_no_one() -> None:
    bus = LocalBus()
    with bus.subscribe("t") as slow:
        for n in range(300):
            bus.publish("t", str(n).encode())
        assert await slow.get(1) == ("t", b"44")


async def test_a_closed_subscription_hears_nothing() -> None:
    bus = LocalBus()
    gone = bus.subscribe("t")
    gone.close()
    bus.publish("t", b"x")
    assert await gone.get(0.01) is None


async def test_many_rings_are_one_wake_up() -> None:
    wake = Wake()
    wake.ring()
    wake.ring()
    await asyncio.wait_for(wake.wait(60), 1)
    start = asyncio.get_running_loop().time()
    await wake.wait(0.02)
    assert asyncio.get_running_loop().time() - start >= 0.015
