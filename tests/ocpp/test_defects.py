"""What breaks in other central systems must hold here, in both versions (defects A to M).

Every test drives real sockets and reads what the database holds afterwards.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.ocpp.stations import (
    AT,
    Door,
    Station,
    door,
    energy,
    event,
    known,
    station,
    until,
)
from websockets.exceptions import ConnectionClosed

from hub.ocpp.fold import fold_station
from hub.runtime import PLATFORM, Database
from hub.stations import StationId, StationRef

CARD = {"idToken": "CARD", "type": "ISO14443"}
EVSE = {"id": 1, "connectorId": 1}


def later(minutes: int) -> str:
    """An instant that many minutes after ``AT``."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    return at.isoformat().replace("+00:00", "Z")


async def start(cp: Station, *, connector: int = 1, meter: int = 1000, at: str = AT) -> int:
    """StartTransaction; its transaction id."""
    payload = {"connectorId": connector, "idTag": "CARD", "meterStart": meter, "timestamp": at}
    return int((await cp.call("StartTransaction", payload))["transactionId"])


async def stop(cp: Station, number: int, meter: int, at: str = "2026-01-01T01:00:00Z") -> Any:
    """StopTransaction."""
    payload = {"transactionId": number, "meterStop": meter, "timestamp": at}
    return await cp.call("StopTransaction", payload)


def sampled(value: str, *, number: int | None = None, minute: int = 30, **fields: Any) -> Any:
    """MeterValues of connector 1 with one sample."""
    payload: dict[str, Any] = {
        "connectorId": 1,
        "meterValue": [{"timestamp": later(minute), "sampledValue": [{"value": value} | fields]}],
    }
    return payload if number is None else payload | {"transactionId": number}


async def charge(
    cs: Station, *, begin: object = 1000, end: object = 11000, transaction: str = "tx-1",
    base: int = 0,
) -> None:  # fmt: skip
    """A whole 2.0.1 transaction."""
    started = event("Started", 0, transaction, at=later(base), evse=EVSE, idToken=CARD,
                    trigger="Authorized",
                    meterValue=energy(begin, later(base), "Transaction.Begin"))  # fmt: skip
    await cs.call("TransactionEvent", started)
    at = later(base + 60)
    ended = event("Ended", 1, transaction, at=at, trigger="EVDeparted",
                  meterValue=energy(end, at, "Transaction.End"))  # fmt: skip
    await cs.call("TransactionEvent", ended)


async def energies(at: Door) -> list[tuple[str, Decimal]]:
    """State and energy of every session, oldest first."""
    return await at.rows("SELECT state, energy_wh FROM charging.session ORDER BY number")


async def test_A_energy_comes_from_the_registers_without_meter_values_1_6(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await stop(cp, await start(cp), 11000)
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_A_energy_comes_from_begin_and_end_samples_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await charge(cs)
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_A2_the_stop_register_wins_over_the_last_meter_value(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        number = await start(cp, meter=0)
        await cp.call("MeterValues", sampled("4000", number=number))
        await stop(cp, number, 10000)
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_A3_energy_in_kWh_is_right_to_the_Wh_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        begin = energy(5, AT, "Transaction.Begin")
        end = energy(10.001, later(60), "Transaction.End")
        for values in (begin, end):
            values[0]["sampledValue"][0]["unitOfMeasure"] = {"unit": "kWh"}
        await cs.call(
            "TransactionEvent",
            event("Started", 0, evse=EVSE, idToken=CARD, meterValue=begin),
        )
        await cs.call("TransactionEvent", event("Ended", 1, at=later(60), meterValue=end))
        assert await energies(at) == [("COMPLETED", Decimal(5001))]


async def test_B_two_connectors_charge_side_by_side_1_6(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        first = await start(cp, connector=1, meter=0)
        second = await start(cp, connector=2, meter=500)
        assert first != second
        await stop(cp, first, 7000)
        assert [row[0] for row in await energies(at)] == ["COMPLETED", "ACTIVE"]
        await stop(cp, second, 2500)
        assert await energies(at) == [
            ("COMPLETED", Decimal(7000)), ("COMPLETED", Decimal(2000)),
        ]  # fmt: skip


async def test_B_two_connectors_start_within_one_tick_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        for number in (1, 2):
            await cs.raw([2, f"s{number}", "TransactionEvent", event(
                "Started", 0, f"tx-{number}", evse={"id": number, "connectorId": 1}, idToken=CARD,
            )])  # fmt: skip
        assert [(await cs.frame())[1], (await cs.frame())[1]] == ["s1", "s2"]
        rows = await at.rows("SELECT ref, evse FROM charging.session ORDER BY ref")
        assert rows == [("tx-1", 1), ("tx-2", 2)]


@pytest.mark.parametrize("count", [3, 50])
async def test_C_an_offline_flush_bills_every_transaction_1_6(
    database: Database, count: int
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        numbers = []
        for one in range(count):
            base = one * 120
            number = await start(cp, meter=one * 10000, at=later(base))
            for step in (1, 2, 3):
                values = sampled(str(one * 10000 + step * 2500), number=number, minute=base + step)
                assert await cp.call("MeterValues", values) == {}
            await stop(cp, number, (one + 1) * 10000, later(base + 60))
            numbers.append(number)
        assert len(set(numbers)) == count
        assert await energies(at) == [("COMPLETED", Decimal(10000))] * count
        assert await at.rows("SELECT count(*) FROM charging.reading") == [(3 * count,)]


async def test_C_an_offline_flush_bills_every_transaction_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        for one in range(20):
            await charge(
                cs, begin=one * 10000, end=(one + 1) * 10000, transaction=f"tx-{one}",
                base=one * 120,
            )  # fmt: skip
        assert await energies(at) == [("COMPLETED", Decimal(10000))] * 20


async def test_C2_many_stations_at_once_keep_every_meter_value(database: Database) -> None:
    names = [f"CP{n}" for n in range(20)]
    await known(database, *names)

    async def drive(at: Door, name: str) -> None:
        async with station(at, name) as cp:
            number = await start(cp, meter=0)
            for step in range(1, 5):
                await cp.call("MeterValues", sampled(str(step * 100), number=number, minute=step))
            await stop(cp, number, 500)

    async with door(database) as at:
        await asyncio.gather(*(drive(at, name) for name in names))
        assert await energies(at) == [("COMPLETED", Decimal(500))] * 20
        assert await at.rows("SELECT count(*) FROM charging.reading") == [(80,)]


async def test_D_a_late_duplicate_start_opens_nothing(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        number = await start(cp)
        await stop(cp, number, 11000)
        assert await start(cp) == number
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_D_a_late_duplicate_started_event_opens_nothing(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await charge(cs)
        await charge(cs)
        assert await energies(at) == [("COMPLETED", Decimal(10000))]


async def test_E_a_station_cannot_end_anothers_transaction(database: Database) -> None:
    await known(database, "CP1", "CP2")
    async with door(database) as at, station(at) as cp, station(at, "CP2") as other:
        number = await start(cp, meter=0)
        assert await stop(other, number, 9000) == {}
        assert [row[0] for row in await energies(at)] == ["ACTIVE"]
        await stop(cp, number, 5000)
        assert await energies(at) == [("COMPLETED", Decimal(5000))]


async def test_F_a_message_id_said_again_with_other_content_is_a_new_message(
    database: Database,
) -> None:
    await known(database, "CP1")
    faulted = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted"}
    async with door(database) as at, station(at) as cp:
        assert "currentTime" in await cp.call("Heartbeat", {}, "1")
        assert await cp.call("StatusNotification", faulted, "1") == {}
        await fold_station(database, CP1, at.server.memory_of("CP1"))
        rows = await at.rows("SELECT raw, error FROM stations.connector_status")
        assert rows == [("Faulted", "GroundFailure")]


@pytest.mark.parametrize("again", ["same connection", "new connection", "new process"])
async def test_F_a_message_sent_again_gets_the_same_bytes(database: Database, again: str) -> None:
    await known(database, "CP1")
    payload = {"connectorId": 1, "idTag": "CARD", "meterStart": 0, "timestamp": AT}
    frame = msgspec.json.encode([2, 7, "StartTransaction", payload]).decode()

    async def said(cp: Station) -> object:
        await cp.socket.send(frame)
        return await cp.socket.recv()

    async with door(database) as at:
        async with station(at) as cp:
            first = await said(cp)
            if again == "same connection":
                assert await said(cp) == first
        if again == "new connection":
            async with station(at) as cp:
                assert await said(cp) == first
    if again == "new process":
        async with door(database) as at, station(at) as cp:
            assert await said(cp) == first
            rows = await at.rows("SELECT count(*) FROM ocpp.frame")
            assert rows == [(1,)]


async def test_G_two_stations_use_one_transaction_id(database: Database) -> None:
    await known(database, "CS1", "CS2")
    async with (
        door(database) as at,
        station(at, "CS1", "ocpp2.0.1") as one,
        station(at, "CS2", "ocpp2.0.1") as two,
    ):
        await charge(one, begin=0, end=1000)
        await charge(two, begin=0, end=3000)
        rows = await at.rows("SELECT station_id, energy_wh FROM charging.session ORDER BY 1")
        assert rows == [("CS1", Decimal(1000)), ("CS2", Decimal(3000))]


async def test_H_the_end_register_may_come_only_with_the_ended_event(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await cs.call("TransactionEvent", event("Started", 0, evse=EVSE, idToken=CARD))
        values = [
            *energy(0, AT, "Transaction.Begin"),
            *energy(8000, later(60), "Transaction.End"),
        ]
        await cs.call("TransactionEvent", event("Ended", 1, at=later(60), meterValue=values))
        assert await energies(at) == [("COMPLETED", Decimal(8000))]


@pytest.mark.parametrize("kind", ["Started", "Updated"])
async def test_I_an_unknown_card_is_not_accepted_in_a_transaction_event(
    database: Database, kind: str
) -> None:
    await known(database, "CP1")
    stranger = {"idToken": "STRANGER", "type": "ISO14443"}
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        if kind == "Updated":
            await cs.call("TransactionEvent", event("Started", 0, evse=EVSE))
        told = await cs.call("TransactionEvent", event(kind, 1, evse=EVSE, idToken=stranger))
        assert told["idTokenInfo"]["status"] in ("Invalid", "Unknown")


async def test_I_an_unknown_card_is_not_accepted_1_6(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        payload = {"connectorId": 1, "idTag": "STRANGER", "meterStart": 0, "timestamp": AT}
        told = await cp.call("StartTransaction", payload)
        assert told["idTagInfo"]["status"] == "Invalid"
        assert told["transactionId"] > 0


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_J_the_newest_connection_wins_and_the_old_ones_end_clears_nothing(
    database: Database, protocol: str
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol=protocol) as old:
        await old.boot()
        async with station(at, protocol=protocol) as new:
            await new.boot()
            with pytest.raises(ConnectionClosed) as raised:
                await asyncio.wait_for(old.socket.recv(), 5)
            assert raised.value.rcvd is not None
            assert raised.value.rcvd.reason == "replaced by a newer connection"
            await old.socket.wait_closed()
            assert "currentTime" in await new.call("Heartbeat", {})
            assert at.server.connected == ["CP1"]
            rows = await at.rows("SELECT online FROM stations.station")
            assert rows == [(True,)]


BREAKAGES = {
    "Authorize": ("charging.authorization", {"idTag": "CARD"}),
    "StartTransaction": (
        "charging.session",
        {"connectorId": 1, "idTag": "CARD", "meterStart": 0, "timestamp": AT},
    ),
    "MeterValues": ("ocpp.frame", sampled("1")),
    "StatusNotification": (
        "ocpp.pending", {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("action", BREAKAGES)
async def test_K_what_cannot_be_stored_is_never_accepted(database: Database, action: str) -> None:
    table, payload = BREAKAGES[action]
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        room, name = table.split(".")
        await at.rows(f'ALTER TABLE {room}."{name}" RENAME TO gone')
        assert (await cp.call(action, payload, "x"))[0] == "InternalError"
        await at.rows(f'ALTER TABLE {room}.gone RENAME TO "{name}"')
        assert isinstance(await cp.call(action, payload, "x"), dict)


async def test_M_meter_values_and_ends_keep_their_order_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        for one in range(10):
            name = f"tx-{one}"
            await cs.call(
                "TransactionEvent",
                event("Started", 0, name, evse=EVSE, idToken=CARD, at=later(one * 10),
                      meterValue=energy(one * 800, later(one * 10), "Transaction.Begin")),
            )  # fmt: skip
            for step in range(1, 8):
                at_minute = later(one * 10 + step)
                values = energy(one * 800 + step * 100, at_minute)
                updated = event("Updated", step, name, at=at_minute, meterValue=values)
                assert await cs.call("TransactionEvent", updated) == {}
            end = later(one * 10 + 8)
            # No end register: the last answered sample must be there already.
            await cs.call("TransactionEvent", event("Ended", 8, name, at=end))
        assert await energies(at) == [("COMPLETED", Decimal(700))] * 10


async def test_answered_means_stored(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        for minute in range(20):
            await cp.call("MeterValues", sampled(str(minute), minute=minute))
            rows = await at.rows("SELECT count(*) FROM ocpp.frame")
            assert rows == [(minute + 1,)]


async def test_what_was_answered_is_folded_by_the_next_process(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        number = await start(cp, meter=0)
        await cp.call("MeterValues", sampled("4000", number=number))
        rows = await at.rows("SELECT count(*) FROM ocpp.pending")
    async with door(database) as at:

        async def folded() -> bool:
            return await at.rows("SELECT energy_wh FROM charging.session") == [(Decimal(4000),)]

        await until(folded)
        assert await at.rows("SELECT count(*) FROM ocpp.pending") == [(0,)]
    assert rows in ([(1,)], [(0,)])


async def test_a_frame_that_cannot_be_folded_is_set_aside_and_its_neighbours_go_on(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        # Postgres refuses readings of one EVSE number here: a stand-in for any poison.
        await at.rows("ALTER TABLE charging.reading ADD CHECK (value <> 13)")
        number = await start(cp, meter=0)
        for value in ("10", "13", "20"):
            assert await cp.call("MeterValues", sampled(value, number=number)) == {}
        await stop(cp, number, 100)
        assert await energies(at) == [("COMPLETED", Decimal(100))]
        rows = await at.rows("SELECT value FROM charging.reading ORDER BY 1")
        assert rows == [(Decimal(10),), (Decimal(20),)]
        quarantined = await at.rows("SELECT reason FROM ocpp.quarantine")
        assert len(quarantined) == 1
        assert "CheckViolation" in quarantined[0][0]


MALFORMED = {
    "no JSON": "[2,",
    "no array": "{}",
    "empty": "",
    "deep": "[" * 5000 + "]" * 5000,
    "no action": '[2,"x"]',
    "list for action": '[2,"x",["a"],{}]',
    "stray answer": '[3,"nobody",{}]',
    "stray error": '[4,"nobody","InternalError","",{}]',
    "unknown type": '[9,"x",{}]',
    "payload is a list": '[2,"x","Heartbeat",[]]',
    "unknown action": '[2,"x","Nonsense",{}]',
    "ours to ask": '[2,"x","RemoteStartTransaction",{"idTag":"x"}]',
    "huge connector": '[2,"x","MeterValues",{"connectorId":99999999999,"meterValue":[]}]',
}


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_malformed_frames_end_neither_this_session_nor_others(
    database: Database, protocol: str
) -> None:
    await known(database, "CP1", "CP2")
    async with (
        door(database) as at,
        station(at, protocol=protocol) as cp,
        station(at, "CP2", protocol) as other,
    ):
        for name, frame in MALFORMED.items():
            await cp.raw(frame)
            assert "currentTime" in await cp.call("Heartbeat", {}, name)
            assert "currentTime" in await other.call("Heartbeat", {})


FAULTS = {
    "unknown action": ("Nonsense", {}, "NotImplemented"),
    "ours to ask": ("Reset", {"type": "Hard"}, "NotSupported"),
    "missing": ("Authorize", {}, "OccurenceConstraintViolation"),
    "wrong type": (
        "StartTransaction",
        {"connectorId": 1, "idTag": "CARD", "meterStart": "x", "timestamp": AT},
        "TypeConstraintViolation",
    ),
    "connector below zero": (
        "StatusNotification", {"connectorId": -1, "errorCode": "NoError", "status": "Faulted"},
        "PropertyConstraintViolation",
    ),
}  # fmt: skip


async def test_a_call_that_cannot_be_taken_gets_its_callerror(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        for name, (action, payload, code) in FAULTS.items():
            assert (await cp.call(action, payload, name))[0] == code


async def test_strictly_a_deviation_is_refused_and_leniently_it_is_read(
    database: Database,
) -> None:
    await known(database, "CP1")
    odd = {"idTag": "CARD", "vendor": 1}
    async with door(database) as at, station(at) as cp:
        assert (await cp.call("Authorize", odd))["idTagInfo"]["status"] == "Accepted"
    async with door(database, strict=True) as at, station(at) as cp:
        assert (await cp.call("Authorize", odd, "another"))[0] == "FormationViolation"


CP1 = StationRef(PLATFORM, StationId("CP1"))


async def test_one_session_can_be_followed_by_one_correlation_id(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.call("Authorize", {"idTag": "CARD"})
        number = await start(cp, meter=0)
        await cp.call("MeterValues", sampled("100", number=number))
        await stop(cp, number, 200)
        ((trace,),) = await at.rows("SELECT trace FROM charging.session")
        rows = await at.rows("SELECT action FROM ocpp.frame WHERE trace = %s ORDER BY id", trace)
        assert [row[0] for row in rows] == [
            "Authorize", "StartTransaction", "MeterValues", "StopTransaction",
        ]  # fmt: skip


async def test_a_contract_certificate_that_nobody_checks_is_not_accepted(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        asked = {"idToken": {"idToken": "CARD", "type": "eMAID"}, "certificate": "x"}
        told = await cs.call("Authorize", asked)
        assert told["idTokenInfo"] == {"status": "Invalid"}
        assert told["certificateStatus"] == "NoCertificateAvailable"
        assert await at.rows('SELECT count(*) FROM charging."authorization"') == [(0,)]


async def test_availability_may_be_told_as_an_event_2_0_1(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        told = {
            "eventId": 1, "timestamp": AT, "trigger": "Delta", "actualValue": "Occupied",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
            "variable": {"name": "AvailabilityState"},
        }  # fmt: skip
        payload = {"generatedAt": AT, "seqNo": 0, "eventData": [told]}
        assert await cs.call("NotifyEvent", payload) == {}
        await fold_station(database, CP1, at.server.memory_of("CP1"))
        rows = await at.rows("SELECT number, status FROM stations.evse")
        assert rows == [(1, "CHARGING")]
