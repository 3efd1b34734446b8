"""The journal lane: frames whose answer carries no decision share a commit, then are answered.

Also the log of every frame both ways. ``fold.py`` turns journalled frames into state.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from hub.runtime import Database, Tx

log = structlog.get_logger()

_MOST = 512
_QUEUE = 20_000

_FRAME = """COPY ocpp.frame (station_id, id, tenant_id, at, direction, protocol, action,
  message_id, call, reply, trace, folds) FROM STDIN (FORMAT BINARY)"""
_FRAME_TYPES = (
    "text", "int8", "uuid", "timestamptz", "text", "text", "text", "text", "bytea", "bytea", "text",
    "bool",
)  # fmt: skip


class FrameRow(msgspec.Struct, frozen=True):
    """One CALL and its reply as stored. ``id`` orders the frames of a station by receipt.

    ``folds``: its answer was given before it became state.
    """

    station_id: str
    id: int
    tenant_id: UUID
    at: datetime
    direction: Literal["i", "o"]
    protocol: str
    action: str
    message_id: str
    call: bytes
    reply: bytes | None
    trace: str
    folds: bool = False


class FrameIds:
    """Strictly growing frame ids of this process: nanoseconds since 1970, never twice."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """An id above every earlier one of this process."""
        self._last = max(self._last + 1, time.time_ns())
        return self._last


class Journal:
    """Group commit of frames by COPY. ``write`` returns once the frame is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: asyncio.Queue[tuple[FrameRow, bool, asyncio.Future[None] | None]] = (
            asyncio.Queue(_QUEUE)
        )

    async def write(self, frame: FrameRow) -> None:
        """Store a frame to be folded; raises what Postgres raised if it could not be stored."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put((frame, True, stored))
        await stored

    async def note(self, frame: FrameRow) -> None:
        """Add a frame to the log soon; nothing waits for it and nothing folds it."""
        await self._queue.put((frame, False, None))

    async def run(self) -> None:
        """Write batch after batch until cancelled; what is queued then is not acknowledged."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < _MOST and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._store(batch)

    async def _store(self, batch: list[tuple[FrameRow, bool, asyncio.Future[None] | None]]) -> None:
        error = await self._try([(frame, fold) for frame, fold, _ in batch])
        if error is None:
            for _, _, stored in batch:
                _settle(stored, None)
            return
        if isinstance(error, psycopg.OperationalError):
            # The database is away: trying frame by frame would only make everybody wait longer.
            log.warning("journal_not_stored", frames=len(batch), error=repr(error)[:200])
            for _, _, stored in batch:
                _settle(stored, error)
            return
        # One bad frame must not refuse its neighbours: store each by itself.
        for frame, fold, stored in batch:
            failed = await self._try([(frame, fold)])
            if failed is not None:
                log.error("frame_not_stored", station=frame.station_id, error=repr(failed)[:300])
            _settle(stored, failed)

    async def _try(self, rows: list[tuple[FrameRow, bool]]) -> Exception | None:
        try:
            async with self._database.ingest() as connection:
                await _copy(connection, rows)
        except Exception as error:  # noqa: BLE001 - the journal loop: whoever waits must hear of it
            return error
        return None


def _values(frame: FrameRow, folds: bool) -> tuple[object, ...]:
    return (
        frame.station_id, frame.id, frame.tenant_id, frame.at, frame.direction,
        frame.protocol, frame.action, frame.message_id, frame.call, frame.reply, frame.trace,
        folds,
    )  # fmt: skip


async def _copy(connection: AsyncConnection[Any], rows: list[tuple[FrameRow, bool]]) -> None:
    async with connection.cursor() as cursor, cursor.copy(_FRAME) as copy:
        copy.set_types(_FRAME_TYPES)
        for frame, folds in rows:
            await copy.write_row(_values(frame, folds))


def _settle(stored: asyncio.Future[None] | None, error: Exception | None) -> None:
    if stored is None or stored.done():
        return
    if error is None:
        stored.set_result(None)
    else:
        stored.set_exception(error)


async def take_pending(tx: Tx, station_id: str, most: int) -> list[FrameRow]:
    """The ``most`` oldest journalled frames of the station that wait to be folded, in order.

    Whoever takes them folds them in the same transaction; a rollback gives them back.
    """
    return await tx.all(FrameRow, "SELECT * FROM ocpp.take_pending(%s, %s)", station_id, most)


async def quarantine_frame(tx: Tx, station_id: str, frame_id: int, reason: str) -> None:
    """Set a frame aside that cannot be folded, so that its neighbours go on."""
    await tx.run(
        "SELECT ocpp.quarantine_frame(%s, %s, %s, %s)", station_id, frame_id, reason, tx.now
    )


async def stations_pending(tx: Tx) -> list[tuple[str, UUID]]:
    """Stations with frames to fold, and their tenants (``tx`` is ``Database.system_tx``)."""
    rows = await tx.rows("SELECT station_id, tenant_id FROM ocpp.stations_pending()")
    return [(row[0], row[1]) for row in rows]


def note_frame(tx: Tx, frame: FrameRow) -> None:
    """Store a frame and its reply in the transaction of its effects, when it commits."""
    tx.conclude(
        "SELECT ocpp.note_frame(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        frame.station_id, frame.id, frame.at, frame.direction, frame.protocol, frame.action,
        frame.message_id, frame.call, frame.reply, frame.trace,
    )  # fmt: skip


async def frames_of(
    tx: Tx, station_id: str, *, before: int | None = None, limit: int = 50
) -> list[FrameRow]:
    """A station's frames both ways, newest first, older than id ``before``."""
    return await tx.all(
        FrameRow,
        "SELECT * FROM ocpp.frames_of(%s, %s, %s)",
        station_id, before or 2**63 - 1, limit,
    )  # fmt: skip
