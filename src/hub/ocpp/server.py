"""The door for stations: WebSocket handshakes, one link per station, and the loops they share.

TLS needs its own listener; where a proxy ends it, stations of security profile 2 and 3 are
refused, because nothing proves to us that the line was safe.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog
from msgspec import Struct
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from hub.charging import Authorizer
from hub.charging.messages import Transaction
from hub.ocpp.commands import Delivery
from hub.ocpp.connection import StationLink
from hub.ocpp.dialects import DIALECTS
from hub.ocpp.fold import PASSING, Folder
from hub.ocpp.frames import Call, CallResult, split
from hub.ocpp.handshake import HINTS, Presented, Refusal, admit, choose_version, station_id_of
from hub.ocpp.journal import Journal, frames_of
from hub.ocpp.lanes import Lanes, Peer
from hub.ocpp.memory import Memories, Memory
from hub.ocpp.metrics import CONNECTIONS, HANDSHAKES
from hub.ocpp.versions import RULES, Version
from hub.runtime import PLATFORM, Bus, Database, Tx
from hub.stations import (
    StationRef,
    StationRow,
    commands_due,
    find_station,
    note_unknown_station,
    seen,
    station_connected,
    station_disconnected,
)
from hub.stations.registry import UnknownPolicy

log = structlog.get_logger()

COMMAND_TOPIC = "command:"
"""``bus.publish(COMMAND_TOPIC + station_id)`` wakes the station's link to look for commands."""

PING_SECONDS = 45
_TEND_SECONDS = 1.0
_TEND_SLICES = 30
_SILENCE_SECONDS = 3 * 300 + 60.0
_RECALLED = 64


class Listen(Struct, frozen=True, kw_only=True):
    """Where to listen: plain, and with TLS where ``tls`` is given. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: int = 9000
    tls: ssl.SSLContext | None = None
    tls_port: int = 9443


class Admitted(Struct, frozen=True):
    """What the handshake decided."""

    station: StationRow
    version: Version | None
    named: bool


class _Socket(ServerConnection):
    """A server connection that carries what its handshake decided."""

    admitted: Admitted | None = None


class OcppServer:
    """Listens for stations until cancelled; ``port`` is known once ``started`` is set.

    Owns the journal and the folder. ``unknown`` says what happens to stations that nobody
    registered, ``strict`` refuses every deviation from the schema.
    """

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        bus: Bus,
        *,
        listen: Listen,
        unknown: UnknownPolicy = "ask",
        strict: bool = False,
        settle: float = 1.0,
    ) -> None:
        self._database = database
        self._bus = bus
        self._where = listen
        self.port, self.tls_port = listen.port, listen.tls_port
        self._unknown = unknown
        self._settle = settle
        self._memories = Memories()
        self._journal = Journal(database)
        self.folder = Folder(database, self._memories)
        self._lanes = Lanes(database, authorizer, self._journal, self.folder, bus, strict=strict)
        self._delivery = Delivery(database, self._lanes.ids)
        self._links: dict[str, StationLink] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.started = asyncio.Event()

    @property
    def connected(self) -> Sequence[str]:
        """The stations that are connected here."""
        return list(self._links)

    def memory_of(self, station_id: str) -> Memory:
        """What is remembered of a station."""
        return self._memories.of(station_id)

    async def serve(self) -> None:
        """Serve until cancelled; then close every connection and store what was said."""
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(loop())
                for loop in (self._journal.run, self.folder.run, self._wake_links, self._tend)
            ]
            try:
                async with AsyncExitStack() as stack:
                    await self._listen(stack)
                    self.started.set()
                    await asyncio.get_running_loop().create_future()
            finally:
                for task in loops:
                    task.cancel()

    async def _listen(self, stack: AsyncExitStack) -> None:
        plain = await stack.enter_async_context(self._listener(self.port, None))
        self.port = _port_of(plain)
        if self._where.tls is not None:
            secure = await stack.enter_async_context(self._listener(self.tls_port, self._where.tls))
            self.tls_port = _port_of(secure)
        log.info("ocpp_listening", host=self._where.host, port=self.port)

    def _listener(self, port: int, tls: ssl.SSLContext | None) -> Any:
        return serve(
            self._handle,
            self._where.host,
            port,
            ssl=tls,
            create_connection=_Socket,
            process_request=self._process,  # type: ignore[arg-type]  # always given a _Socket
            select_subprotocol=_named,
            compression=None,
            # 10-bit windows: 36 instead of 53 KiB per station; 1.6 stations get none at all.
            extensions=[
                ServerPerMessageDeflateFactory(
                    server_max_window_bits=10,
                    client_max_window_bits=10,
                    compress_settings={"memLevel": 3},
                )
            ],
            max_size=max(rules.max_bytes for rules in RULES.values()),
            max_queue=16,
            open_timeout=20,
            # Many stations answer no pings: only silence ends a connection, see ``_tend``.
            ping_interval=PING_SECONDS,
            ping_timeout=None,
            close_timeout=2,
            server_header=None,
        )

    async def _process(self, socket: _Socket, request: Request) -> Response | None:
        """Admit or refuse a handshake (OCPP-J 1.6 section 3, 2.0.1 part 4 section 3)."""
        station_id = station_id_of(request.path)
        if station_id is None:
            return self._refuse(socket, "", Refusal(
                HTTPStatus.NOT_FOUND, "bad_path", "stations connect to /ocpp/{station id}\n"
            ))  # fmt: skip
        try:
            found = await self._find(station_id, _remote(socket))
        except PASSING as error:
            log.warning("handshake_without_database", station=station_id, error=repr(error)[:200])
            return self._refuse(socket, station_id, Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "database", "please come back in a minute\n"
            ))  # fmt: skip
        if isinstance(found, Refusal):
            return self._refuse(socket, station_id, found)
        refusal = admit(found, _presented(socket, request))
        if refusal is not None:
            return self._refuse(socket, station_id, refusal)
        offered = [
            name.strip()
            for value in request.headers.get_all("Sec-WebSocket-Protocol")
            for name in value.split(",")
        ]
        version, named = choose_version(offered, found.assume_protocol)
        if version is not Version.V201:
            socket.protocol.available_extensions = None
        socket.admitted = Admitted(found, version, named)
        return None

    async def _find(self, station_id: str, remote: str) -> StationRow | Refusal:
        async with self._database.system_tx() as tx:
            found = await find_station(tx, station_id)
        if found is not None:
            return found
        unknown = Refusal(HTTPStatus.NOT_FOUND, "unknown", f"no station {station_id!r}\n")
        if len(station_id) > 48 or not station_id.isprintable() or "/" in station_id:
            return unknown
        async with self._database.tx(PLATFORM, actor="ocpp") as tx:
            listed = await note_unknown_station(tx, station_id, remote, policy=self._unknown)
        return unknown if listed is None or listed.state != "approved" else listed

    def _refuse(self, socket: _Socket, station_id: str, refusal: Refusal) -> Response:
        HANDSHAKES.labels(refusal.reason).inc()
        log.warning(
            "station_refused", station=station_id[:64], reason=refusal.reason,
            remote=_remote(socket), hint=HINTS[refusal.reason],
        )  # fmt: skip
        response = socket.respond(refusal.status, refusal.text)
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
        return response

    async def _handle(self, socket: ServerConnection) -> None:
        assert isinstance(socket, _Socket)
        admitted = socket.admitted
        if admitted is None or admitted.version is None:
            HANDSHAKES.labels("no_subprotocol").inc()
            log.warning(
                "station_refused", station=admitted.station.id if admitted else "",
                reason="no_subprotocol", remote=_remote(socket), hint=HINTS["no_subprotocol"],
            )  # fmt: skip
            await socket.close(1002, "none of the subprotocols is supported")
            return
        HANDSHAKES.labels("accepted").inc()
        station, version = admitted.station, admitted.version
        memory = self._memories.of(station.id)
        peer = Peer(station.ref, DIALECTS[version], memory)
        link = StationLink(socket, peer, self._lanes, self._delivery, settle=self._settle)
        try:
            await self._register(link, _remote(socket))
        except PASSING as error:
            log.warning("connection_not_stored", station=station.id, error=repr(error)[:200])
            await socket.close(1013, "please come back in a minute")
            return
        CONNECTIONS.labels(version).inc()
        log.info("station_connected", station=station.id, protocol=version)
        try:
            await link.run(booted=station.booted_at is not None)
        finally:
            CONNECTIONS.labels(version).dec()
            await self._unregister(link)

    async def _register(self, link: StationLink, remote: str) -> None:
        """Make ``link`` the station's one connection; an older one is closed (errata 3.9)."""
        station, memory = link.peer.station, link.peer.memory
        async with memory.turn:
            async with self._database.tx(station.tenant, actor=station.id) as tx:
                await station_connected(
                    tx, station, link.peer.dialect.version, link.id, remote=remote
                )
                if not memory.loaded:
                    await _recall(tx, station, memory)
            memory.written += 1
            old, self._links[station.id] = self._links.get(station.id), link
        if old is not None:
            log.info("connection_replaced", station=station.id)
            task = asyncio.create_task(old.close(1000, "replaced by a newer connection"))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _unregister(self, link: StationLink) -> None:
        station = link.peer.station
        if self._links.get(station.id) is link:
            del self._links[station.id]
        try:
            async with self._database.tx(station.tenant, actor=station.id) as tx:
                was_last = await station_disconnected(tx, station, link.id)
        except PASSING as error:
            log.warning("disconnection_not_stored", station=station.id, error=repr(error)[:200])
            return
        if was_last:
            log.info("station_disconnected", station=station.id)

    async def _wake_links(self) -> None:
        with self._bus.subscribe(f"{COMMAND_TOPIC}*") as subscription:
            async for topic, _ in subscription:
                link = self._links.get(topic.removeprefix(COMMAND_TOPIC))
                if link is not None:
                    link.deliver()

    async def _tend(self) -> None:
        """Look after every link once in 30 s, a slice of them each second."""
        turn = 0
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            turn += 1
            links = [
                link
                for place, link in enumerate(list(self._links.values()))
                if place % _TEND_SLICES == turn % _TEND_SLICES
            ]
            try:
                await self._tend_slice([link for link in links if not self._silent(link)])
            except PASSING as error:
                log.warning("stations_not_tended", error=repr(error)[:200])

    def _silent(self, link: StationLink) -> bool:
        """Whether a link has said nothing for three heartbeats; then it is cut."""
        if asyncio.get_running_loop().time() - link.heard_at <= _SILENCE_SECONDS:
            return False
        log.warning("station_silent", station=link.peer.station.id)
        link.socket.transport.abort()
        return True

    async def _tend_slice(self, links: Sequence[StationLink]) -> None:
        """Note who is here, and wake links whose wake-up for a command was lost."""
        since = asyncio.get_running_loop().time() - _TEND_SECONDS * _TEND_SLICES
        here: dict[UUID, list[StationLink]] = defaultdict(list)
        for link in links:
            here[link.peer.station.tenant].append(link)
        for tenant, present in here.items():
            async with self._database.tx(tenant, actor="ocpp") as tx:
                await seen(tx, [link.peer.station.id for link in present if link.heard_at > since])
                for link in present:
                    if await commands_due(tx, link.peer.station):
                        link.deliver()


async def _recall(tx: Tx, station: StationRef, memory: Memory) -> None:
    """Load what an earlier process told the station, so that a repeat gets the same answer."""
    now = asyncio.get_running_loop().time()
    for row in reversed(await frames_of(tx, station.id, limit=_RECALLED)):
        if row.direction != "i" or row.reply is None:
            continue
        version = Version(row.protocol)
        call, reply = split(row.call, version), split(row.reply, version)
        if isinstance(call, Call) and isinstance(reply, CallResult):
            memory.replies.keep(call, bytes(reply.payload), now)
    for number, ref, trace in await tx.rows(
        """SELECT number, ref, trace FROM charging.v_session
           WHERE station_id = %s AND state IN ('PENDING', 'ACTIVE') LIMIT 16""",
        station.id,
    ):
        memory.follow(Transaction(number=number, ref=ref), trace)
    memory.loaded = True


def _named(socket: ServerConnection, _: Sequence[Subprotocol]) -> Subprotocol | None:
    assert isinstance(socket, _Socket)
    admitted = socket.admitted
    if admitted is None or admitted.version is None or not admitted.named:
        return None
    return Subprotocol(admitted.version)


def _presented(socket: _Socket, request: Request) -> Presented:
    tls = socket.transport.get_extra_info("ssl_object")
    headers = request.headers.get_all("Authorization")
    return Presented(
        authorization=headers[0] if headers else None,
        secure=tls is not None,
        certificate=tls.getpeercert() if tls is not None else None,
    )


def _remote(socket: ServerConnection) -> str:
    address = socket.remote_address
    return str(address[0]) if address else ""


def _port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
