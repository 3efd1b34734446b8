"""Stations and commands over the API."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import httpx

from hub.kernel import new_id
from hub.runtime import PLATFORM, Database
from hub.stations import (
    answer_command,
    commands_due,
    find_station,
    note_unknown_station,
    station_connected,
    take_command,
)


async def connect(database: Database, station_id: str, protocol: str = "ocpp1.6") -> None:
    async with database.system_tx() as tx:
        row = await find_station(tx, station_id)
    assert row is not None
    async with database.tx(PLATFORM) as tx:
        await station_connected(tx, row.ref, protocol, new_id())


async def reply_to_next(
    database: Database, station_id: str, reply: dict[str, object] | None
) -> bytes:
    """Stand in for the stations' door: take the next command and answer it."""
    async with asyncio.timeout(10):
        while True:
            async with database.tx(PLATFORM) as tx:
                row = await find_station(tx, station_id)
                assert row is not None
                due = await commands_due(tx, row.ref)
                taken = await take_command(tx, due[0]) if due else None
            if taken is not None:
                break
            await asyncio.sleep(0)
    async with database.tx(PLATFORM) as tx:
        if reply is None:
            await answer_command(tx, taken.id, "failed", error="NotSupported: not here")
        else:
            await answer_command(tx, taken.id, "answered", json.dumps(reply).encode())
    return taken.payload


async def test_a_registered_station_shows_its_url_and_password_once(
    admin: httpx.AsyncClient,
) -> None:
    made = await admin.post("/api/v1/stations", json={"station_id": "CP 1", "security_profile": 1})
    assert made.status_code == 201
    assert made.json()["url"] == "ws://127.0.0.1:9000/ocpp/CP%201"
    assert len(made.json()["password"]) >= 16
    again = await admin.post("/api/v1/stations", json={"station_id": "cp 1"})
    assert again.status_code == 409
    detail = (await admin.get("/api/v1/stations/CP 1")).json()
    assert detail["online"] is False
    assert detail["connectors"] == []
    assert "password" not in detail


async def test_stations_are_listed_page_by_page(admin: httpx.AsyncClient) -> None:
    for number in range(5):
        await admin.post("/api/v1/stations", json={"station_id": f"S{number}"})
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/api/v1/stations", params=query)).json()
        seen += [one["station_id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["S0", "S1", "S2", "S3", "S4"]


async def test_a_broken_cursor_or_limit_is_a_400(admin: httpx.AsyncClient) -> None:
    for query in ({"cursor": "nonsense"}, {"limit": "0"}, {"limit": "x"}, {"state": "odd"}):
        answer = await admin.get("/api/v1/stations", params=query)
        assert answer.status_code == 400, query
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_waiting_station_is_approved_or_refused(
    admin: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await note_unknown_station(tx, "NEW-1", "192.0.2.1")
        await note_unknown_station(tx, "NEW-2", "192.0.2.1")
    waiting = (await admin.get("/api/v1/stations", params={"state": "pending"})).json()["items"]
    assert [one["station_id"] for one in waiting] == ["NEW-1", "NEW-2"]
    assert (await admin.post("/api/v1/stations/NEW-1/approve")).status_code == 200
    assert (await admin.post("/api/v1/stations/NEW-2/refuse")).status_code == 204
    states = {
        one["station_id"]: one["state"]
        for one in (await admin.get("/api/v1/stations")).json()["items"]
    }
    assert states == {"NEW-1": "approved", "NEW-2": "refused"}


async def test_a_command_is_queued_and_found_again(admin: httpx.AsyncClient) -> None:
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    sent = await admin.post("/api/v1/stations/CP1/commands/Reset", json={"type": "Soft"})
    assert sent.status_code == 202
    assert sent.json()["status"] == "queued"
    found = (await admin.get(f"/api/v1/commands/{sent.json()['command_id']}")).json()
    assert (found["action"], found["request"], found["reply"]) == ("Reset", {"type": "Soft"}, None)
    listed = (await admin.get("/api/v1/stations/CP1/commands")).json()["items"]
    assert [one["command_id"] for one in listed] == [sent.json()["command_id"]]


async def test_waiting_answers_with_the_stations_own_reply(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    await connect(database, "CP1")
    answer, payload = await asyncio.gather(
        admin.post(
            "/api/v1/stations/CP1/commands/Reset", params={"wait": 10}, content=b'{"type": "Hard"}'
        ),
        reply_to_next(database, "CP1", {"status": "Rejected"}),
    )
    assert payload == b'{"type": "Hard"}'
    assert answer.status_code == 200
    assert answer.json() == {"status": "Rejected"}


async def test_a_callerror_of_the_station_is_a_502(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    await connect(database, "CP1")
    answer, _ = await asyncio.gather(
        admin.post("/api/v1/stations/CP1/commands/ClearCache?wait=10"),
        reply_to_next(database, "CP1", None),
    )
    assert answer.status_code == 502
    assert "NotSupported" in answer.json()["detail"]


async def test_an_action_of_another_version_is_refused_with_the_list(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    await connect(database, "CP1", "ocpp2.0.1")
    answer = await admin.post("/api/v1/stations/CP1/commands/Reset", json={"type": "Soft"})
    assert answer.status_code == 404
    assert answer.json()["actions"] == ["ClearCache", "GetReport"]


async def test_a_payload_that_breaks_the_schema_is_refused_with_its_complaint(
    admin: httpx.AsyncClient,
) -> None:
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    answer = await admin.post("/api/v1/stations/CP1/commands/Reset", json={"kind": "Soft"})
    assert answer.status_code == 400
    assert "expected members ['type']" in answer.json()["detail"]
    assert (await admin.get("/api/v1/stations/CP1/commands")).json()["items"] == []


async def test_what_does_not_exist_is_a_404(admin: httpx.AsyncClient) -> None:
    for path in (
        "/stations/none", "/stations/none/variables", "/stations/none/reservations",
        "/stations/none/charging-profiles", "/stations/none/commands", "/commands/none",
        f"/commands/{uuid4()}",
    ):  # fmt: skip
        assert (await admin.get(f"/api/v1{path}")).status_code == 404, path
    assert (await admin.post("/api/v1/stations/none/commands/Reset", json={})).status_code == 404
