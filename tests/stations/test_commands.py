"""Commands owed to stations, and what their accepted answers leave to read back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from hub.runtime import PLATFORM, Database
from hub.stations import (
    CommandClosed,
    StationId,
    StationRef,
    answer_command,
    charging_profiles,
    command,
    commands,
    commands_due,
    expire_commands,
    note_command_effect,
    register_station,
    requeue_command,
    reservations,
    send_command,
    take_command,
    variables,
)

CP1 = StationRef(PLATFORM, StationId("CP1"))


@pytest.fixture
async def hub(database: Database) -> Database:
    async with database.tx() as tx:
        await register_station(tx, "CP1")
    return database


async def _effect(hub: Database, action: str, asked: object, told: object) -> None:
    async with hub.tx() as tx:
        await note_command_effect(
            tx, CP1, action, json.dumps(asked).encode(), json.dumps(told).encode()
        )


async def test_a_command_is_taken_once_and_ends_with_its_reply(hub: Database) -> None:
    async with hub.tx() as tx:
        first = await send_command(tx, CP1, "Reset", b'{"type":"Soft"}')
        second = await send_command(tx, CP1, "ClearCache", b"{}")
        assert await commands_due(tx, CP1) == [first, second]
    async with hub.tx() as tx:
        taken = await take_command(tx, first)
        assert await take_command(tx, first) is None
        assert await commands_due(tx, CP1) == [second]
    assert taken is not None
    assert taken.payload == b'{"type":"Soft"}'
    async with hub.tx() as tx:
        await answer_command(tx, first, "answered", b'{"status":"Rejected"}')
        with pytest.raises(CommandClosed):
            await answer_command(tx, first, "failed")
        found = await command(tx, first)
        assert [one.id for one in await commands(tx, "CP1")] == [second, first]
    assert (found.status, found.reply) == ("answered", b'{"status":"Rejected"}')


async def test_a_command_whose_bytes_never_left_is_due_again(hub: Database) -> None:
    async with hub.tx() as tx:
        one = await send_command(tx, CP1, "Reset", b"{}")
        await take_command(tx, one)
        assert await requeue_command(tx, one)
        assert await commands_due(tx, CP1) == [one]


async def test_commands_expire_unsent_and_time_out_unanswered(hub: Database) -> None:
    async with hub.tx() as tx:
        unsent = await send_command(tx, CP1, "Reset", b"{}", deadline=5)
        silent = await send_command(tx, CP1, "ClearCache", b"{}", deadline=5)
        await take_command(tx, silent)
    async with hub.tx() as tx:
        tx.now += timedelta(minutes=1)
        assert await commands_due(tx, CP1) == []
        assert await expire_commands(tx) == 2
        assert (await command(tx, unsent)).status == "expired"
        assert (await command(tx, silent)).status == "timeout"
        late = await answer_command(tx, silent, "answered", b"{}")
    assert late.status == "answered"


async def test_only_an_accepted_reservation_is_read_back(hub: Database) -> None:
    asked = {"connectorId": 1, "expiryDate": "2099-01-01T00:00:00Z", "idTag": "T",
             "reservationId": 7}  # fmt: skip
    await _effect(hub, "ReserveNow", asked, {"status": "Occupied"})
    async with hub.tx() as tx:
        assert await reservations(tx, "CP1") == []
    await _effect(hub, "ReserveNow", asked, {"status": "Accepted"})
    await _effect(hub, "ReserveNow", {
        "id": 8, "expiryDateTime": "2099-01-01T00:00:00Z", "evseId": 2,
        "idToken": {"idToken": "U", "type": "ISO14443"}}, {"status": "Accepted"})  # fmt: skip
    await _effect(hub, "CancelReservation", {"reservationId": 7}, {"status": "Accepted"})
    async with hub.tx() as tx:
        found = [(r.number, r.evse, r.token_uid, r.state) for r in await reservations(tx, "CP1")]
    assert found == [(7, 1, "T", "CANCELLED"), (8, 2, "U", "ACTIVE")]


async def test_accepted_charging_profiles_replace_each_other_and_are_cleared_by_filter(
    hub: Database,
) -> None:
    def profile(number: int, level: int) -> dict[str, object]:
        return {"connectorId": 1, "csChargingProfiles": {
            "chargingProfileId": number, "stackLevel": level, "limit": 1.5,
            "chargingProfilePurpose": "TxDefaultProfile"}}  # fmt: skip

    for number, level in ((1, 0), (2, 0), (3, 1)):
        await _effect(hub, "SetChargingProfile", profile(number, level), {"status": "Accepted"})
    async with hub.tx() as tx:
        assert [p.number for p in await charging_profiles(tx, "CP1")] == [2, 3]
    await _effect(hub, "ClearChargingProfile", {"stackLevel": 1}, {"status": "Accepted"})
    await _effect(hub, "ClearChargingProfile", {"id": 2}, {"status": "Unknown"})
    async with hub.tx() as tx:
        assert [p.number for p in await charging_profiles(tx, "CP1")] == [2]


async def test_variables_are_read_back_from_both_versions(hub: Database) -> None:
    await _effect(hub, "GetConfiguration", {}, {"configurationKey": [
        {"key": "HeartbeatInterval", "readonly": False, "value": 300}]})  # fmt: skip
    await _effect(hub, "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"},
                  {"status": "Accepted"})  # fmt: skip
    name = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    await _effect(hub, "SetVariables", {"setVariableData": [name | {"attributeValue": "90"}]},
                  {"setVariableResult": [name | {"attributeStatus": "Accepted"}]})  # fmt: skip
    await _effect(hub, "SetVariables", {"setVariableData": [name | {"attributeValue": "1"}]},
                  {"setVariableResult": [name | {"attributeStatus": "Rejected"}]})  # fmt: skip
    async with hub.tx() as tx:
        found = [(v.component, v.variable, v.value, v.mutability)
                 for v in await variables(tx, "CP1")]  # fmt: skip
    assert found == [
        ("", "HeartbeatInterval", "60", "ReadWrite"),
        ("OCPPCommCtrlr", "HeartbeatInterval", "90", None),
    ]


@pytest.mark.parametrize("reply", [b"[]", b"nonsense", b"{}", b'{"status":"Accepted"}'])
async def test_an_answer_that_is_not_its_action_s_changes_nothing(
    hub: Database, reply: bytes
) -> None:
    async with hub.tx() as tx:
        await note_command_effect(tx, CP1, "ReserveNow", b"{}", reply)
        await note_command_effect(tx, CP1, "NoSuchAction", b"{}", reply)
        assert await reservations(tx, "CP1") == []
