"""A field with one approved station, a hand-set clock, and short ways to speak as a station."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hub.runtime import PLATFORM, Database
from hub.stations import StationId, StationRef, register_station
from tests.charging.field import Field, HandClock


@pytest.fixture
async def field(database_url: str) -> AsyncIterator[Field]:
    """Stations CP1 and CP2 of the platform's own tenant, and the known card CARD1."""
    clock = HandClock()
    database = Database(database_url, clock=clock, size=4)
    await database.open()
    async with database.tx(PLATFORM) as tx:
        for name in ("CP1", "CP2"):
            await register_station(tx, name)
    field = Field(database, clock, StationRef(PLATFORM, StationId("CP1")))
    await field.card("CARD1")
    yield field
    await database.close()
