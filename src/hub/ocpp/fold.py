"""From journalled frames to state: each answered frame becomes what it says, in order, once.

A frame that cannot be folded is set aside for a person, so that its neighbours go on. The frame
itself stays stored either way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

import psycopg
import structlog
from msgspec import MsgspecError, Struct

from hub.charging import note_status, record_meters, record_updates
from hub.charging.messages import MetersSampled, TransactionUpdated
from hub.kernel import HubError
from hub.ocpp.dialect import Heard, Message, ReservationEnded, SecurityEventTold, VariablesReported
from hub.ocpp.dialects import DIALECTS
from hub.ocpp.frames import Call, split
from hub.ocpp.journal import FrameRow, quarantine_frame, stations_pending, take_pending
from hub.ocpp.memory import Memories, Memory
from hub.ocpp.metrics import QUARANTINED
from hub.ocpp.payload import read
from hub.ocpp.versions import Version
from hub.runtime import Database, Tx, correlated
from hub.runtime.db import DatabaseUnavailable
from hub.stations import StationId, StationRef, end_reservation, report_status, save_variables
from hub.stations.messages import StatusReported

log = structlog.get_logger()

EVERY = 1.0
_NET_EVERY = 30
_AT_ONCE = 4
_BATCH = 1000

# What says nothing about the frame: the database is away or another transaction won.
PASSING = (psycopg.OperationalError, psycopg.InterfaceError, DatabaseUnavailable)

# What a frame can be at fault for: its content, or the rules of the rooms that take it.
AT_FAULT = (HubError, psycopg.Error, MsgspecError, ArithmeticError, LookupError, TypeError,
            ValueError, AttributeError, AssertionError)  # fmt: skip


class Unfoldable(Exception):
    """Folding failed because of a frame; ``__cause__`` says why."""


class _Told(Struct, frozen=True):
    message: Message
    trace: str


async def fold_pending(tx: Tx, station: StationRef) -> None:
    """Fold all that the journal holds for a station in ``tx``.

    Raises ``Unfoldable`` when a frame is at fault: then the transaction must be given up and
    ``set_aside`` be called.
    """
    while True:
        frames = await take_pending(tx, station.id, _BATCH)
        try:
            await _apply(tx, [told for frame in frames for told in _told(frame)])
        except PASSING:
            raise
        except AT_FAULT as error:
            raise Unfoldable from error
        if len(frames) < _BATCH:
            return


async def set_aside(database: Database, station: StationRef) -> None:
    """Fold a station's frames one by one, each in its own transaction; quarantine the bad ones."""
    while True:
        frames: list[FrameRow] = []
        try:
            async with database.tx(station.tenant, actor=station.id) as tx:
                frames = await take_pending(tx, station.id, 1)
                if not frames:
                    return
                await _apply(tx, _told(frames[0]))
        except PASSING:
            raise
        except AT_FAULT as error:
            await _quarantine(database, station, frames[0], error)


async def _quarantine(
    database: Database, station: StationRef, frame: FrameRow, error: Exception
) -> None:
    reason = f"{type(error).__name__}: {error}"[:500]
    async with database.tx(station.tenant, actor=station.id) as tx:
        await quarantine_frame(tx, station.id, frame.id, reason)
    QUARANTINED.inc()
    log.error(
        "frame_quarantined", station=station.id, frame=frame.id, action=frame.action,
        reason=reason, hint="the frame is kept; replay it once the cause is mended",
    )  # fmt: skip


def _told(frame: FrameRow) -> list[_Told]:
    version = Version(frame.protocol)
    call = split(frame.call, version)
    if not isinstance(call, Call):
        return []
    inbound = DIALECTS[version].inbound[call.action]
    heard = Heard(StationRef(frame.tenant_id, StationId(frame.station_id)), frame.at)
    said = read(inbound.wire, call.payload).value
    return [_Told(message, frame.trace) for message in inbound.messages(said, heard)]


async def _apply(tx: Tx, told: Sequence[_Told]) -> None:
    """Take the messages in order; those that follow each other and belong together in one call."""
    for _, group in groupby(told, _together):
        alike = list(group)
        messages = [one.message for one in alike]
        meters = [m for m in messages if isinstance(m, MetersSampled)]
        updates = [m for m in messages if isinstance(m, TransactionUpdated)]
        with correlated(alike[0].trace):
            if meters:
                await record_meters(tx, meters)
            elif updates:
                await record_updates(tx, updates)
            else:
                for one in alike:
                    await _take(tx, one.message)


def _together(told: _Told) -> object:
    match told.message:
        case MetersSampled():
            return told.trace
        case TransactionUpdated(transaction=transaction):
            return transaction, told.trace
        case _:
            return told


async def _take(tx: Tx, message: Message) -> None:
    match message:
        case StatusReported():
            await report_status(tx, message)
            await note_status(tx, message)
        case VariablesReported():
            await save_variables(tx, message.station, message.found)
        case ReservationEnded():
            await end_reservation(tx, message.station.id, message.number, message.state)
        case SecurityEventTold():
            log.warning(
                "station_security_event", station=message.station.id, kind=message.kind,
                detail=message.detail,
            )  # fmt: skip
        case _:
            raise TypeError(f"{type(message).__name__} is decided, not folded")


class Folder:
    """Folds in the background whatever no action of the station has folded before."""

    def __init__(self, database: Database, memories: Memories) -> None:
        self._database = database
        self._memories = memories
        self._due: dict[str, StationRef] = {}

    def add(self, station: StationRef) -> None:
        """Fold the station's frames soon."""
        self._due[station.id] = station

    async def run(self) -> None:
        """Fold until cancelled: at the start everything that was left, then what is added."""
        rounds = 0
        while True:
            if rounds % _NET_EVERY == 0:
                await self._cast_net()
            rounds += 1
            await self.fold_due()
            await asyncio.sleep(EVERY)

    async def fold_due(self) -> None:
        """Fold every station that is due now."""
        due, self._due = list(self._due.values()), {}
        for start in range(0, len(due), _AT_ONCE):
            await asyncio.gather(*(self._fold(one) for one in due[start : start + _AT_ONCE]))

    async def _cast_net(self) -> None:
        """Find frames that an earlier process, or another one, left in the journal."""
        try:
            async with self._database.system_tx() as tx:
                found = await stations_pending(tx)
        except PASSING as error:
            log.warning("fold_waits", error=repr(error)[:200])
            return
        for station_id, tenant in found:
            self.add(StationRef(tenant, StationId(station_id)))

    async def _fold(self, station: StationRef) -> None:
        try:
            await fold_station(self._database, station, self._memories.of(station.id))
        except PASSING as error:
            self.add(station)
            log.warning("fold_waits", station=station.id, error=repr(error)[:200])
        except Exception as error:  # noqa: BLE001 - the fold loop: others' frames must not wait
            _failed(station, error)


def _failed(station: StationRef, error: Exception) -> None:
    log.error("fold_failed", station=station.id, exc_info=error)


async def fold_station(database: Database, station: StationRef, memory: Memory) -> None:
    """Fold all that waits for a station, in transactions of its own."""
    mark = memory.written
    try:
        async with database.tx(station.tenant, actor=station.id, keyed=True) as tx:
            await fold_pending(tx, station)
    except Unfoldable:
        await set_aside(database, station)
    memory.folded = mark
