"""Answered means stored: the hub dies without farewell under load, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hub.sim import Car, SimStation
from tests.journeys.world import enrolled, rows, running_hub

CARD = "04AABBCCDDEEFF"
FLEET = (
    ("KILL-16-A", "ocpp1.6"),
    ("KILL-16-B", "ocpp1.6"),
    ("KILL-201-A", "ocpp2.0.1"),
    ("KILL-201-B", "ocpp2.0.1"),
)
SESSIONS = """SELECT station_id, coalesce(ref, number::text) AS name, state, energy_wh,
  meter_start, meter_stop, estimated FROM charging.session"""
READINGS = """SELECT station_id, count(*) AS stored, count(DISTINCT (session_id, at)) AS distinct
  FROM charging.reading WHERE context = 'Sample.Periodic'
    AND measurand = 'Energy.Active.Import.Register' GROUP BY station_id"""


async def _drive(station: SimStation, done: asyncio.Event) -> None:
    """One car after the other, also while the hub is away."""
    while not done.is_set():
        charge = await station.begin(CARD, wh=1_500)
        await station.until(lambda: charge.meter_stop is not None, "the end", within=60)  # noqa: B023
        await station.until(lambda: len(station.outbox) < 30, "a shorter queue", within=60)
        station.evses[1].car = Car()


def _answered(stations: list[SimStation]) -> int:
    return sum(sum(charge.told.values()) for station in stations for charge in station.charges)


async def _answers_more(stations: list[SimStation], more: int) -> None:
    goal = _answered(stations) + more
    while _answered(stations) < goal:
        waits = [asyncio.ensure_future(s.until(_changes(s), within=60)) for s in stations]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _changes(station: SimStation) -> Callable[[], bool]:
    before = _answered([station])
    return lambda: _answered([station]) > before


@pytest.mark.parametrize(
    "kills", [2, pytest.param(10, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
async def test_what_was_answered_before_a_kill_is_stored_once_to_the_watt_hour(
    kills: int, tmp_path: Path, database_url: str
) -> None:
    chance = random.Random(kills)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(tmp_path, database_url))
        await hub.api("POST", "/tokens", {"uid": CARD})
        stations = [
            await enrolled(hub, identity, protocol, sample_every=0) for identity, protocol in FLEET
        ]
        for station in stations:
            await stack.enter_async_context(station)
        done = asyncio.Event()
        driving = [asyncio.ensure_future(_drive(station, done)) for station in stations]
        for _ in range(kills):
            await _answers_more(stations, chance.randrange(5, 60))
            await hub.kill()
            await hub.start()
        await _answers_more(stations, 20)
        done.set()
        await asyncio.gather(*driving)
        for station in stations:
            for charge in station.charges:
                await station.settled(charge, within=60)
            assert station.refused == []

    kept = {(row["station_id"], row["name"]): row for row in rows(database_url, SESSIONS)}
    told = {
        (s.identity, str(c.number) if s.protocol == "ocpp1.6" else c.ref): c
        for s in stations
        for c in s.charges
    }
    assert len(rows(database_url, SESSIONS)) == len(told)
    assert kept.keys() == told.keys()
    for key, charge in told.items():
        row = kept[key]
        assert (row["state"], row["estimated"]) == ("COMPLETED", False), key
        assert (row["meter_start"], row["meter_stop"]) == (charge.meter_start, charge.meter_stop)
        assert row["energy_wh"] == charge.energy_wh == 1_500
    counted = {row["station_id"]: row for row in rows(database_url, READINGS)}
    for station in stations:
        samples = sum(len(charge.readings) for charge in station.charges)
        found = counted[station.identity]
        assert (found["stored"], found["distinct"]) == (samples, samples), station.identity
