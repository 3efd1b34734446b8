"""Connections, boots and statuses."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from hub.kernel import new_id
from hub.runtime import PLATFORM, Database, JobRunner
from hub.stations import (
    StationId,
    StationRef,
    boot,
    connector_statuses,
    evse_of,
    mark_unreachable,
    note_unknown_station,
    refuse_station,
    register_station,
    report_status,
    station,
    station_connected,
    station_disconnected,
)
from hub.stations.links import UNREACHABLE_AFTER, evse_status
from hub.stations.messages import StationBooted, StatusReported

CP1 = StationRef(PLATFORM, StationId("CP1"))


async def _events(database: Database, name: str) -> int:
    async with database.tx() as tx:
        return int(
            await tx.value("SELECT count(*) FROM runtime.event WHERE name = %s", f"stations.{name}")
        )


async def _report(database: Database, status: str, *, evse: int = 1, connector: int = 1) -> bool:
    async with database.tx() as tx:
        return await report_status(
            tx,
            StatusReported(
                station=CP1, at=tx.now, evse=evse, connector=connector, status=status,  # type: ignore[arg-type]
                raw=status.title(), vendor_error="E42",
            ),
        )  # fmt: skip


async def _evse(database: Database) -> str:
    async with database.tx() as tx:
        found = await evse_of(tx, CP1, 1)
    assert found is not None
    return found.status


@pytest.fixture
async def registered(database: Database) -> Database:
    async with database.tx() as tx:
        await register_station(tx, "CP1")
    return database


async def test_j_the_end_of_an_old_connection_does_not_set_a_reconnected_station_offline(
    registered: Database,
) -> None:
    old, new = new_id(), new_id()
    async with registered.tx() as tx:
        await station_connected(tx, CP1, "ocpp1.6", old)
        await station_connected(tx, CP1, "ocpp2.0.1", new)
    async with registered.tx() as tx:
        assert await station_disconnected(tx, CP1, old) is False
        assert (await station(tx, "CP1")).online
        assert await station_disconnected(tx, CP1, new) is True
        assert not (await station(tx, "CP1")).online
    assert await _events(registered, "StationDisconnected") >= 1


async def test_a_status_creates_its_evse_and_tells_only_changes(registered: Database) -> None:
    assert await _report(registered, "AVAILABLE")
    assert not await _report(registered, "AVAILABLE")
    assert await _report(registered, "CHARGING")
    assert await _events(registered, "EvseStatusChanged") == 2
    async with registered.tx() as tx:
        (row,) = await connector_statuses(tx, "CP1")
    assert (row.status, row.vendor_error) == ("CHARGING", "E42")


async def test_the_status_of_the_station_itself_changes_no_evse(registered: Database) -> None:
    assert not await _report(registered, "INOPERATIVE", evse=0, connector=0)
    assert await _events(registered, "EvseStatusChanged") == 0


async def test_one_busy_connector_occupies_its_evse(registered: Database) -> None:
    await _report(registered, "AVAILABLE", connector=1)
    await _report(registered, "CHARGING", connector=2)
    assert await _evse(registered) == "CHARGING"
    assert evse_status(["OUTOFORDER", "AVAILABLE"]) == "AVAILABLE"
    assert evse_status([]) == "UNKNOWN"


async def test_l_8_a_lost_station_is_unknown_after_a_minute_and_known_again_at_once(
    registered: Database,
) -> None:
    clock = _Clock(registered)
    link = new_id()
    async with registered.tx() as tx:
        await station_connected(tx, CP1, "ocpp1.6", link)
    await _report(registered, "AVAILABLE")
    async with registered.tx() as tx:
        await station_disconnected(tx, CP1, link)
    runner = JobRunner(registered, [mark_unreachable])
    await runner.drain()
    assert await _evse(registered) == "AVAILABLE"
    clock.ahead(UNREACHABLE_AFTER)
    await runner.drain()
    assert await _evse(registered) == "UNKNOWN"
    async with registered.tx() as tx:
        await station_connected(tx, CP1, "ocpp1.6", new_id())
    assert await _evse(registered) == "AVAILABLE"


class _Clock:
    """The database's clock, moved by hand."""

    def __init__(self, database: Database) -> None:
        self._at = database.clock.now()
        database.clock = self  # type: ignore[assignment]

    def ahead(self, by: timedelta) -> None:
        self._at += by

    def now(self) -> datetime:
        return self._at


async def test_a_boot_is_answered_by_the_station_s_approval(database: Database) -> None:
    async with database.tx() as tx:
        await register_station(tx, "CP1")
        for name in ("P", "R"):
            await note_unknown_station(tx, name, "10.0.0.9")
        await refuse_station(tx, "R")
        answers = {}
        for name in ("CP1", "P", "R"):
            booted = StationBooted(
                station=StationRef(PLATFORM, StationId(name)), at=tx.now, protocol="ocpp1.6",
                vendor="V", model="M", firmware="1.2",
            )  # fmt: skip
            answers[name] = (await boot(tx, booted)).status
        assert (await station(tx, "CP1")).firmware == "1.2"
    assert answers == {"CP1": "Accepted", "P": "Pending", "R": "Rejected"}
