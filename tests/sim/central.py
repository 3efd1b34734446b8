"""A tiny central system of the ``ocpp`` package, for trying simulated stations without the hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from ocpp.v16 import ChargePoint as Base16
from ocpp.v16 import call_result as r16
from ocpp.v201 import ChargePoint as Base201
from ocpp.v201 import call_result as r201
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hub.sim.wire import answers

STAMP = "2026-05-01T10:00:00Z"


class _Central16(Base16):  # type: ignore[misc]
    central: Central

    @answers("BootNotification")
    def boot(self, **said: Any) -> Any:
        return r16.BootNotification(current_time=STAMP, interval=300, status="Accepted")

    @answers("StatusNotification")
    def status(self, **said: Any) -> Any:
        return r16.StatusNotification()

    @answers("Heartbeat")
    def heartbeat(self) -> Any:
        return r16.Heartbeat(current_time=STAMP)

    @answers("Authorize")
    def authorize(self, id_tag: str) -> Any:
        return r16.Authorize(id_tag_info={"status": self.central.judge(id_tag)})

    @answers("StartTransaction")
    def start_transaction(self, id_tag: str, **said: Any) -> Any:
        self.central.numbers += 1
        return r16.StartTransaction(
            transaction_id=self.central.numbers,
            id_tag_info={"status": self.central.judge(id_tag)},
        )

    @answers("MeterValues")
    def meter_values(self, **said: Any) -> Any:
        return r16.MeterValues()

    @answers("StopTransaction")
    def stop_transaction(self, **said: Any) -> Any:
        return r16.StopTransaction()

    @answers("DiagnosticsStatusNotification")
    def diagnostics(self, **said: Any) -> Any:
        return r16.DiagnosticsStatusNotification()


class _Central201(Base201):  # type: ignore[misc]
    central: Central

    @answers("BootNotification")
    def boot(self, **said: Any) -> Any:
        return r201.BootNotification(current_time=STAMP, interval=300, status="Accepted")

    @answers("StatusNotification")
    def status(self, **said: Any) -> Any:
        return r201.StatusNotification()

    @answers("Authorize")
    def authorize(self, id_token: dict[str, Any], **said: Any) -> Any:
        return r201.Authorize(id_token_info={"status": self.central.judge(id_token["id_token"])})

    @answers("TransactionEvent")
    def transaction_event(self, **said: Any) -> Any:
        return r201.TransactionEvent()

    @answers("NotifyReport")
    def report(self, **said: Any) -> Any:
        return r201.NotifyReport()


class Central:
    """What stations said (``calls``: message id, action, payload) and the links to answer on."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.links: list[Any] = []
        self.numbers = 0
        self.blocked: set[str] = set()
        self.port = 0

    def judge(self, uid: str) -> str:
        return "Blocked" if uid in self.blocked else "Accepted"

    def url(self, identity: str) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp/{identity}"

    def said(self, *actions: str) -> list[dict[str, Any]]:
        return [payload for _, action, payload in self.calls if action in actions]

    async def greet(self, socket: ServerConnection) -> None:
        kind = _Central16 if socket.subprotocol == "ocpp1.6" else _Central201
        link = kind(socket.request.path.rsplit("/", 1)[-1] if socket.request else "", socket)
        link.central = self
        self.links.append(link)
        route = link.route_message

        async def noted(raw: str) -> None:
            frame = msgspec.json.decode(raw)
            if frame[0] == 2:
                self.calls.append((frame[1], frame[2], frame[3]))
            await route(raw)

        link.route_message = noted
        with suppress(ConnectionClosed):
            await link.start()

    async def tell(self, payload: Any) -> Any:
        """Send a command on the newest link."""
        async with asyncio.timeout(10):
            return await self.links[-1].call(payload, suppress=False)


@asynccontextmanager
async def central_system() -> AsyncIterator[Central]:
    """A listening central system that accepts everyone but the blocked."""
    central = Central()
    server = await serve(
        central.greet,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")],
        ping_interval=None,
    )
    central.port = next(iter(server.sockets)).getsockname()[1]
    try:
        yield central
    finally:
        server.close()
        await server.wait_closed()
