"""What becomes of a station's CALL: read it, store what it says, and only then answer it.

Journal lane: the frame and its answer are stored in a shared commit and folded soon. Action lane:
the answer is a decision; what the journal holds is folded first, in the same transaction.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from time import perf_counter
from typing import Any

import psycopg
import structlog
from msgspec import Raw, Struct

from hub.charging import (
    Authorization,
    Authorizer,
    close_session,
    note_boot,
    open_session,
    update_session,
)
from hub.charging.messages import (
    AuthorizeAsked,
    StartAnswer,
    Transaction,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from hub.charging.times import plausible
from hub.ocpp.dialect import Dialect, Heard, Inbound, Message, Outcome
from hub.ocpp.errors import PayloadError
from hub.ocpp.fold import Folder, Unfoldable, fold_pending, set_aside
from hub.ocpp.frames import Call, encode_payload, encode_result
from hub.ocpp.journal import FrameIds, FrameRow, Journal, note_frame
from hub.ocpp.memory import Memory
from hub.ocpp.metrics import DEVIATIONS, SECONDS
from hub.ocpp.payload import read
from hub.ocpp.schema import station_action
from hub.ocpp.versions import Fault
from hub.runtime import Bus, Database, Tx, correlated
from hub.runtime.telemetry import span
from hub.stations import StationRef, boot
from hub.stations.messages import StationBooted

log = structlog.get_logger()

_ATTEMPTS = 4
_LOST_RACE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class Peer(Struct, frozen=True):
    """A connected station: who it is, how it speaks, what we remember of it."""

    station: StationRef
    dialect: Dialect
    memory: Memory


class Said(Struct, frozen=True):
    """A CALL that could be read."""

    call: Call
    frame: bytes
    inbound: Inbound
    value: Struct
    heard: Heard
    messages: tuple[Message, ...]


class Lanes:
    """Answers CALLs of any station."""

    def __init__(
        self,
        database: Database,
        authorizer: Authorizer,
        journal: Journal,
        folder: Folder,
        bus: Bus,
        *,
        strict: bool,
    ) -> None:
        self._database = database
        self._authorizer = authorizer
        self._journal = journal
        self._folder = folder
        self._bus = bus
        self._strict = strict
        self.ids = FrameIds()

    async def answer(self, peer: Peer, call: Call, frame: bytes) -> bytes:
        """The payload of the answer to ``call``, once what it says is stored.

        Raises ``PayloadError`` for what cannot be read, and whatever kept it from being stored.
        """
        began = perf_counter()
        said = self._read(peer, call, frame)
        lane = said.inbound.lane(said.value)
        with correlated(_trace(peer.memory, said.messages)) as trace:
            if lane == "action":
                with span("ocpp.call", station=peer.station.id, action=call.action):
                    body = await self._decide(peer, said, trace)
            else:
                body = encode_payload(said.inbound.reply(said.value, None, said.heard.at))
                row = self._row(peer, said, body, trace)
                if lane == "journal":
                    await self._keep(peer, row)
                else:
                    await self._journal.note(row)
        SECONDS.labels(peer.dialect.version, lane).observe(perf_counter() - began)
        return body

    async def note_refusal(self, peer: Peer, call: Call, frame: bytes, reply: bytes) -> None:
        """Keep a refused CALL in the log, so that somebody can see why."""
        at = self._database.clock.now()
        row = self._frame(peer, call, frame, at=at, reply=reply, trace="")
        await self._journal.note(row)

    def _read(self, peer: Peer, call: Call, frame: bytes) -> Said:
        version = peer.dialect.version
        station_action(version, call.action)
        inbound = peer.dialect.inbound[call.action]
        reading: Any = read(inbound.wire, call.payload, strict=self._strict)
        for one in reading.deviations:
            DEVIATIONS.labels(version, call.action, one.kind).inc()
            if peer.memory.first_time(f"{call.action} {one.kind} {one.path}"):
                log.info(
                    "station_deviates", station=peer.station.id, action=call.action,
                    kind=one.kind, path=one.path,
                )  # fmt: skip
        heard = Heard(peer.station, self._database.clock.now())
        messages = inbound.messages(reading.value, heard)
        _doubt_clock(peer, messages, heard.at)
        return Said(call, frame, inbound, reading.value, heard, messages)

    async def _keep(self, peer: Peer, row: FrameRow) -> None:
        """Write a frame to the journal; also when the connection ends meanwhile."""
        await self._journal.write(row)
        peer.memory.written += 1
        self._folder.add(peer.station)

    async def _decide(self, peer: Peer, said: Said, trace: str) -> bytes:
        asked = _asked(said.messages[0])
        told: Authorization | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                body = await self._in_one(peer, said, asked, told, trace=trace)
            except Unfoldable:
                await set_aside(self._database, peer.station)
            except _LOST_RACE:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(0.01 * attempt)
            else:
                if body is not None:
                    self._bus.publish(f"live:{peer.station.id}")
                    return body
                assert asked is not None
                told = await self._authorizer.decide(asked)
        raise PayloadError(Fault.INTERNAL, "too many attempts")

    async def _in_one(
        self,
        peer: Peer,
        said: Said,
        asked: AuthorizeAsked | None,
        told: Authorization | None,
        *,
        trace: str,
    ) -> bytes | None:
        """Decide and store in one transaction; ``None``: the eMSP must be asked first."""
        station, memory = peer.station, peer.memory
        mark = memory.written
        body, outcome = None, None
        async with self._database.tx(station.tenant, actor=station.id, keyed=True) as tx:
            if memory.unfolded:
                await fold_pending(tx, station)
            if asked is not None and told is None:
                told = await self._authorizer.local(tx, asked)
            if asked is None or told is not None:
                outcome = await _act(tx, said.messages[0], told)
                body = encode_payload(said.inbound.reply(said.value, outcome, tx.now))
                note_frame(tx, self._row(peer, said, body, trace))
        memory.folded = mark
        if body is not None:
            _follow(memory, said.messages[0], outcome, trace)
        return body

    def _row(self, peer: Peer, said: Said, body: bytes, trace: str) -> FrameRow:
        reply = encode_result(said.call.id, Raw(body))
        return self._frame(peer, said.call, said.frame, at=said.heard.at, reply=reply, trace=trace)

    def _frame(
        self, peer: Peer, call: Call, frame: bytes, *, at: datetime, reply: bytes, trace: str
    ) -> FrameRow:
        return FrameRow(
            station_id=peer.station.id, id=self.ids.next(), tenant_id=peer.station.tenant, at=at,
            direction="i", protocol=peer.dialect.version, action=call.action[:64],
            message_id=str(call.id), call=frame, reply=reply, trace=trace,
        )  # fmt: skip


def _doubt_clock(peer: Peer, messages: tuple[Message, ...], now: datetime) -> None:
    """Tell once of a station whose clock cannot be right; what it says is dated by receipt."""
    at = getattr(messages[0], "at", None) if messages else None
    if at is not None and not plausible(at, now) and peer.memory.first_time("clock"):
        log.warning(
            "station_clock_wrong", station=peer.station.id, says=at.isoformat(),
            hint="times of receipt are billed on; the station should set its clock from our "
            "BootNotification and Heartbeat answers",
        )  # fmt: skip


def _asked(message: Message) -> AuthorizeAsked | None:
    """The question about an identifier that a message raises, if it does."""
    match message:
        case AuthorizeAsked():
            return message
        case TransactionStarted() | TransactionUpdated():
            if message.token is not None:
                return AuthorizeAsked(
                    station=message.station, token=message.token, evse=message.evse
                )
    return None


async def _act(tx: Tx, message: Message, told: Authorization | None) -> Outcome:
    match message:
        case StationBooted():
            answer = await boot(tx, message)
            await note_boot(tx, message)
            return answer
        case AuthorizeAsked():
            assert told is not None
            return told.answer
        case TransactionStarted():
            return await open_session(tx, message, told)
        case TransactionUpdated():
            return await update_session(tx, message, told)
        case TransactionEnded():
            return await close_session(tx, message)
        case _:
            raise TypeError(f"{type(message).__name__} is folded, not decided")


def _transaction(messages: tuple[Message, ...]) -> Transaction | None:
    for message in messages:
        found = getattr(message, "transaction", None)
        if isinstance(found, Transaction):
            return found
    return None


def _trace(memory: Memory, messages: tuple[Message, ...]) -> str:
    """The correlation id to go on under: the transaction's, or its card's Authorize or command."""
    found = memory.trace_of(_transaction(messages))
    if messages and isinstance(messages[0], AuthorizeAsked):
        return memory.trace_of_remote(messages[0].token.uid)
    if not found and messages and isinstance(messages[0], TransactionStarted):
        token = messages[0].token
        return memory.trace_of_token(token.uid) if token else ""
    return found


def _follow(memory: Memory, message: Message, outcome: Outcome, trace: str) -> None:
    if isinstance(outcome, StartAnswer):
        memory.follow(Transaction(number=outcome.number), trace)
    found = _transaction((message,))
    if found is not None:
        memory.follow(found, trace)
    elif isinstance(message, AuthorizeAsked):
        memory.follow_token(message.token.uid, trace)
