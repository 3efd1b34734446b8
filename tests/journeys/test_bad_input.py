"""Bad input at a real hub: the protocol's own error, a line in the log that says what to do, and
everybody else goes on."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import psycopg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hub.sim import SimPartner, SimStation
from hub.sim.child import ChildFailed, HubChild
from tests.journeys.world import enrolled, rows, running_hub

CARD = "04AABBCCDDEEFF"
PASSWORD = "a-long-password-of-the-station"
TOO_BIG = 2 << 20


class Log:
    """The JSON lines that a hub has written."""

    def __init__(self, hub: HubChild) -> None:
        self.path = hub.log

    def lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Lines of one event with these fields."""
        found = []
        for line in self.path.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                said = msgspec.json.decode(line)
                if said.get("event") == event and fields.items() <= said.items():
                    found.append(said)
        return found

    async def advice(self, event: str, **fields: object) -> str:
        """What the first such line says to do; waits for it."""
        async with asyncio.timeout(10):
            while not self.lines(event, **fields):
                await asyncio.sleep(0.02)
        return str(self.lines(event, **fields)[0]["hint"])


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubChild]:
    """A running hub with a card."""
    async with running_hub(tmp_path, database_url, HUB_LOG_FORMAT="json") as child:
        await child.api("POST", "/tokens", {"uid": CARD})
        yield child


@asynccontextmanager
async def charging(hub: HubChild, identity: str = "GOOD") -> AsyncIterator[SimStation]:
    """A well-behaved station, which must be able to charge exactly whatever others do."""
    async with await enrolled(hub, identity, "ocpp1.6", sample_every=0) as station:
        charge = await station.begin(CARD, wh=2_000)
        await station.until(lambda: bool(charge.readings), "a first sample")
        yield station
        await station.until(lambda: charge.meter_stop is not None, "the end", within=60)
        await station.settled(charge, within=60)
        assert station.refused == []
        assert charge.energy_wh == 2_000


def dial(hub: HubChild, path: str, *protocols: str, password: str | None = None) -> connect:
    """A socket to the hub's door for stations."""
    headers = {}
    if password is not None:
        raw = base64.b64encode(f"{path}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {raw}"
    return connect(
        hub.station_url(path), subprotocols=[Subprotocol(one) for one in protocols] or None,
        additional_headers=headers, compression=None, max_size=None, proxy=None,
    )  # fmt: skip


async def said(line: ClientConnection, text: str) -> Any:
    """The answer to one frame."""
    await line.send(text)
    return msgspec.json.decode(await asyncio.wait_for(line.recv(), 10))


async def test_stations_that_may_not_come_in_are_told_and_the_log_says_what_to_do(
    hub: HubChild,
) -> None:
    log = Log(hub)
    made = {"station_id": "LOCKED", "security_profile": 1, "password": PASSWORD}
    await hub.api("POST", "/stations", made)
    async with charging(hub):
        with pytest.raises(InvalidStatus) as unknown:
            await dial(hub, "NOBODY", "ocpp1.6")
        assert unknown.value.response.status_code == 404
        assert "hub station add" in await log.advice("station_refused", station="NOBODY")

        for password in (None, "not-the-password-of-it"):
            with pytest.raises(InvalidStatus) as wrong:
                await dial(hub, "LOCKED", "ocpp1.6", password=password)
            assert wrong.value.response.status_code == 401
            assert "Basic" in wrong.value.response.headers["WWW-Authenticate"]
        for reason in ("no_password", "wrong_password"):
            advice = await log.advice("station_refused", station="LOCKED", reason=reason)
            assert "AuthorizationKey" in advice

        for offered in ((), ("ocpp1.5", "soap")):
            async with dial(hub, "LOCKED", *offered, password=PASSWORD) as line:
                with pytest.raises(ConnectionClosed) as closed:
                    await line.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1002
        advice = await log.advice("station_refused", reason="no_subprotocol")
        assert "1.6J or 2.0.1" in advice

        async with dial(hub, "LOCKED", "ocpp1.6", password=PASSWORD) as line:
            assert "currentTime" in (await said(line, '[2,"1","Heartbeat",{}]'))[2]
    assert PASSWORD not in log.path.read_text()


BAD_FRAMES = {
    "malformed": ('[2,"1","Heartbeat"', "malformed_frame"),
    "deep": ('[2,"1","DataTransfer",{"data":' + "[" * 3000 + "]" * 3000 + "}]", "malformed_frame"),
    "unknown": ('[2,"1","Nonsense",{}]', "call_refused"),
    "schema-breaking": ('[2,"1","Authorize",{}]', "call_refused"),
    "NUL in an identifier": ("", "call_refused"),
}


NUL = {
    "ocpp1.6": '[2,"1","Authorize",{"idTag":"A\\u0000B"}]',
    "ocpp2.0.1": '[2,"1","Authorize",{"idToken":{"idToken":"A\\u0000B","type":"Central"}}]',
}


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_bad_frames_get_a_callerror_and_the_log_says_what_to_do(
    hub: HubChild, protocol: str
) -> None:
    log = Log(hub)
    await hub.api("POST", "/stations", {"station_id": "BAD"})
    async with charging(hub), dial(hub, "BAD", protocol) as line:
        for name, (frame, event) in BAD_FRAMES.items():
            before = len(log.lines(event, station="BAD"))
            answer = await said(line, frame or NUL[protocol])
            assert answer[0] == 4, name
            assert answer[2] not in ("InternalError", "GenericError"), name
            assert "currentTime" in (await said(line, f'[2,"{name}","Heartbeat",{{}}]'))[2]
            found = log.lines(event, station="BAD")
            assert len(found) == before + 1, name
            assert found[-1]["hint"], name
        with pytest.raises(ConnectionClosed) as closed:
            await said(line, '[2,"1","DataTransfer",{"data":"' + "x" * TOO_BIG + '"}]')
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert "send less" in await log.advice("frame_too_big", station="BAD")


async def test_a_clock_in_1970_is_set_right_told_of_and_never_billed_on(
    hub: HubChild, database_url: str
) -> None:
    log = Log(hub)
    await hub.api("POST", "/stations", {"station_id": "OLD"})
    start = {"connectorId": 1, "idTag": CARD, "meterStart": 0, "timestamp": "1970-01-01T00:01:00Z"}
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    async with charging(hub), dial(hub, "OLD", "ocpp1.6") as line:
        booted = await said(
            line, f'[2,"1","BootNotification",{msgspec.json.encode(boot).decode()}]'
        )
        assert booted[2]["currentTime"] > "2020"
        frame = f'[2,"2","StartTransaction",{msgspec.json.encode(start).decode()}]'
        assert (await said(line, frame))[2]["transactionId"] > 0
        assert "Heartbeat" in await log.advice("station_clock_wrong", station="OLD")
    kept = rows(database_url, "SELECT started_at FROM charging.session WHERE station_id = 'OLD'")
    assert [row["started_at"].year > 2020 for row in kept] == [True]


async def test_bad_roaming_input_gets_its_own_code_and_the_log_says_what_to_do(
    hub: HubChild,
) -> None:
    log = Log(hub)
    async with charging(hub), SimPartner() as emsp, aiohttp.ClientSession() as http:
        role = {"role": "EMSP", "country_code": "NL", "party_id": "EXM", "name": "Example"}
        invited = await hub.api("POST", "/partners", {"name": "Example", "roles": [role]})
        await emsp.join(invited["versions_url"], invited["token"])
        token = base64.b64encode(emsp.hub_token.encode()).decode()
        card = f"{hub.base}/ocpi/2.2.1/receiver/tokens/NL/EXM/04CC"
        good = {"country_code": "NL", "party_id": "EXM", "uid": "04CC", "type": "RFID",
                "contract_id": "NL-EXM-1", "issuer": "Example", "valid": True,
                "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z"}  # fmt: skip

        async def put(
            body: object, url: str = card, login: str = token, **headers: str
        ) -> tuple[int, int]:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            named = {"Authorization": f"Token {login}", "Content-Type": "application/json"}
            named |= {f"OCPI-{name.replace('_', '-')}": text for name, text in headers.items()}
            async with http.put(url, data=data, headers=named) as answer:
                return answer.status, (await answer.json())["status_code"]

        assert await put(good, login="bm9uZQ==") == (401, 2000)
        assert "invite" in await log.advice("ocpi_unauthorised")
        assert await put(good, from_country_code="DE", from_party_id="BAD") == (401, 2000)
        assert "party" in await log.advice("ocpi_impersonation")
        assert await put(good, url=card.replace("EXM", "BAD")) == (404, 2001)
        assert await put(b'{"uid":') == (400, 2001)
        assert await put({**good, "valid": "perhaps"}) == (200, 2001)
        assert await put({**good, "contract_id": "A\0B"}) == (200, 2001)
        assert len(log.lines("ocpi_refused", status_code=2001)) == 4
        assert await put(good) == (201, 1000)


async def test_nul_in_a_text_of_our_own_api_is_a_400_problem(hub: HubChild) -> None:
    token = {"Authorization": f"Bearer {hub.admin_token}", "Content-Type": "application/json"}
    async with charging(hub), aiohttp.ClientSession(headers=token) as http:
        for path, body in {
            "/tokens": b'{"uid":"A\\u0000B"}',
            "/stations": b'{"station_id":"A\\u0000B"}',
            "/stations/GOOD/commands/Reset": b'{"type":"\\u0000"}',
        }.items():
            async with http.post(f"{hub.base}/api/v1{path}", data=body) as answer:
                assert answer.status in (400, 422), path
                assert answer.content_type == "application/problem+json"


async def test_a_busy_port_for_stations_is_named_with_its_setting(
    tmp_path: Path, database_url: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(ChildFailed) as failed:
            async with running_hub(tmp_path, database_url, HUB_OCPP_PORT=port):
                raise AssertionError
    assert "HUB_OCPP_PORT" in str(failed.value)
    assert port in str(failed.value)


@pytest.mark.timeout(90)
async def test_a_second_hub_on_the_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with HubChild(tmp_path, {"HUB_LOG_LEVEL": "warning"}) as first:
        second = HubChild(tmp_path)
        second.log = tmp_path / "second.log"
        with pytest.raises(ChildFailed) as refused:
            async with second:
                raise AssertionError
        assert str(first.pid) in str(refused.value)
        assert "HUB_DATA_DIR" in str(refused.value)
        assert await first.every("/stations") == []


def _hub(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HUB_")}
    ports = {"HUB_HTTP_PORT": "0", "HUB_OCPP_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "hub", *words], check=False, capture_output=True, text=True,
        timeout=50, env=kept | ports | {"HUB_DATABASE_URL": url, "HUB_DATA_DIR": str(folder)},
    )  # fmt: skip


@pytest.mark.parametrize("words", [("serve",), ("migrate",), ("ledger", "verify")])
def test_a_schema_of_a_newer_release_is_refused_and_left_alone(
    tmp_path: Path, database_url: str, words: tuple[str, ...]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE public.alembic_version SET version_num = '9999'")
    ran = _hub(database_url, tmp_path, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "schema 9999" in ran.stderr
    assert "newer release" in ran.stderr
    assert rows(database_url, "SELECT version_num FROM alembic_version") == [
        {"version_num": "9999"}
    ]


def test_a_missing_schema_is_made(tmp_path: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        (name,) = connection.execute("SELECT current_database()").fetchone() or ("",)
        connection.execute(f'CREATE DATABASE "{name}_bare" TEMPLATE template0')
    bare = database_url.replace(name, f"{name}_bare")
    try:
        assert _hub(bare, tmp_path, "ledger", "verify").returncode == 0
        assert len(rows(bare, "SELECT version_num FROM alembic_version")) == 1
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}_bare" WITH (FORCE)')


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the hub's data, which is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 65_536):
            pass


async def _call(line: ClientConnection, action: str, payload: object) -> Any:
    frame = msgspec.json.encode([2, str(uuid4()), action, payload])
    return await said(line, frame.decode())


def _samples(number: int, wh: int) -> dict[str, Any]:
    """MeterValues that take a few kilobytes to keep."""
    many = [{"value": str(wh), "measurand": "Voltage", "phase": phase} for phase in ("L1", "L2")]
    meters = [{"timestamp": f"2026-01-01T00:{at:02}:00Z", "sampledValue": many} for at in range(59)]
    return {"connectorId": 1, "transactionId": number, "meterValue": meters}


@pytest.mark.timeout(120)
async def test_a_full_disk_is_told_accepts_nothing_and_ends_no_session(
    tmp_path: Path, small_disk: Path
) -> None:
    hub = HubChild(small_disk, {"HUB_LOG_FORMAT": "json"})
    hub.log = tmp_path / "hub.log"
    log, filler = Log(hub), small_disk / "filler"
    async with hub:
        await hub.api("POST", "/tokens", {"uid": CARD})
        await hub.api("POST", "/stations", {"station_id": "S"})
        at = "2026-01-01T00:00:00Z"
        start = {"connectorId": 1, "idTag": CARD, "meterStart": 0, "timestamp": at}
        async with dial(hub, "S", "ocpp1.6") as line:
            number = (await _call(line, "StartTransaction", start))[2]["transactionId"]
            _fill(filler)
            answer: list[Any] = [3]
            while answer[0] == 3:  # what is left in pages that Postgres has already
                answer = await _call(line, "MeterValues", _samples(number, 1))
            assert answer[2] == "InternalError"
            advice = await log.advice("call_not_stored", station="S")
            assert "disk space" in advice
            filler.unlink()
            assert (await _call(line, "MeterValues", _samples(number, 2)))[0] == 3
            stop = {"transactionId": number, "meterStop": 7000, "timestamp": "2026-01-01T01:00:00Z"}
            assert (await _call(line, "StopTransaction", stop))[0] == 3
        (session,) = await hub.every("/sessions")
        assert (session["state"], session["energy_wh"]) == ("COMPLETED", 7000)
        proofs = await hub.command("ledger", "verify")
        assert proofs["ok"] is True
