"""Commands owed to stations: durable rows, delivered by the process that holds the socket.

A command is queued, sent, and then answered, failed (CALLERROR), timed out or expired. A
station's ``Rejected`` is an answer. How many may be in flight is the OCPP door's business.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from hub.kernel import NotFound, new_id
from hub.runtime import Tx, correlation
from hub.stations.errors import CommandClosed
from hub.stations.events import CommandAnswered, CommandQueued
from hub.stations.model import StationRef

CommandStatus = Literal["queued", "sent", "answered", "failed", "timeout", "expired"]

DEADLINE_SECONDS = 60


class RemoteStart(msgspec.Struct, frozen=True, kw_only=True):
    """Start charging: RemoteStartTransaction (1.6), RequestStartTransaction (2.x)."""

    token_uid: str
    token_type: str = "RFID"  # noqa: S105 - OCPI TokenType, no secret
    group_id: str | None = None
    evse: int | None = None
    connector: int | None = None
    remote_start_id: int = 0
    limit_wh: Decimal | None = None


class RemoteStop(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a transaction by our number (1.6) or the station's own reference (2.x)."""

    number: int
    ref: str | None = None


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Restart the station: at once (Hard, Immediate), or when nobody charges (Soft, OnIdle)."""

    hard: bool = False
    evse: int | None = None


class Unlock(msgspec.Struct, frozen=True, kw_only=True):
    """Unlock a connector."""

    evse: int
    connector: int = 1


class NeutralReply(msgspec.Struct, frozen=True, kw_only=True):
    """A station's answer to a neutral command, as the dialect reads it."""

    status: str
    transaction: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command with its whole life. ``payload`` and ``reply`` are JSON as sent and received."""

    id: UUID
    tenant_id: UUID
    station_id: str
    action: str
    neutral: bool
    payload: bytes
    origin: str
    status: CommandStatus
    queued_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    done_at: datetime | None
    reply: bytes | None
    error: str | None
    trace: str


_COLUMNS = ", ".join(Command.__struct_fields__)


async def send_command(
    tx: Tx,
    station: StationRef,
    action: str,
    payload: bytes,
    *,
    protocol_neutral: bool = False,
    origin: str = "",
    deadline: int = DEADLINE_SECONDS,
) -> UUID:
    """Queue a command; it expires unsent after ``deadline`` seconds.

    ``payload`` is the OCPP action's JSON in the station's version, or, neutral, one of
    ``RemoteStart``, ``RemoteStop``, ``Reset``, ``Unlock`` that the dialect lowers.
    """
    command_id = new_id()
    await tx.run(
        """INSERT INTO stations.command (id, tenant_id, station_id, action, neutral, payload,
             origin, status, queued_at, expires_at, trace)
           VALUES (%s, %s, %s, %s, %s, %s, %s, 'queued', %s, %s, %s)""",
        command_id, station.tenant, station.id, action, protocol_neutral, payload, origin,
        tx.now, tx.now + timedelta(seconds=deadline), correlation(),
    )  # fmt: skip
    tx.emit(CommandQueued(command_id=command_id, station_id=station.id))
    return command_id


async def take_command(tx: Tx, command_id: UUID) -> Command | None:
    """Claim a queued command for sending; ``None`` when another took it or it has expired."""
    return await tx.one(
        Command,
        f"""UPDATE stations.command SET status = 'sent', sent_at = %s
            WHERE id = %s AND status = 'queued' AND expires_at > %s RETURNING {_COLUMNS}""",
        tx.now, command_id, tx.now,
    )  # fmt: skip


async def commands_due(tx: Tx, station: StationRef) -> list[UUID]:
    """The queued commands of a station that have not expired, oldest first."""
    rows = await tx.rows(
        """SELECT id FROM stations.command
           WHERE station_id = %s AND status = 'queued' AND expires_at > %s ORDER BY position""",
        station.id, tx.now,
    )  # fmt: skip
    return [row[0] for row in rows]


async def answer_command(
    tx: Tx,
    command_id: UUID,
    status: Literal["answered", "failed", "timeout"],
    reply: bytes | None = None,
    *,
    error: str | None = None,
) -> Command:
    """End a sent command with the station's reply, its CALLERROR or its silence.

    A late answer to a command that timed out is still taken. Raises ``NotFound``, and
    ``CommandClosed`` when the command has an answer already or was never sent.
    """
    found = await tx.one(
        Command,
        f"""UPDATE stations.command SET status = %s, reply = %s, error = %s, done_at = %s
            WHERE id = %s AND (status = 'sent' OR (status = 'timeout' AND %s <> 'timeout'))
            RETURNING {_COLUMNS}""",
        status, reply, error, tx.now, command_id, status,
    )  # fmt: skip
    if found is None:
        raise CommandClosed(str(command_id), (await command(tx, command_id)).status)
    tx.emit(
        CommandAnswered(
            command_id=found.id, station_id=found.station_id, action=found.action, status=status
        )
    )
    return found


async def requeue_command(tx: Tx, command_id: UUID) -> bool:
    """Give a taken command back when its bytes never left (the socket closed before the send)."""
    return bool(
        await tx.run(
            """UPDATE stations.command SET status = 'queued', sent_at = NULL
               WHERE id = %s AND status = 'sent' AND done_at IS NULL""",
            command_id,
        )
    )


async def conceal_command(tx: Tx, command_id: UUID, payload: bytes) -> None:
    """Keep ``payload`` instead of what was sent, which held a secret of the station."""
    await tx.run("UPDATE stations.command SET payload = %s WHERE id = %s", payload, command_id)


async def expire_commands(tx: Tx, *, patience: int = 30) -> int:
    """End what waited too long: queued beyond its deadline, or sent and silent past ``patience``.

    Runs periodically in a transaction of each tenant; returns how many ended.
    """
    ended = await tx.all(
        Command,
        f"""UPDATE stations.command SET done_at = %s, error = 'no answer in time',
              status = CASE status WHEN 'queued' THEN 'expired' ELSE 'timeout' END
            WHERE (status = 'queued' AND expires_at <= %s)
              OR (status = 'sent' AND sent_at <= %s AND expires_at <= %s)
            RETURNING {_COLUMNS}""",
        tx.now, tx.now, tx.now - timedelta(seconds=patience), tx.now,
    )  # fmt: skip
    for one in ended:
        tx.emit(
            CommandAnswered(
                command_id=one.id, station_id=one.station_id, action=one.action, status=one.status
            )
        )
    return len(ended)


async def command(tx: Tx, command_id: UUID) -> Command:
    """One command; ``NotFound`` when the tenant has none of that id."""
    found = await tx.one(
        Command, f"SELECT {_COLUMNS} FROM stations.command WHERE id = %s", command_id
    )
    if found is None:
        raise NotFound("command", str(command_id))
    return found


async def commands(
    tx: Tx, station_id: str, *, before: UUID | None = None, limit: int = 50
) -> list[Command]:
    """A page of a station's commands, newest first, from the one before ``before``."""
    return await tx.all(
        Command,
        f"""SELECT {_COLUMNS} FROM stations.command
            WHERE station_id = %s AND (%s::uuid IS NULL OR position <
              (SELECT position FROM stations.command WHERE id = %s))
            ORDER BY position DESC LIMIT %s""",
        station_id, before, before, limit,
    )  # fmt: skip
