"""One station's connection: its frames in order, its answers after the commit, our CALLs between.

A reader takes every frame at once, so that answers to our CALLs never wait behind a CALL that is
being decided; CALLs themselves are worked off one after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import UUID

import structlog
from msgspec import Raw
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from hub.kernel import new_id
from hub.ocpp.commands import Delivery, End, Sent, started_card
from hub.ocpp.errors import LinkFullError, PayloadError
from hub.ocpp.fold import PASSING
from hub.ocpp.frames import Call
from hub.ocpp.lanes import Lanes, Peer
from hub.ocpp.link import Answered, Arrived, Displaced, Link, Lost, Malformed, Refused, Repeated
from hub.ocpp.metrics import CALLS, ODD_FRAMES
from hub.ocpp.versions import Fault
from hub.stations import Command

log = structlog.get_logger()

_BACKLOG = 16
_SEND_SECONDS = 10.0
_AT_ONCE = 8


class StationLink:
    """Runs one connection until it ends."""

    def __init__(
        self, socket: ServerConnection, peer: Peer, lanes: Lanes, delivery: Delivery,
        *, settle: float,
    ) -> None:  # fmt: skip
        self.id: UUID = new_id()
        self.peer = peer
        self.socket = socket
        self._lanes = lanes
        self._delivery = delivery
        self._settle = settle
        self._loop = asyncio.get_running_loop()
        self._link = Link(peer.dialect.version, peer.memory.replies, lambda: str(new_id()))
        self._inbox: deque[tuple[Call, bytes]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fetch_again = False
        self._taken: dict[str, Command] = {}
        self._sent: Sent | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ready = False
        self._closed = False
        self.heard_at = self._loop.time()

    async def run(self, *, booted: bool) -> None:
        """Read frames until the socket closes; then give back what was not delivered.

        ``booted``: the station is known, so its commands need not wait for a BootNotification
        (part 4 section 5.4: a reconnect does not boot), only for it to settle.
        """
        grace = self._loop.call_later(self._settle, self.ready) if booted else None
        try:
            while True:
                frame = await self.socket.recv(decode=False)
                self.heard_at = self._loop.time()
                await self._take(frame)
        except ConnectionClosed as closed:
            self._tell_oversized(closed)
        finally:
            if grace is not None:
                grace.cancel()
            await self._end()

    def ready(self) -> None:
        """The station may be sent commands from now on."""
        if not self._ready and not self._closed:
            self._ready = True
            self.deliver()

    def deliver(self) -> None:
        """Look for commands to deliver, now."""
        if not self._ready or self._closed:
            return
        if self._fetching is not None and not self._fetching.done():
            self._fetch_again = True
            return
        self._fetching = self._loop.create_task(self._fetch())

    async def close(self, code: int, reason: str) -> None:
        """End the connection from our side."""
        await self.socket.close(code, reason)

    async def _take(self, frame: bytes) -> None:
        match self._link.receive(frame, self._loop.time()):
            case Arrived(call):
                self._inbox.append((call, frame))
                if self._worker is None or self._worker.done():
                    self._worker = self._loop.create_task(self._work())
                elif len(self._inbox) > _BACKLOG:
                    await asyncio.wait([self._worker])
            case Repeated(call, reply):
                ODD_FRAMES.labels("repeated").inc()
                await self._send(reply)
            case Malformed(error, reply):
                ODD_FRAMES.labels("malformed").inc()
                self._tell_malformed(error.reason)
                await self._send(reply)
            case (Answered() | Refused()) as end:
                await self._finish(end)
                self.deliver()
            case None:
                ODD_FRAMES.labels("empty").inc()
            case stray:
                ODD_FRAMES.labels(stray.reason).inc()
        await self._pump()

    async def _work(self) -> None:
        """Answer the CALLs that have arrived, one after the other."""
        while self._inbox:
            call, frame = self._inbox.popleft()
            async with self.peer.memory.turn:
                reply = await self._answer(call, frame)
            await self._send(reply)
            self.ready()

    async def _answer(self, call: Call, frame: bytes) -> bytes:
        protocol, station = self.peer.dialect.version, self.peer.station
        try:
            body = await self._lanes.answer(self.peer, call, frame)
        except PayloadError as error:
            known = call.action if call.action in self.peer.dialect.inbound else "unknown"
            CALLS.labels(protocol, known, error.fault).inc()
            log.warning(
                "call_refused", station=station.id, action=call.action[:64], why=str(error),
                hint="the station got a CALLERROR; the frame is kept in its message log",
            )  # fmt: skip
            reply = self._link.refuse(call, error.fault, str(error))
            await self._lanes.note_refusal(self.peer, call, frame, reply)
            return reply
        except PASSING as error:
            log.warning(
                "call_not_stored", station=station.id, action=call.action, error=repr(error)[:300],
                hint="the station was told InternalError and keeps its message; does Postgres run, "
                "and has its disk space?",
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - the link loop: the connection goes on
            self._failed("call_failed", call.action, error)
        else:
            CALLS.labels(protocol, call.action, "answered").inc()
            return self._link.answer(call, Raw(body), self._loop.time())
        CALLS.labels(protocol, call.action, Fault.INTERNAL).inc()
        return self._link.refuse(call, Fault.INTERNAL, "could not be stored; please try again")

    async def _send(self, frame: bytes | None) -> None:
        if frame is None:
            return
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self.socket.send(frame, text=True)
        except ConnectionClosed:
            return
        except TimeoutError:
            log.warning("station_does_not_read", station=self.peer.station.id)
            self.socket.transport.abort()

    async def _pump(self) -> None:
        """Send the next CALL of ours if the line is free, and be there when its time is up."""
        frame = self._link.next_frame(self._loop.time())
        if frame is not None:
            asked = self._link.open
            assert asked is not None
            self._sent = Sent(_message_id(frame), frame)
            await self._send(frame)
        if self._timer is not None:
            self._timer.cancel()
        wake = self._link.wake_at()
        self._timer = None if wake is None else self._loop.call_at(wake, self._wake)

    def _wake(self) -> None:
        self._loop.create_task(self._due())

    async def _due(self) -> None:
        for end in self._link.due(self._loop.time()):
            await self._finish(end)
        await self._pump()
        self.deliver()

    async def _fetch(self) -> None:
        """Take due commands as long as there are any and the queue has room."""
        while not self._closed:
            self._fetch_again = False
            most = min(_AT_ONCE, self._link.capacity - self._link.waiting)
            if most > 0:
                await self._take_commands(most)
            if not self._fetch_again:
                return

    async def _take_commands(self, most: int) -> None:
        peer = self.peer
        try:
            taken = await self._delivery.take(
                peer.station, peer.dialect, now=self._loop.time(), most=most
            )
        except PASSING as error:
            log.warning("commands_wait", station=peer.station.id, error=repr(error)[:200])
            return
        for one in taken:
            self._taken[one.ask.ref] = one.command
            if (card := started_card(one.ask)) is not None:
                peer.memory.follow_remote(card, one.command.trace)
            try:
                displaced = self._link.submit(one.ask)
            except LinkFullError:
                displaced = Displaced(one.ask)
            if displaced is not None:
                await self._finish(displaced)
        await self._pump()

    async def _finish(self, end: End) -> None:
        """Store what became of a CALL of ours."""
        command = self._taken.pop(end.ask.ref)
        was_sent = not isinstance(end, Lost) or end.sent
        sent = self._sent if was_sent else None
        try:
            await self._delivery.settle(self.peer.station, self.peer.dialect, command, end, sent)
        except Exception as error:  # noqa: BLE001 - the link loop: the row times out by itself
            self._failed("command_end_not_stored", end.ask.action, error)

    def _tell_malformed(self, reason: str) -> None:
        log.warning(
            "malformed_frame", station=self.peer.station.id, reason=reason,
            hint="the station was told and stays connected; its firmware sends what is no OCPP-J",
        )  # fmt: skip

    def _tell_oversized(self, closed: ConnectionClosed) -> None:
        if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
            log.warning(
                "frame_too_big", station=self.peer.station.id, reason=closed.sent.reason,
                hint="the connection was closed; let the station send less in one message",
            )  # fmt: skip

    def _failed(self, what: str, action: str, error: Exception) -> None:
        log.error(
            what, station=self.peer.station.id, action=action, exc_info=error,
            hint="nothing was stored and nothing accepted; the trace says where it failed",
        )  # fmt: skip

    async def _end(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        # What was read is worked off: its answers cannot be sent, its content counts.
        for task in (self._worker, self._fetching):
            if task is not None:
                await asyncio.wait([task])
        for lost in self._link.close():
            await self._finish(lost)


def _message_id(frame: bytes) -> str:
    return frame.split(b'"', 2)[1].decode()
