"""Commands reach stations as CALLs, and what they answer is stored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.ocpp.stations import Door, Station, basic, door, known, station, until

from hub.kernel import encode
from hub.ocpp import commands as delivery
from hub.runtime import PLATFORM, Database
from hub.stations import (
    Command,
    RemoteStart,
    RemoteStop,
    Reset,
    StationId,
    StationRef,
    Unlock,
    command,
    commands_due,
    send_command,
    variables,
)

CP1 = StationRef(PLATFORM, StationId("CP1"))


async def queue(at: Door, action: str, payload: object, **options: Any) -> UUID:
    """Queue a command for CP1 and wake its link."""
    async with at.database.tx() as tx:
        found = await send_command(tx, CP1, action, encode(payload), **options)
    at.bus.publish("command:CP1")
    return found


async def ended(at: Door, command_id: UUID) -> Command:
    """The command once it has come to its end."""

    async def done() -> Command | None:
        async with at.database.tx() as tx:
            found = await command(tx, command_id)
        return found if found.status not in ("queued", "sent") else None

    found = await until(done)
    assert found is not None
    return found


async def asked(cp: Station, reply: object) -> Any:
    """Take the hub's next CALL, answer it, and return its action and payload."""
    kind, message_id, action, payload = await cp.frame()
    assert kind == 2
    await cp.raw([3, message_id, reply])
    return action, payload


NEUTRAL = {
    "start 1.6": (
        "ocpp1.6", "RemoteStart", RemoteStart(token_uid="CARD", evse=2),
        "RemoteStartTransaction", {"connectorId": 2, "idTag": "CARD"},
        {"status": "Accepted"}, {"status": "Accepted", "transaction": None},
    ),
    "stop 1.6": (
        "ocpp1.6", "RemoteStop", RemoteStop(number=7),
        "RemoteStopTransaction", {"transactionId": 7},
        {"status": "Rejected"}, {"status": "Rejected", "transaction": None},
    ),
    "reset 1.6": (
        "ocpp1.6", "Reset", Reset(hard=True), "Reset", {"type": "Hard"},
        {"status": "Accepted"}, {"status": "Accepted", "transaction": None},
    ),
    "unlock 1.6": (
        "ocpp1.6", "Unlock", Unlock(evse=1), "UnlockConnector", {"connectorId": 1},
        {"status": "Unlocked"}, {"status": "Unlocked", "transaction": None},
    ),
    "start 2.0.1": (
        "ocpp2.0.1", "RemoteStart",
        RemoteStart(token_uid="CARD", evse=2, remote_start_id=9, group_id="G"),
        "RequestStartTransaction",
        {"evseId": 2, "groupIdToken": {"idToken": "G", "type": "Central"},
         "idToken": {"idToken": "CARD", "type": "ISO14443"}, "remoteStartId": 9},
        {"status": "Accepted", "transactionId": "tx"},
        {"status": "Accepted", "transaction": "tx"},
    ),
    "stop 2.0.1": (
        "ocpp2.0.1", "RemoteStop", RemoteStop(number=7, ref="tx"),
        "RequestStopTransaction", {"transactionId": "tx"},
        {"status": "Accepted"}, {"status": "Accepted", "transaction": None},
    ),
    "reset 2.0.1": (
        "ocpp2.0.1", "Reset", Reset(evse=1), "Reset", {"type": "OnIdle", "evseId": 1},
        {"status": "Scheduled"}, {"status": "Scheduled", "transaction": None},
    ),
    "unlock 2.0.1": (
        "ocpp2.0.1", "Unlock", Unlock(evse=1, connector=2), "UnlockConnector",
        {"evseId": 1, "connectorId": 2},
        {"status": "Unlocked"}, {"status": "Unlocked", "transaction": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEUTRAL.values(), ids=NEUTRAL)
async def test_a_neutral_command_is_said_in_the_stations_version(
    database: Database, case: tuple[Any, ...]
) -> None:
    protocol, name, neutral, action, wire, reply, told = case
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol=protocol) as cp:
        await cp.boot()
        sent = await queue(at, name, neutral, protocol_neutral=True)
        assert await asked(cp, reply) == (action, wire)
        found = await ended(at, sent)
        assert found.status == "answered"
        assert msgspec.json.decode(found.reply or b"") == told
        frames = await at.rows("SELECT action, reply FROM ocpp.frame WHERE direction = 'o'")
        assert [row[0] for row in frames] == [action]
        assert msgspec.json.decode(frames[0][1])[2] == reply


async def test_a_command_waits_for_its_station_and_is_delivered_after_the_boot(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        sent = await queue(at, "ClearCache", {})
        async with station(at) as cp:
            await cp.boot()
            assert await asked(cp, {"status": "Accepted"}) == ("ClearCache", {})
            assert (await ended(at, sent)).status == "answered"


async def test_a_known_station_that_reconnects_without_a_boot_gets_its_commands(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        async with station(at) as cp:
            await cp.boot()
        await queue(at, "ClearCache", {})
        async with station(at) as cp:
            assert (await asked(cp, {"status": "Accepted"}))[0] == "ClearCache"


async def test_one_call_of_ours_is_open_at_a_time_and_a_stop_overtakes_reports(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        await queue(at, "GetConfiguration", {})
        await queue(at, "GetDiagnostics", {"location": "ftp://x/"})
        await queue(at, "RemoteStopTransaction", {"transactionId": 1})
        async with station(at) as cp:
            await cp.boot()
            first = await cp.frame()
            with pytest.raises(TimeoutError):
                await cp.frame(within=0.2)
            order = [first[2]]
            await cp.raw([3, first[1], {"status": "Accepted"}])
            replies: list[dict[str, Any]] = [{"configurationKey": []}, {}]
            for reply in replies:
                order.append((await asked(cp, reply))[0])
    assert order == ["RemoteStopTransaction", "GetConfiguration", "GetDiagnostics"]


async def test_a_callerror_fails_the_command_and_says_why(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        sent = await queue(at, "ClearCache", {})
        _, message_id, _, _ = await cp.frame()
        await cp.raw([4, message_id, "NotImplemented", "no cache", {}])
        found = await ended(at, sent)
    assert (found.status, found.error) == ("failed", "NotImplemented: no cache")


async def test_silence_times_a_command_out_and_the_next_one_goes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 0.2)
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        first = await queue(at, "ClearCache", {})
        assert (await cp.frame())[2] == "ClearCache"
        second = await queue(at, "GetLocalListVersion", {})
        assert (await asked(cp, {"listVersion": 0}))[0] == "GetLocalListVersion"
        assert (await ended(at, first)).status == "timeout"
        assert (await ended(at, second)).status == "answered"


async def test_a_lost_connection_ends_what_was_sent_and_keeps_what_was_not(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        async with station(at) as cp:
            await cp.boot()
            first = await queue(at, "ClearCache", {})
            second = await queue(at, "GetLocalListVersion", {})
            await cp.frame()
        found = await ended(at, first)
        assert (found.status, found.error) == (
            "timeout", "the connection ended before the answer",
        )  # fmt: skip

        async def queued() -> bool:
            async with at.database.tx() as tx:
                return await commands_due(tx, CP1) == [second]

        await until(queued)
        async with station(at) as cp:
            assert (await asked(cp, {"listVersion": 0}))[0] == "GetLocalListVersion"
            assert (await ended(at, second)).status == "answered"


async def test_what_a_version_cannot_say_fails_with_the_reason(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        neutral = RemoteStart(token_uid="X" * 21)
        found = await ended(at, await queue(at, "RemoteStart", neutral, protocol_neutral=True))
        assert found.status == "failed"
        assert "20 characters" in (found.error or "")
        found = await ended(at, await queue(at, "GetBaseReport", {}))
        assert "no action" in (found.error or "")


async def test_answers_fill_the_stations_variables(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        sent = await queue(at, "GetConfiguration", {"key": ["HeartbeatInterval"]})
        key = {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
        await asked(cp, {"configurationKey": [key]})
        await ended(at, sent)
        async with at.database.tx() as tx:
            found = await variables(tx, "CP1")
    assert [(v.variable, v.value) for v in found] == [("HeartbeatInterval", "300")]


async def test_a_report_fills_the_stations_variables(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        await cs.boot()
        sent = await queue(at, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
        await asked(cs, {"status": "Accepted"})
        await ended(at, sent)
        report = {
            "requestId": 1, "generatedAt": "2026-01-01T00:00:00Z", "seqNo": 0,
            "reportData": [
                {"component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
                 "variable": {"name": "AvailabilityState"},
                 "variableAttribute": [{"value": "Available", "mutability": "ReadOnly"}]}
            ],
        }  # fmt: skip
        assert await cs.call("NotifyReport", report) == {}

        async def stored() -> bool:
            async with at.database.tx() as tx:
                found = await variables(tx, "CP1")
            return [(v.component, v.evse, v.value) for v in found] == [
                ("Connector", 1, "Available")
            ]

        await until(stored)


ROTATIONS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "1.6": (
        "ocpp1.6", "ChangeConfiguration",
        {"key": "AuthorizationKey", "value": "a-new-password-here"}, {"status": "Accepted"},
    ),
    "A_09 2.0.1": (
        "ocpp2.0.1", "SetVariables",
        {"setVariableData": [{
            "attributeValue": "a-new-password-here", "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
        }]},
        {"setVariableResult": [{
            "attributeStatus": "Accepted", "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
        }]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROTATIONS.values(), ids=ROTATIONS)
async def test_a_password_the_station_took_is_its_password_and_in_no_log(
    database: Database, case: tuple[str, str, dict[str, Any], dict[str, Any]]
) -> None:
    protocol, action, payload, reply = case
    old, new = "the-old-password-x", "a-new-password-here"
    await known(database, "CP1", profile=1, password=old)
    async with door(database) as at:
        headers = basic("CP1", old)
        async with station(at, protocol=protocol, additional_headers=headers) as cp:
            await cp.boot()
            sent = await queue(at, action, payload)
            await asked(cp, reply)
            done = await ended(at, sent)
            assert (done.status, new.encode() in done.payload) == ("answered", False)
        headers = basic("CP1", new)
        async with station(at, protocol=protocol, additional_headers=headers) as cp:
            assert (await cp.boot())["status"] == "Accepted"
        frames = await at.rows("SELECT call FROM ocpp.frame WHERE action = %s", action)
        assert new.encode() not in frames[0][0]
        async with database.tx() as tx:
            assert [v.value for v in await variables(tx, "CP1")] == ["***"]


async def test_A_10_a_password_the_station_refused_changes_nothing(database: Database) -> None:
    old = "the-old-password-x"
    await known(database, "CP1", profile=1, password=old)
    async with door(database) as at:
        headers = basic("CP1", old)
        async with station(at, additional_headers=headers) as cp:
            await cp.boot()
            payload = {"key": "AuthorizationKey", "value": "a-new-password-here"}
            sent = await queue(at, "ChangeConfiguration", payload)
            await asked(cp, {"status": "Rejected"})
            await ended(at, sent)
        async with station(at, additional_headers=headers) as cp:
            assert (await cp.boot())["status"] == "Accepted"


@pytest.mark.parametrize(
    "answer",
    ['[3,%s,{"status":"Accepted","x":1e400}]', '[4,%s,"\\u0000","\\u0000",{}]'],
    ids=["a number out of range", "NUL"],
)
async def test_an_answer_that_cannot_be_kept_as_it_is_ends_its_command_at_once(
    database: Database, answer: str
) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        sent = await queue(at, "Reset", {"type": "Soft"})
        _, message_id, *_ = await cp.frame()
        await cp.socket.send(answer % encode(message_id).decode())
        assert (await ended(at, sent)).status == "failed"


async def test_a_variable_whose_value_holds_nul_is_kept_without_it(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        sent = await queue(at, "GetConfiguration", {})
        entry = {"key": "A", "readonly": False, "value": "a\0b"}
        await asked(cp, {"configurationKey": [entry]})
        assert (await ended(at, sent)).status == "answered"
        async with database.tx() as tx:
            assert [v.value for v in await variables(tx, "CP1")] == ["ab"]
