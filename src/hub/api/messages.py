"""The raw frames between a station and us, both ways, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

import msgspec
from litestar import get
from litestar.params import FromPath

from hub.api.access import needs
from hub.api.pages import Cursor, Limit, Page, cursor_of, key_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.runtime import Tx
from hub.stations import station

_NEWEST: Final = 2**63 - 1


Way = Literal["in", "out"]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A CALL and its reply as stored; ``direction`` is that of the CALL."""

    id: int
    at: datetime
    direction: Literal["i", "o"]
    protocol: str
    action: str
    message_id: str
    call: bytes
    reply: bytes | None


class MessageShape(msgspec.Struct, frozen=True, kw_only=True):
    """One frame. ``direction``: ``in`` came from the station, ``out`` went to it."""

    at: datetime
    direction: Way
    version: str
    action: str
    message_id: str
    frame: str
    """The text as it went over the wire."""


async def exchanges(
    tx: Tx, station_id: str, *, before: int = _NEWEST, limit: int
) -> list[Exchange]:
    """A page of a station's exchanges, newest first, from the one before ``before``."""
    return await tx.all(
        Exchange,
        """SELECT id, at, direction, protocol, action, message_id, call, reply
           FROM ocpp.frames_of(%s, %s, %s)""",
        station_id, before, limit,
    )  # fmt: skip


def frames_of(found: Exchange) -> Iterator[MessageShape]:
    """The frames of an exchange, newest first: its reply, then its CALL."""
    sides: tuple[Way, Way] = ("in", "out") if found.direction == "i" else ("out", "in")
    asked, told = sides
    for direction, frame in ((told, found.reply), (asked, found.call)):
        if frame is not None:
            yield MessageShape(
                at=found.at, direction=direction, version=found.protocol, action=found.action,
                message_id=found.message_id, frame=frame.decode("utf-8", "replace"),
            )  # fmt: skip


@get(
    "/stations/{station_id:str}/messages", tags=["stations"], operation_id="list_messages",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def list_messages(
    tx: Work, station_id: FromPath[str], limit: Limit = 50, cursor: Cursor = None
) -> Page[MessageShape]:
    """Raw frames both ways, newest first; ``limit`` counts CALLs, each with its reply."""
    row = await station(tx, station_id)
    key = key_of(cursor, tuple[int])
    found = await exchanges(tx, row.id, before=key[0] if key else _NEWEST, limit=limit + 1)
    items = [frame for one in found[:limit] for frame in frames_of(one)]
    later = cursor_of((found[limit - 1].id,)) if len(found) > limit else None
    return Page(items, later)
