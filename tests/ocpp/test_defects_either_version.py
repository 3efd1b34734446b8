"""Defects A to M once more, where ``test_defects.py`` drives one version only: here the other.

Every test drives real sockets and reads what the database holds afterwards.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.ocpp.stations import AT, Door, Station, door, energy, event, known, station
from tests.ocpp.test_defects import (
    CARD,
    CP1,
    EVSE,
    energies,
    later,
    sampled,
    start,
    stop,
)

from hub.ocpp.fold import fold_station
from hub.runtime import Database


async def begin(cs: Station, transaction: str = "tx-1", **fields: Any) -> Any:
    """A 2.0.1 Started event with the register at zero."""
    started = event("Started", 0, transaction, evse=EVSE, idToken=CARD, trigger="Authorized",
                    meterValue=energy(0, AT, "Transaction.Begin"), **fields)  # fmt: skip
    return await cs.call("TransactionEvent", started)


async def finish(cs: Station, wh: int, transaction: str = "tx-1", seq: int = 9) -> Any:
    """A 2.0.1 Ended event with the last register."""
    ended = event("Ended", seq, transaction, at=later(60), trigger="EVDeparted",
                  meterValue=energy(wh, later(60), "Transaction.End"))  # fmt: skip
    return await cs.call("TransactionEvent", ended)


async def test_A2_the_end_register_wins_over_the_last_meter_value_2_0_1(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await begin(cs)
        sample = energy(4000, later(30))
        await cs.call("TransactionEvent", event("Updated", 1, at=later(30), meterValue=sample))
        await finish(cs, 10000)
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_A3_meter_values_in_kWh_are_right_to_the_Wh_1_6(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        number = await start(cp, meter=0)
        for minute, value in ((10, "5.000"), (20, "10.000")):
            told = sampled(value, number=number, minute=minute, unit="kWh")
            assert await cp.call("MeterValues", told) == {}
        await fold_station(database, CP1, at.server.memory_of("CP1"))
        assert await energies(at) == [("ACTIVE", Decimal(10000))]
        await stop(cp, number, 10001)
        assert await energies(at) == [("COMPLETED", Decimal(10001))]
        rows = await at.rows("SELECT value, unit FROM charging.reading ORDER BY at")
        assert rows == [(Decimal(5000), "Wh"), (Decimal(10000), "Wh")]


async def test_B_two_connectors_start_within_one_tick_1_6(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        for connector in (1, 2):
            payload = {"connectorId": connector, "idTag": "CARD", "meterStart": 0, "timestamp": AT}
            await cp.raw([2, f"s{connector}", "StartTransaction", payload])
        answers = [await cp.frame(), await cp.frame()]
        assert [frame[1] for frame in answers] == ["s1", "s2"]
        numbers = [frame[2]["transactionId"] for frame in answers]
        assert len(set(numbers)) == 2
        await stop(cp, numbers[1], 2000)
        assert [row[0] for row in await energies(at)] == ["ACTIVE", "COMPLETED"]
        await stop(cp, numbers[0], 7000)
        assert [row[1] for row in await energies(at)] == [Decimal(7000), Decimal(2000)]


async def test_C2_many_stations_at_once_keep_every_meter_value_2_0_1(database: Database) -> None:
    names = [f"CS{n}" for n in range(20)]
    await known(database, *names)

    async def drive(at: Door, name: str) -> None:
        async with station(at, name, "ocpp2.0.1") as cs:
            await begin(cs)
            for step in range(1, 5):
                values = energy(step * 100, later(step))
                told = event("Updated", step, at=later(step), meterValue=values)
                assert await cs.call("TransactionEvent", told) == {}
            await finish(cs, 500)

    async with door(database) as at:
        await asyncio.gather(*(drive(at, name) for name in names))
        assert await energies(at) == [("COMPLETED", Decimal(500))] * 20
        sql = "SELECT count(*) FROM charging.reading WHERE context = 'Sample.Periodic'"
        assert await at.rows(sql) == [(80,)]


async def test_E_a_station_cannot_end_anothers_transaction_2_0_1(database: Database) -> None:
    await known(database, "CP1", "CP2")
    async with (
        door(database) as at,
        station(at, protocol="ocpp2.0.1") as cs,
        station(at, "CP2", "ocpp2.0.1") as other,
    ):
        await begin(cs, "mine")
        await finish(other, 9000, "mine")
        mine = "SELECT state, energy_wh FROM charging.session WHERE station_id = 'CP1'"
        assert (await at.rows(mine))[0][0] == "ACTIVE"
        await finish(cs, 5000, "mine")
        assert await at.rows(mine) == [("COMPLETED", Decimal(5000))]


async def test_F_a_message_id_said_again_with_other_content_is_a_new_message_2_0_1(
    database: Database,
) -> None:
    await known(database, "CP1")
    faulted = {"timestamp": AT, "connectorStatus": "Faulted", "evseId": 1, "connectorId": 1}
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        assert "currentTime" in await cs.call("Heartbeat", {}, "1")
        assert await cs.call("StatusNotification", faulted, "1") == {}
        await fold_station(database, CP1, at.server.memory_of("CP1"))
        assert await at.rows("SELECT raw FROM stations.connector_status") == [("Faulted",)]


async def test_G_two_stations_never_share_a_transaction_number_1_6(database: Database) -> None:
    await known(database, "CP1", "CP2")
    async with door(database) as at, station(at) as one, station(at, "CP2") as two:
        numbers = await asyncio.gather(start(one, meter=0), start(two, meter=0))
        assert len(set(numbers)) == 2
        await stop(one, numbers[0], 1000)
        await stop(two, numbers[1], 3000)
        rows = await at.rows("SELECT station_id, energy_wh FROM charging.session ORDER BY 1")
        assert rows == [("CP1", Decimal(1000)), ("CP2", Decimal(3000))]


async def test_H_the_end_register_may_come_only_as_transaction_data_1_6(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        number = await start(cp, meter=0)
        data = [{"timestamp": later(60), "sampledValue": [
            {"value": "8000", "context": "Transaction.End"}]}]  # fmt: skip
        payload = {"transactionId": number, "meterStop": 8000, "timestamp": later(60),
                   "transactionData": data}  # fmt: skip
        assert await cp.call("StopTransaction", payload) == {}
        assert await energies(at) == [("COMPLETED", Decimal(8000))]


BREAKAGES = {
    "Authorize": ("charging.authorization", {"idToken": CARD}),
    "Started": ("charging.session", event("Started", 0, evse=EVSE, idToken=CARD)),
    "MeterValues": ("ocpp.frame", {"evseId": 1, "meterValue": energy(1)}),
    "StatusNotification": (
        "ocpp.pending",
        {"timestamp": AT, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
    ),
}


@pytest.mark.parametrize("case", BREAKAGES)
async def test_K_what_cannot_be_stored_is_never_accepted_2_0_1(
    database: Database, case: str
) -> None:
    table, payload = BREAKAGES[case]
    action = "TransactionEvent" if case == "Started" else case
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await cs.boot()
        room, name = table.split(".")
        await at.rows(f'ALTER TABLE {room}."{name}" RENAME TO gone')
        assert (await cs.call(action, payload, "x"))[0] == "InternalError"
        await at.rows(f'ALTER TABLE {room}.gone RENAME TO "{name}"')
        assert isinstance(await cs.call(action, payload, "x"), dict)


@pytest.mark.parametrize("flood", [1, 10])
async def test_M_meter_values_and_stops_keep_their_order_1_6(
    database: Database, flood: int
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        for one in range(flood):
            number = await start(cp, meter=one * 800, at=later(one * 10))
            sent = [f"v{one}-{step}" for step in range(1, 8)]
            for step, message in enumerate(sent, 1):
                wh = str(one * 800 + step * 100)
                told = sampled(wh, number=number, minute=one * 10 + step)
                await cp.raw([2, message, "MeterValues", told])
            payload = {"transactionId": number, "meterStop": one * 800 + 800,
                       "timestamp": later(one * 10 + 8)}  # fmt: skip
            await cp.raw([2, f"stop{one}", "StopTransaction", payload])
            assert [(await cp.frame())[1] for _ in range(8)] == [*sent, f"stop{one}"]
        assert await energies(at) == [("COMPLETED", Decimal(800))] * flood
        stored = "SELECT count(*), count(session_id) FROM charging.reading"
        assert await at.rows(stored) == [(7 * flood, 7 * flood)]


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_L_after_the_process_is_gone_every_answered_session_is_complete(
    database: Database, protocol: str
) -> None:
    """The door dies between two messages; ``tests/journeys/test_kill.py`` kills the process."""
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol=protocol) as said:
        if protocol == "ocpp1.6":
            number = await start(said, meter=0)
            await said.call("MeterValues", sampled("400", number=number))
        else:
            await begin(said)
            told = event("Updated", 1, at=later(30), meterValue=energy(400, later(30)))
            await said.call("TransactionEvent", told)
    async with door(database) as at, station(at, protocol=protocol) as said:
        if protocol == "ocpp1.6":
            await stop(said, number, 800)
        else:
            await finish(said, 800)
        assert await energies(at) == [("COMPLETED", Decimal(800))]
        periodic = "SELECT value FROM charging.reading WHERE context = 'Sample.Periodic'"
        assert await at.rows(periodic) == [(Decimal(400),)]
