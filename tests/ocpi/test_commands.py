"""Commands of an eMSP: answered at once, decided once, and their result brought to its address."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.charging import Authorizer, open_session
from hub.charging.messages import AuthorizeAsked, IdToken, Transaction, TransactionStarted
from hub.kernel import Clock, encode
from hub.ocpi.modules.commands import TIMEOUT_SECONDS
from hub.runtime import PLATFORM
from hub.stations.commands import NeutralReply, RemoteStart, answer_command, take_command
from hub.stations.model import StationId, StationRef
from tests.ocpi.conftest import TOKEN, Hub, Platform

pytestmark = pytest.mark.usefixtures("network")

COMMANDS = "/2.2.1/receiver/commands"
STATION = StationRef(PLATFORM, StationId("ST1"))


class Ahead:
    """The wall clock, moved ahead by a while."""

    def __init__(self, clock: Clock, seconds: int) -> None:
        self._clock = clock
        self._by = timedelta(seconds=seconds)

    def now(self) -> Any:
        return self._clock.now() + self._by

    async def sleep_until(self, at: Any) -> None:
        await self._clock.sleep_until(at - self._by)


def _start(platform: Platform, **change: Any) -> dict[str, Any]:
    return {
        "response_url": f"{platform.url}/result/1?x=2", "token": TOKEN, "location_id": "LOC1",
        "evse_uid": "EV1", "authorization_reference": "ref-7", **change,
    }  # fmt: skip


async def _queued(hub: Hub) -> list[tuple[UUID, str, bytes]]:
    async with hub.database.tx() as tx:
        rows = await tx.rows("SELECT id, action, payload FROM stations.command ORDER BY position")
    return [(row[0], row[1], bytes(row[2])) for row in rows]


async def _answer(hub: Hub, command_id: UUID, status: Any, reply: bytes | None = None) -> None:
    async with hub.database.tx() as tx:
        await take_command(tx, command_id)
        await answer_command(tx, command_id, status, reply)
    await hub.runner.drain()


async def test_CO_2_an_accepted_start_brings_one_unwrapped_result(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    ids = {"X-Correlation-ID": "chain-1"}
    heard = await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform), headers=ids)
    assert (heard.http, heard.code) == (200, 1000)
    assert heard.data == {"result": "ACCEPTED", "timeout": TIMEOUT_SECONDS}
    ((command_id, action, payload),) = await _queued(hub)
    start = msgspec.json.decode(payload, type=RemoteStart)
    assert (action, start.token_uid, start.evse) == ("RemoteStart", TOKEN["uid"], 1)
    await _answer(hub, command_id, "answered", encode(NeutralReply(status="Accepted")))
    assert platform.asked == [("POST", "/result/1?x=2", {"result": "ACCEPTED"})]
    sent = platform.headers[0]
    assert sent["x-correlation-id"] == "chain-1"
    assert (sent["ocpi-to-party-id"], sent["ocpi-from-party-id"]) == ("EXM", "HUB")
    hub.database.clock = Ahead(hub.database.clock, TIMEOUT_SECONDS + 5)
    await hub.runner.drain()
    assert len(platform.asked) == 1


async def test_CO_5_the_tokens_eMSP_is_not_asked_and_its_reference_reaches_the_session(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    token = IdToken(str(TOKEN["uid"]))
    async with hub.database.tx() as tx:
        asked = AuthorizeAsked(station=STATION, token=token, evse=1)
        granted = await Authorizer(hub.database, None).local(tx, asked)
        assert granted is not None
        assert granted.auth_method == "COMMAND"
        assert (granted.partner_id, granted.authorization_reference) == (partner, "ref-7")
        started = TransactionStarted(
            station=STATION, transaction=Transaction(), at=tx.now, received_at=tx.now, evse=1,
            connector=1, token=token,
        )  # fmt: skip
        await open_session(tx, started, granted)
    await hub.runner.drain()
    assert {"result": "ACCEPTED"} in platform.calls("POST", "/result/1")
    session = platform.calls("PUT", "/sessions/NL/HUB/")[-1]
    assert session["authorization_reference"] == "ref-7"
    assert (session["auth_method"], session["status"]) == ("COMMAND", "ACTIVE")
    assert session["cdr_token"]["contract_id"] == TOKEN["contract_id"]


@pytest.mark.parametrize(
    ("status", "reply", "result"),
    [
        ("answered", encode(NeutralReply(status="Rejected")), "REJECTED"),
        ("answered", b"[]", "FAILED"),
        ("failed", None, "FAILED"),
        ("timeout", None, "TIMEOUT"),
    ],
)
async def test_the_stations_answer_decides_the_result(
    hub: Hub, platform: Platform, partner: UUID, status: str, reply: bytes | None, result: str
) -> None:
    await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    await _answer(hub, (await _queued(hub))[0][0], status, reply)
    assert [one["result"] for one in platform.calls("POST", "/result/1")] == [result]


async def test_CO_4_a_silent_station_gives_a_TIMEOUT_and_nothing_after_it(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    async with hub.database.tx() as tx:
        await take_command(tx, (await _queued(hub))[0][0])
    hub.database.clock = Ahead(hub.database.clock, TIMEOUT_SECONDS + 1)
    await hub.runner.drain()
    assert [one["result"] for one in platform.calls("POST", "/result/1")] == ["TIMEOUT"]
    async with hub.database.tx() as tx:
        reply = encode(NeutralReply(status="Accepted"))
        await answer_command(tx, (await _queued(hub))[0][0], "answered", reply)
    await hub.runner.drain()
    assert len(platform.calls("POST", "/result/1")) == 1


async def test_CO_9_a_repeated_command_gets_its_first_answer_and_starts_nothing(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    first = await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    again = await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    assert again.data == first.data
    assert len(await _queued(hub)) == 1
    other = _start(platform, authorization_reference="another")
    assert (await hub.call("POST", f"{COMMANDS}/START_SESSION", other)).code == 2001


async def test_CO_9_commands_repeated_all_at_once_get_one_answer_and_start_once(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    start = _start(platform)
    heard = await asyncio.gather(
        *(hub.call("POST", f"{COMMANDS}/START_SESSION", start) for _ in range(6))
    )
    assert {(one.http, one.code, one.data["result"]) for one in heard} == {(200, 1000, "ACCEPTED")}
    assert len(await _queued(hub)) == 1


@pytest.mark.parametrize(
    ("change", "code", "result"),
    [
        ({"location_id": "NOPE"}, 2003, None),
        ({"evse_uid": "NOPE"}, 2003, None),
        ({"connector_id": "9"}, 2003, None),
        ({"connector_id": "1", "evse_uid": None}, 2001, None),
        ({"token": {**TOKEN, "party_id": "ZZZ"}}, 2001, None),
        ({"token": None}, 2001, None),
        ({"response_url": ""}, 2001, None),
        ({"evse_uid": None}, 1000, "ACCEPTED"),
        ({"connector_id": "1"}, 1000, "ACCEPTED"),
    ],
)
async def test_CO_1_a_start_is_judged_before_it_is_taken(
    hub: Hub, platform: Platform, partner: UUID, change: Any, code: int, result: str | None
) -> None:
    heard = await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform, **change))
    assert (heard.http, heard.code) == (200, code)
    assert (heard.data or {}).get("result") == result
    assert len(await _queued(hub)) == (1 if result else 0)


async def test_CO_6_only_a_session_of_the_caller_can_be_stopped(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    body = {"response_url": f"{platform.url}/r", "session_id": "unknown"}
    heard = await hub.call("POST", f"{COMMANDS}/STOP_SESSION", body)
    assert heard.data == {"result": "UNKNOWN_SESSION", "timeout": 0}
    await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    token = IdToken(str(TOKEN["uid"]))
    async with hub.database.tx() as tx:
        granted = await Authorizer(hub.database, None).local(
            tx, AuthorizeAsked(station=STATION, token=token, evse=1)
        )
        started = TransactionStarted(
            station=STATION, transaction=Transaction(), at=tx.now, received_at=tx.now, evse=1,
            connector=1, token=token,
        )  # fmt: skip
        number = (await open_session(tx, started, granted)).number
        session_id = await tx.value("SELECT id FROM charging.v_session")
    body = {"response_url": f"{platform.url}/r2", "session_id": str(session_id)}
    heard = await hub.call("POST", f"{COMMANDS}/STOP_SESSION", body)
    assert heard.data["result"] == "ACCEPTED"
    _, action, payload = (await _queued(hub))[-1]
    assert (action, msgspec.json.decode(payload)["number"]) == ("RemoteStop", number)


async def test_CO_8_a_connector_is_unlocked(hub: Hub, platform: Platform, partner: UUID) -> None:
    body = {
        "response_url": f"{platform.url}/result/3", "location_id": "LOC1", "evse_uid": "EV1",
        "connector_id": "1",
    }  # fmt: skip
    heard = await hub.call("POST", f"{COMMANDS}/UNLOCK_CONNECTOR", body)
    assert heard.data["result"] == "ACCEPTED"
    reply = encode(NeutralReply(status="UnlockFailed"))
    await _answer(hub, (await _queued(hub))[0][0], "answered", reply)
    assert platform.calls("POST", "/result/3")[0]["result"] == "FAILED"


async def test_reservations_are_NOT_SUPPORTED_and_unknown_commands_refused(
    hub: Hub, partner: UUID
) -> None:
    for kind in ("RESERVE_NOW", "CANCEL_RESERVATION"):
        heard = await hub.call("POST", f"{COMMANDS}/{kind}", {})
        assert (heard.code, heard.data["result"]) == (1000, "NOT_SUPPORTED")
    assert (await hub.call("POST", f"{COMMANDS}/SELF_DESTRUCT", {})).code == 2001


async def test_a_result_is_tried_again_until_the_partner_has_heard_it(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    platform.answers["POST", "/result/1"] = (500, b"down", {})
    await hub.call("POST", f"{COMMANDS}/START_SESSION", _start(platform))
    reply = encode(NeutralReply(status="Accepted"))
    await _answer(hub, (await _queued(hub))[0][0], "answered", reply)
    platform.answers.clear()
    hub.database.clock = Ahead(hub.database.clock, 10)
    await hub.runner.drain()
    assert platform.calls("POST", "/result/1") == [{"result": "ACCEPTED"}] * 2
