"""Driving a station: any CSMS-initiated OCPP action, with the standard's own payload as body."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from hub.api.access import Principal, needs
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import ActionCatalogue, Wired, Wiring, Work
from hub.api.problems import ApiError, answers
from hub.api.raw import JsonObjectOperation
from hub.kernel import NotFound, encode
from hub.stations import Command, StationRow, command, commands, send_command, station

VERSIONS: Final = ("ocpp1.6", "ocpp2.0.1")
_LOOK: Final = timedelta(milliseconds=250)

Wait = Annotated[
    int, QueryParameter(name="wait", ge=0, le=30, description="Seconds to wait for the reply.")
]


class UnknownAction(ApiError):
    """An action that a CSMS cannot send in the station's version of OCPP."""

    code = "unknown_action"
    status = 404

    def __init__(self, action: str, version: str, known: list[str]) -> None:
        super().__init__(action, version, known)
        self.action = action
        self.version = version
        self.known = known

    def members(self) -> dict[str, Any]:
        """The actions that may be sent."""
        return {"actions": self.known}

    def __str__(self) -> str:
        return f"{self.version} has no CSMS-initiated action {self.action!r}"


class PayloadRefused(ApiError):
    """A payload that does not fit the schema of its action."""

    code = "payload_does_not_fit"
    status = 400

    def __init__(self, action: str, version: str, complaint: str) -> None:
        super().__init__(action, version, complaint)
        self.action = action
        self.version = version
        self.complaint = complaint

    def __str__(self) -> str:
        return f"the payload does not fit {self.version} {self.action}: {self.complaint}"


class StationFault(ApiError):
    """The station answered a command with a CALLERROR."""

    code = "station_error"
    status = 502

    def __init__(self, station_id: str, action: str, error: str) -> None:
        super().__init__(station_id, action, error)
        self.station_id = station_id
        self.action = action
        self.error = error

    def __str__(self) -> str:
        return f"station {self.station_id!r} answered {self.action} with an error: {self.error}"


class Queued(msgspec.Struct, frozen=True):
    """A command on its way."""

    command_id: str
    status: str


class CommandShape(msgspec.Struct, frozen=True, kw_only=True):
    """A command with its whole life; ``request`` and ``reply`` are OCPP payloads."""

    command_id: str
    station_id: str
    action: str
    status: str
    request: msgspec.Raw
    reply: msgspec.Raw | None
    error: str | None
    origin: str
    queued_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    done_at: datetime | None

    @classmethod
    def of(cls, one: Command) -> CommandShape:
        """The shape of a stored command."""
        return cls(
            command_id=str(one.id), station_id=one.station_id, action=one.action,
            status=one.status, request=msgspec.Raw(one.payload),
            reply=None if one.reply is None else msgspec.Raw(one.reply), error=one.error,
            origin=one.origin, queued_at=one.queued_at, expires_at=one.expires_at,
            sent_at=one.sent_at, done_at=one.done_at,
        )  # fmt: skip


@post(
    "/stations/{station_id:str}/commands/{action:str}", tags=["stations"],
    operation_id="send_command", operation_class=JsonObjectOperation, status_code=202,
    guards=[needs("stations:write")],
    responses={
        **answers(404, 502),
        202: ResponseSpec(Queued, description="Queued.", generate_examples=False),
        200: ResponseSpec(
            dict[str, Any], description="The station's reply, as received.",
            generate_examples=False,
        ),
    },
)  # fmt: skip
async def send(
    request: Request[Principal, Any, Any],
    wiring: Wired,
    station_id: FromPath[str],
    action: FromPath[str],
    wait: Wait = 0,
) -> Response[bytes]:
    """Send any CSMS-initiated action of OCPP 1.6 or 2.0.1; a Rejected reply is a normal reply."""
    payload = await request.body() or b"{}"
    async with wiring.database.tx(request.user.tenant, actor=request.user.name) as tx:
        row = await station(tx, station_id)
        check_payload(wiring.catalogue, row, action, payload)
        command_id = await send_command(tx, row.ref, action, payload, origin=request.user.name)
    found = await _answer_within(wiring, request.user, command_id, wait)
    return _answer(found, command_id)


def check_payload(catalogue: ActionCatalogue, row: StationRow, action: str, payload: bytes) -> None:
    """Refuse what the station's version cannot be sent: ``UnknownAction``, ``PayloadRefused``.

    A station that never connected may turn out to speak any version, so one that fits will do.
    """
    versions = (row.protocol,) if row.protocol else VERSIONS
    knowing = [one for one in versions if action in catalogue.actions(one)]
    if not knowing:
        known = sorted({name for one in versions for name in catalogue.actions(one)})
        raise UnknownAction(action, " and ".join(versions), known)
    complaints = [catalogue.check(one, action, payload) for one in knowing]
    if None not in complaints:
        raise PayloadRefused(action, knowing[0], complaints[0] or "")


async def _answer_within(
    wiring: Wiring, caller: Principal, command_id: UUID, seconds: int
) -> Command | None:
    """The command once it has ended, or ``None`` when it has not within ``seconds``."""
    looks = int(timedelta(seconds=seconds) / _LOOK)
    with wiring.bus.subscribe(f"command/{command_id}") as told:
        for _ in range(looks):
            async with wiring.database.tx(caller.tenant, actor=caller.name) as tx:
                found = await command(tx, command_id)
            if found.status not in ("queued", "sent"):
                return found
            await told.get(_LOOK.total_seconds())
    return None


def _answer(found: Command | None, command_id: UUID) -> Response[bytes]:
    headers = {"hub-command-id": str(command_id)}
    if found is not None and found.status == "failed":
        raise StationFault(found.station_id, found.action, found.error or "unknown")
    if found is None or found.reply is None:
        queued = Queued(str(command_id), found.status if found else "queued")
        return Response(
            encode(queued), status_code=202, media_type="application/json", headers=headers
        )
    return Response(found.reply, status_code=200, media_type="application/json", headers=headers)


@get(
    "/stations/{station_id:str}/commands", tags=["stations"], operation_id="list_commands",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def list_commands(
    tx: Work, station_id: FromPath[str], limit: Limit = 50, cursor: Cursor = None
) -> Page[CommandShape]:
    """The commands sent to a station, newest first."""
    key = key_of(cursor, tuple[UUID])
    row = await station(tx, station_id)
    rows = await commands(tx, row.id, before=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit, lambda one: (one.id,), CommandShape.of)


@get(
    "/commands/{command_id:str}", tags=["stations"], operation_id="get_command",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def get_command(tx: Work, command_id: FromPath[str]) -> CommandShape:
    """One command: status, request, reply, times."""
    return CommandShape.of(await command(tx, uuid_of(command_id, "command")))


def uuid_of(text: str, kind: str) -> UUID:
    """An id of ours from a path; one that cannot exist is ``NotFound`` like one that does not."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(kind, text) from error
