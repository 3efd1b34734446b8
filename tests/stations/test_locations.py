"""Locations, EVSEs, connectors under OCPI's rules, and their binding to stations."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from hub.kernel import InvalidValue
from hub.runtime import PLATFORM, Database
from hub.stations import (
    Connector,
    Coordinates,
    Evse,
    EvseBound,
    Location,
    StationId,
    StationRef,
    bind_station,
    evse_by_uid,
    evse_of,
    location,
    locations,
    register_station,
    report_status,
    save_location,
)
from hub.stations.messages import StatusReported

PLUG = Connector(id="1", standard="IEC_62196_T2", format="SOCKET", power_type="AC_3_PHASE",
                 max_voltage=230, max_amperage=32, tariff_ids=("T1",))  # fmt: skip
PLACE = Location(
    country_code="NL", party_id="HUB", id="LOC1", publish=True, address="Straat 1",
    city="Utrecht", country="NLD", coordinates=Coordinates(Decimal("52.090700"), Decimal("5.1214")),
    time_zone="Europe/Amsterdam", opening_times=b'{"twentyfourseven":true}',
    evses=(Evse(uid="E1", connectors=(PLUG,)), Evse(uid="E2", connectors=(PLUG,))),
)  # fmt: skip
CP1 = StationRef(PLATFORM, StationId("CP1"))


async def test_a_location_reads_back_as_it_was_saved(database: Database) -> None:
    async with database.tx() as tx:
        assert await save_location(tx, PLACE)
        found = await location(tx, "LOC1")
        assert [one.id for one in await locations(tx)] == ["LOC1"]
    assert str(found.coordinates.latitude) == "52.090700"
    assert found.opening_times == PLACE.opening_times
    assert [(e.uid, e.connectors[0].tariff_ids) for e in found.evses] == [
        ("E1", ("T1",)), ("E2", ("T1",)),
    ]  # fmt: skip


async def test_saving_the_same_again_changes_nothing_and_tells_nobody(database: Database) -> None:
    async with database.tx() as tx:
        await save_location(tx, PLACE)
        first = await location(tx, "LOC1")
    async with database.tx() as tx:
        assert not await save_location(tx, PLACE)
        assert await location(tx, "LOC1") == first


async def test_l_7_a_changed_connector_moves_last_updated_up_the_chain_only(
    database: Database,
) -> None:
    async with database.tx() as tx:
        await save_location(tx, PLACE)
        before = await location(tx, "LOC1")
    stronger = replace(PLUG, max_amperage=63)
    async with database.tx() as tx:
        await save_location(
            tx, replace(PLACE, evses=(Evse(uid="E1", connectors=(stronger,)), PLACE.evses[1]))
        )
        after = await location(tx, "LOC1")
    was, now = before.evses[0], after.evses[0]
    stamps = [
        (was.connectors[0].last_updated, now.connectors[0].last_updated),
        (was.last_updated, now.last_updated),
        (before.last_updated, after.last_updated),
    ]
    assert all(old is not None and new is not None and old < new for old, new in stamps)
    assert before.evses[1] == after.evses[1]


async def test_l_3_an_evse_that_is_gone_is_removed_and_never_deleted(database: Database) -> None:
    async with database.tx() as tx:
        await save_location(tx, PLACE)
        await save_location(tx, replace(PLACE, evses=PLACE.evses[:1]))
        found = await location(tx, "LOC1")
    assert {e.uid: e.status for e in found.evses} == {"E1": "UNKNOWN", "E2": "REMOVED"}


async def test_an_unknown_time_zone_is_refused(database: Database) -> None:
    async with database.tx() as tx:
        with pytest.raises(InvalidValue):
            await save_location(tx, replace(PLACE, time_zone="Mars/Olympus"))


async def test_a_bound_station_speaks_for_its_evse_with_the_status_it_told_before(
    database: Database,
) -> None:
    async with database.tx() as tx:
        await register_station(tx, "CP1")
        await save_location(tx, PLACE)
        await report_status(
            tx, StatusReported(station=CP1, at=tx.now, evse=1, connector=1, status="AVAILABLE",
                               raw="Available"),
        )  # fmt: skip
        for _ in range(2):
            await bind_station(tx, "CP1", 1, "E1")
        found = await evse_of(tx, CP1, 1)
        assert found == await evse_by_uid(tx, "E1")
        with pytest.raises(EvseBound):
            await bind_station(tx, "CP1", 1, "E2")
    assert found is not None
    assert (found.uid, found.location_id, found.time_zone, found.tariff_id, found.status) == (
        "E1", "LOC1", "Europe/Amsterdam", "T1", "AVAILABLE",
    )  # fmt: skip


async def test_a_status_change_moves_the_location_s_last_updated(database: Database) -> None:
    async with database.tx() as tx:
        await register_station(tx, "CP1")
        await save_location(tx, PLACE)
        await bind_station(tx, "CP1", 1, "E1")
        before = await location(tx, "LOC1")
    async with database.tx() as tx:
        await report_status(
            tx, StatusReported(station=CP1, at=tx.now, evse=1, connector=1, status="CHARGING",
                               raw="Charging"),
        )  # fmt: skip
        after = await location(tx, "LOC1")
    assert before.last_updated is not None
    assert after.last_updated is not None
    assert before.last_updated < after.last_updated
    assert after.evses[0].status == "CHARGING"
