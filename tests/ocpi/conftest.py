"""The hub's OCPI door on a real socket, and an eMSP's platform beside it on another one."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
import uvicorn
from aiohttp import web
from litestar import Litestar

from hub.kernel import encode
from hub.ocpi.door import OcpiDoor, ocpi_routes
from hub.parties import OwnParty, PartyClaim, ensure_own_party, invite_partner
from hub.runtime import Database, JobRunner, Settings, SystemClock
from hub.runtime.http import Outbound
from hub.runtime.vault import Vault
from hub.stations.locations import save_location
from hub.stations.model import Connector, Coordinates, Evse, Location
from hub.stations.registry import register_station
from hub.tariffs import PriceComponent, Tariff, TariffElement, save_tariff

VAULT = Vault([bytes(range(32))])
EXM = PartyClaim("NL", "EXM", "EMSP", "Example Mobility")
TOKEN = {
    "country_code": "NL", "party_id": "EXM", "uid": "04A1B2C3D4", "type": "RFID",
    "contract_id": "NL-EXM-C12345678-X", "issuer": "Example", "valid": True,
    "whitelist": "ALLOWED", "last_updated": "2026-01-01T10:00:00Z",
}  # fmt: skip


class Heard(msgspec.Struct):
    """An answer of the hub, unwrapped."""

    http: int
    envelope: dict[str, Any]
    headers: dict[str, str]

    @property
    def code(self) -> int:
        return int(self.envelope["status_code"])

    @property
    def data(self) -> Any:
        return self.envelope.get("data")


class Hub:
    """The hub under test, with the client side of a partner."""

    def __init__(self, database: Database, door: OcpiDoor, url: str) -> None:
        self.database = database
        self.door = door
        self.url = url
        self.session = aiohttp.ClientSession()
        self.token = ""
        self.runner = JobRunner(database, door.jobs())

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Heard:  # fmt: skip
        url = path if path.startswith("http") else f"{self.url}{path}"
        raw = body if isinstance(body, bytes) else b"" if body is None else encode(body)
        content = io.BytesIO(raw) if raw else None
        given = headers or {}
        if "Authorization" not in given:
            plain = self.token if token is None else token
            coded = base64.b64encode(plain.encode()).decode()
            given = {"Authorization": f"Token {coded}", **given}
        async with self.session.request(
            method, url, data=content, headers=given, allow_redirects=False
        ) as answer:
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Heard(answer.status, msgspec.json.decode(await answer.read()), named)


class Platform:
    """An eMSP's platform: serves what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any, dict[str, str]]] = {}
        self.modules = [
            ("tokens", "SENDER"), ("sessions", "RECEIVER"), ("cdrs", "RECEIVER"),
            ("locations", "RECEIVER"), ("tariffs", "RECEIVER"), ("commands", "SENDER"),
        ]  # fmt: skip
        self.versions = ["2.2.1"]
        self.credentials_token = "partner-token-c"
        self.raw_only = False

    def credentials(self, token: str = "partner-token-b", **role: Any) -> dict[str, Any]:
        one = {
            "role": "EMSP", "party_id": "EXM", "country_code": "NL",
            "business_details": {"name": "Example"}, **role,
        }  # fmt: skip
        return {"token": token, "url": f"{self.url}/versions", "roles": [one]}

    def calls(self, method: str, prefix: str) -> list[Any]:
        return [body for how, path, body in self.asked if how == method and path.startswith(prefix)]

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = msgspec.json.decode(raw) if raw else None
        self.asked.append((request.method, request.path_qs, body))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status, data, headers = self._answer(request, body)
        if isinstance(data, bytes):
            return web.Response(status=status, body=data, headers=headers)
        wrapped = {"status_code": 1000, "timestamp": "2026-01-01T00:00:00Z"}
        if isinstance(data, dict) and "status_code" in data:
            wrapped |= data
        elif data is not None:
            wrapped["data"] = data
        return web.Response(status=status, body=encode(wrapped), headers=headers)

    def _answer(self, request: web.Request, body: Any) -> tuple[int, Any, dict[str, str]]:
        if self.raw_only and "oken-" not in request.headers.get("Authorization", ""):
            return 401, {"status_code": 2001}, {}
        for (method, prefix), answer in self.answers.items():
            if request.method == method and request.path.startswith(prefix):
                return answer
        if request.path == "/versions":
            listed = [{"version": v, "url": f"{self.url}/{v}"} for v in self.versions]
            return 200, listed, {}
        if request.path == "/2.2.1":
            endpoints = [
                {"identifier": name, "role": role, "url": f"{self.url}/{name}"}
                for name, role in [("credentials", "RECEIVER"), *self.modules]
            ]
            return 200, {"version": "2.2.1", "endpoints": endpoints}, {}
        if request.path == "/credentials":
            return 200, self.credentials(self.credentials_token), {}
        if request.path == "/tokens":
            return 200, [], {"X-Total-Count": "0"}
        return 200, None, {}


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    serving = Platform()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serving.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    serving.url = f"http://127.0.0.1:{address[1]}"
    yield serving
    await runner.cleanup()


@pytest.fixture
async def hub(database: Database) -> AsyncIterator[Hub]:
    listening = socket.create_server(("127.0.0.1", 0))
    settings = Settings(http_port=listening.getsockname()[1])
    async with database.tx() as tx:
        await ensure_own_party(tx, OwnParty("NL", "HUB", "The Hub"))
    async with Outbound(public_url=settings.base_url) as outbound:
        door = OcpiDoor(database, VAULT, outbound, settings, clock=SystemClock())
        database.subscriptions = door.subscriptions()
        app = Litestar([ocpi_routes(door)], openapi_config=None)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.005)
        serves = Hub(database, door, f"{settings.base_url}/ocpi")
        yield serves
        await serves.session.close()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
async def invited(hub: Hub) -> UUID:
    """A partner that holds token A; ``hub.token`` is that token."""
    async with hub.database.tx() as tx:
        made = await invite_partner(tx, VAULT, [EXM], name="Example")
    hub.token = made.token
    return made.partner_id


@pytest.fixture
async def partner(hub: Hub, platform: Platform, invited: UUID) -> UUID:
    """A registered partner; ``hub.token`` is its token C."""
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    assert heard.code == 1000, heard
    hub.token = heard.data["token"]
    await hub.runner.drain()
    platform.asked.clear()
    platform.headers.clear()
    return invited


@pytest.fixture
async def network(hub: Hub) -> None:
    """A location with an EVSE that a station speaks for, and a tariff."""
    async with hub.database.tx() as tx:
        await register_station(tx, "ST1")
        await save_tariff(tx, TARIFF, default=True)
        await save_location(tx, LOCATION)
    await hub.runner.drain()


CONNECTOR = Connector(
    id="1", standard="IEC_62196_T2", format="SOCKET", power_type="AC_3_PHASE",
    max_voltage=230, max_amperage=32, tariff_ids=("T1",),
)  # fmt: skip
EVSE = Evse(
    uid="EV1", evse_id="NL*HUB*E1", status="AVAILABLE", connectors=(CONNECTOR,),
    station_id="ST1", number=1,
)  # fmt: skip
LOCATION = Location(
    country_code="NL", party_id="HUB", id="LOC1", publish=True, name="Yard",
    address="Street 1", city="Utrecht", country="NLD", time_zone="Europe/Amsterdam",
    coordinates=Coordinates(Decimal("52.1"), Decimal("5.12345678")), evses=(EVSE,),
)  # fmt: skip
TARIFF = Tariff(
    id="T1", currency="EUR", country_code="NL", party_id="HUB",
    elements=(
        TariffElement(
            price_components=(
                PriceComponent(type="ENERGY", price=Decimal("0.40"), vat=Decimal(21)),
            )
        ),
    ),
)  # fmt: skip
