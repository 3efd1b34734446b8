"""A running door and raw stations at the other end of its sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import psycopg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from hub.charging import Authorizer, Token, save_token
from hub.charging.ports import TokenAuthority
from hub.ocpp.server import Listen, OcppServer
from hub.runtime import PLATFORM, Database, LocalBus
from hub.stations import register_station

AT = "2026-01-01T00:00:00Z"
T = TypeVar("T")


class Door:
    """An OCPP server on a free port, with its database and bus."""

    def __init__(self, database: Database, bus: LocalBus, server: OcppServer) -> None:
        self.database = database
        self.bus = bus
        self.server = server

    def url(self, station: str) -> str:
        """Where that station connects to."""
        return f"ws://127.0.0.1:{self.server.port}/ocpp/{station}"

    async def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """What the database holds, as its owner sees it."""
        async with await psycopg.AsyncConnection.connect(self.database.url) as connection:
            cursor = await connection.execute(sql, params)
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def door(
    database: Database, authority: TokenAuthority | None = None, **options: Any
) -> AsyncIterator[Door]:
    """A door that serves while the block runs."""
    bus = LocalBus()
    options = {"settle": 0.05} | options
    listen = options.pop("listen", Listen(port=0))
    server = OcppServer(database, Authorizer(database, authority), bus, listen=listen, **options)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(server.started.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    try:
        yield Door(database, bus, server)
    finally:
        serving.cancel()
        await asyncio.wait([serving])


async def known(database: Database, *stations: str, **options: Any) -> None:
    """Register stations that need no password, and the card "CARD"."""
    async with database.tx(PLATFORM) as tx:
        for station in stations:
            await register_station(tx, station, **options)
        await save_token(tx, card("CARD"))


def card(uid: str, **fields: Any) -> Token:
    """A card of our own."""
    values = {"country_code": "NL", "party_id": "HUB", "contract_id": f"NL-HUB-{uid}",
              "issuer": "us"} | fields  # fmt: skip
    return Token(uid=uid, **values)


def basic(user: str, password: str) -> dict[str, str]:
    """A Basic authentication header."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Station:
    """A station's socket: raw frames, and calls that wait for their answer."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._count = 0

    async def raw(self, frame: object) -> None:
        """Send a frame: text as it is, anything else as JSON."""
        text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
        await self.socket.send(text)

    async def frame(self, within: float = 5) -> Any:
        """The next frame from the hub, decoded."""
        return msgspec.json.decode(await asyncio.wait_for(self.socket.recv(), within))

    async def call(self, action: str, payload: object, message_id: object = None) -> Any:
        """The payload of the answer to a CALL; a CALLERROR is returned as ``[code, text]``."""
        self._count += 1
        sent = f"m{self._count}" if message_id is None else message_id
        await self.raw([2, sent, action, payload])
        while True:
            found = await self.frame()
            if found[1] == sent and found[0] in (3, 4):
                return found[2] if found[0] == 3 else found[2:4]

    async def boot(self) -> Any:
        """BootNotification of the socket's version."""
        if self.socket.subprotocol == "ocpp2.0.1":
            station = {"vendorName": "V", "model": "M"}
            return await self.call(
                "BootNotification", {"reason": "PowerUp", "chargingStation": station}
            )
        return await self.call(
            "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}
        )


@asynccontextmanager
async def station(
    at: Door, name: str = "CP1", protocol: str = "ocpp1.6", **options: Any
) -> AsyncIterator[Station]:
    """A connected station."""
    async with connect(
        at.url(name), subprotocols=[Subprotocol(protocol)], compression=None, proxy=None,
        **options,
    ) as socket:  # fmt: skip
        yield Station(socket)


def event(
    kind: str, seq: int, transaction: str = "tx-1", *, trigger: str = "MeterValuePeriodic",
    at: str = AT, **fields: Any,
) -> dict[str, Any]:  # fmt: skip
    """A 2.0.1 TransactionEvent."""
    info = {"transactionId": transaction} | fields.pop("info", {})
    return {
        "eventType": kind, "timestamp": at, "triggerReason": trigger, "seqNo": seq,
        "transactionInfo": info, **fields,
    }  # fmt: skip


def energy(value: object, at: str = AT, context: str = "Sample.Periodic") -> list[Any]:
    """One register sample in 2.0.1's shape."""
    return [{"timestamp": at, "sampledValue": [{"value": value, "context": context}]}]


async def until(found: Callable[[], Awaitable[T]], within: float = 5) -> T:
    """What ``found`` gives once it is true."""
    end = asyncio.get_running_loop().time() + within
    while True:
        value = await found()
        if value:
            return value
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.02)
