"""Commands on their way: from durable rows to CALLs of one connection, and their answers back."""

from __future__ import annotations

from typing import Any

import structlog
from msgspec import MsgspecError, Raw, Struct

from hub.kernel import HubError, decode, encode
from hub.ocpp.dialect import PRIORITIES, Dialect
from hub.ocpp.errors import PayloadError
from hub.ocpp.frames import encode_payload, encode_result
from hub.ocpp.journal import FrameIds, FrameRow, note_frame
from hub.ocpp.link import Answered, Ask, Displaced, Expired, Lost, Priority, Refused, TimedOut
from hub.ocpp.metrics import COMMANDS
from hub.ocpp.payload import read
from hub.ocpp.schema import csms_action, request_body
from hub.ocpp.secrets import accepted_password, masked
from hub.runtime import Database, Tx, correlated
from hub.stations import (
    Command,
    StationRef,
    answer_command,
    commands_due,
    conceal_command,
    note_command_effect,
    requeue_command,
    set_password,
    take_command,
)

log = structlog.get_logger()

PATIENCE = 30.0

End = Answered | Refused | TimedOut | Expired | Displaced | Lost


class Sent(Struct, frozen=True):
    """A CALL of ours as it went out."""

    message_id: str
    frame: bytes


class Taken(Struct, frozen=True):
    """A command handed to a link, with the CALL it became."""

    command: Command
    ask: Ask


class _Card(Struct, rename="camel"):
    id_token: str


class _Start(Struct, rename="camel"):
    """Whom a start is for, as either version says it."""

    id_tag: str = ""
    id_token: _Card | None = None


class Delivery:
    """Takes commands of stations and stores what became of them."""

    def __init__(self, database: Database, ids: FrameIds) -> None:
        self._database = database
        self._ids = ids

    async def take(
        self, station: StationRef, dialect: Dialect, *, now: float, most: int
    ) -> list[Taken]:
        """Claim up to ``most`` due commands; ``now`` is the link's clock.

        What the station's version cannot say fails here with the reason.
        """
        taken: list[Taken] = []
        async with self._database.tx(station.tenant, actor=station.id) as tx:
            for command_id in (await commands_due(tx, station))[:most]:
                command = await take_command(tx, command_id)
                if command is None:
                    continue
                try:
                    taken.append(Taken(command, _ask(tx, command, dialect, now)))
                except (PayloadError, MsgspecError) as error:
                    await answer_command(tx, command.id, "failed", error=str(error))
        return taken

    async def settle(
        self, station: StationRef, dialect: Dialect, command: Command, end: End, sent: Sent | None
    ) -> None:
        """Store the end of a command and, where the station answered, what it changed."""
        COMMANDS.labels(end.ask.action, type(end).__name__.lower()).inc()
        with correlated(command.trace):
            async with self._database.tx(station.tenant, actor=station.id) as tx:
                await self._store(tx, station, dialect, command, end)
                if sent is not None:
                    note_frame(tx, self._row(station, dialect, command, end, sent))

    async def _store(
        self, tx: Tx, station: StationRef, dialect: Dialect, command: Command, end: End
    ) -> None:
        match end:
            case Answered():
                await self._answered(tx, station, dialect, command, end)
            case Refused():
                error = f"{end.code}: {end.description}"[:500].replace(
                    "\0", "\N{REPLACEMENT CHARACTER}"
                )
                await answer_command(tx, command.id, "failed", bytes(end.details), error=error)
            case TimedOut():
                await answer_command(tx, command.id, "timeout", error="no answer in time")
            case Lost(sent=True):
                why = "the connection ended before the answer"
                await answer_command(tx, command.id, "timeout", error=why)
            case _:
                await requeue_command(tx, command.id)
                return
        kept = masked(command.action, command.payload)
        if kept != command.payload:
            await conceal_command(tx, command.id, kept)

    async def _answered(
        self, tx: Tx, station: StationRef, dialect: Dialect, command: Command, end: Answered
    ) -> None:
        kind = csms_action(dialect.version, end.ask.action).response
        action, request, told = end.ask.action, end.ask.payload, bytes(end.payload)
        try:
            said: Any = read(kind, end.payload).value
            password = accepted_password(action, request, told)
        except (PayloadError, MsgspecError) as error:
            why = f"malformed answer: {error}"[:500]
            await answer_command(tx, command.id, "failed", bytes(end.payload), error=why)
            return
        reply = bytes(end.payload)
        if command.neutral:
            reply = encode(dialect.outbound[command.action].result(said))
        await answer_command(tx, command.id, "answered", reply)
        await _keep_password(tx, station, password)
        # As it was read, where a text of it holds NUL: Postgres keeps none.
        plain = encode_payload(said) if b"\\u0000" in told else told
        await note_command_effect(tx, station, action, masked(action, request), plain)

    def _row(
        self, station: StationRef, dialect: Dialect, command: Command, end: End, sent: Sent
    ) -> FrameRow:
        request = masked(end.ask.action, end.ask.payload)
        call = sent.frame.replace(end.ask.payload, request)
        reply = (
            encode_result(sent.message_id, Raw(end.payload)) if isinstance(end, Answered) else None
        )
        return FrameRow(
            station_id=station.id, id=self._ids.next(), tenant_id=station.tenant,
            at=self._database.clock.now(), direction="o", protocol=dialect.version,
            action=end.ask.action, message_id=sent.message_id, call=call, reply=reply,
            trace=command.trace,
        )  # fmt: skip


def _ask(tx: Tx, command: Command, dialect: Dialect, now: float) -> Ask:
    action, payload = command.action, command.payload
    if command.neutral:
        outbound = dialect.outbound[command.action]
        action = outbound.action
        payload = encode_payload(outbound.lower(decode(payload, outbound.command)))
    return Ask(
        ref=str(command.id),
        action=action,
        payload=request_body(dialect.version, action, payload),
        priority=PRIORITIES.get(action, Priority.CONFIGURE),
        expires=now + max(0.0, (command.expires_at - tx.now).total_seconds()),
        patience=PATIENCE,
    )


def started_card(ask: Ask) -> str | None:
    """The identifier for which a CALL of ours asks a station to start; ``None`` for other CALLs."""
    if ask.action not in ("RemoteStartTransaction", "RequestStartTransaction"):
        return None
    start = decode(ask.payload, _Start)
    return start.id_tag if start.id_token is None else start.id_token.id_token


async def _keep_password(tx: Tx, station: StationRef, password: str | None) -> None:
    """From now on the station logs in with its new password (A01)."""
    if password is None:
        return
    try:
        await set_password(tx, station.id, password)
    except HubError as error:
        log.warning(
            "station_password_not_kept", station=station.id, error=str(error),
            hint="the station will be refused: set its password here to the one it was given",
        )  # fmt: skip
