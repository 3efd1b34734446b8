"""Commands of eMSPs to our stations (CO): answered at once, their result is delivered later.

An answer is given once per ``response_url``: a repeated request gets the first answer again.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from hub.charging.authorize import grant_remote
from hub.charging.messages import AuthorizeAsked, IdToken
from hub.kernel import NotFound, encode, new_id
from hub.ocpi import objects
from hub.ocpi.call import Call, Route
from hub.ocpi.envelope import UNKNOWN_LOCATION, Invalid, Refused, Reply
from hub.ocpi.events import CommandTimedOut
from hub.ocpi.results import command_timer
from hub.runtime import Tx, correlation
from hub.stations.commands import RemoteStart, RemoteStop, Unlock, send_command
from hub.stations.locations import location
from hub.stations.model import Evse, Location, StationId, StationRef

TIMEOUT_SECONDS: Final = 30
_STATION_SECONDS: Final = 25


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to: the answer, and the station command that it became."""

    response: str
    command_id: UUID | None = None
    station_id: str | None = None
    token_uid: str | None = None


_REJECTED: Final = Taken(response="REJECTED")


async def start_session(tx: Tx, call: Call) -> Reply:
    """START_SESSION: the token is the caller's and authorised by it already (CO-5)."""
    given = call.dialect.start_session.read(call.body)
    if call.sender is None or (given.token.country_code, given.token.party_id) != (
        call.sender.country_code,
        call.sender.party_id,
    ):
        raise Invalid("token: belongs to another party than the sender")
    if (earlier := await _earlier(tx, call, given.response_url)) is not None:
        return earlier
    place = await _location(tx, given.location_id)
    taken = await _start(tx, call, given, _chosen(place, given.evse_uid))
    return await _answered(tx, call, "START_SESSION", given.response_url, taken)


async def _start(tx: Tx, call: Call, given: objects.StartSession, evse: Evse | None) -> Taken:
    if evse is None or evse.station_id is None or evse.number is None:
        return _REJECTED
    if given.connector_id is None and "START_SESSION_CONNECTOR_REQUIRED" in evse.capabilities:
        raise Invalid("connector_id: this EVSE needs it")
    connector = _connector_number(evse, given.connector_id)
    station = StationRef(call.tenant, StationId(evse.station_id))
    token = msgspec.structs.replace(given.token, partner_id=call.partner.id)
    asked = AuthorizeAsked(
        station=station, token=IdToken(token.uid, _id_token_type(token.type)), evse=evse.number
    )
    await grant_remote(tx, asked, token, reference=given.authorization_reference)
    start = RemoteStart(
        token_uid=token.uid, token_type=token.type, group_id=token.group_id, evse=evse.number,
        connector=connector, remote_start_id=new_id().int & 0x7FFF_FFFF,
    )  # fmt: skip
    command_id = await _send(tx, call, station, "RemoteStart", start)
    return Taken(
        response="ACCEPTED", command_id=command_id, station_id=station.id, token_uid=token.uid
    )


async def stop_session(tx: Tx, call: Call) -> Reply:
    """STOP_SESSION: only for a session of the caller's own driver (CO-6)."""
    given = call.dialect.stop_session.read(call.body)
    if (earlier := await _earlier(tx, call, given.response_url)) is not None:
        return earlier
    taken = Taken(response="UNKNOWN_SESSION")
    row = await tx.row(
        """SELECT station_id, number, ref, state FROM charging.v_session
           WHERE id::text = lower(%s) AND partner_id = %s""",
        given.session_id, call.partner.id,
    )  # fmt: skip
    if row is not None and row[3] not in {"ACTIVE", "PENDING"}:
        taken = _REJECTED
    elif row is not None:
        station = StationRef(call.tenant, StationId(row[0]))
        command_id = await _send(
            tx, call, station, "RemoteStop", RemoteStop(number=row[1], ref=row[2])
        )
        taken = Taken(response="ACCEPTED", command_id=command_id, station_id=row[0])
    return await _answered(tx, call, "STOP_SESSION", given.response_url, taken)


async def unlock_connector(tx: Tx, call: Call) -> Reply:
    """UNLOCK_CONNECTOR: for the partner's help desk (CO-8)."""
    given = call.dialect.unlock_connector.read(call.body)
    if (earlier := await _earlier(tx, call, given.response_url)) is not None:
        return earlier
    evse = _chosen(await _location(tx, given.location_id), given.evse_uid)
    taken = _REJECTED
    if evse is not None and evse.station_id is not None and evse.number is not None:
        station = StationRef(call.tenant, StationId(evse.station_id))
        connector = _connector_number(evse, given.connector_id) or 1
        unlock = Unlock(evse=evse.number, connector=connector)
        command_id = await _send(tx, call, station, "Unlock", unlock)
        taken = Taken(response="ACCEPTED", command_id=command_id, station_id=station.id)
    return await _answered(tx, call, "UNLOCK_CONNECTOR", given.response_url, taken)


async def not_supported(tx: Tx, call: Call) -> Reply:  # noqa: ARG001 - an action's signature
    """RESERVE_NOW and CANCEL_RESERVATION: we take no reservations from partners."""
    return Reply(data=call.dialect.command_response.lower(
        objects.CommandResponse("NOT_SUPPORTED", 0)))  # fmt: skip


async def unknown_command(tx: Tx, call: Call) -> Reply:  # noqa: ARG001 - as above
    """A command that the standard does not know."""
    raise Invalid(f"command: {call.params['command'][:40]!r} is not known")


async def _location(tx: Tx, location_id: str) -> Location:
    try:
        return await location(tx, location_id)
    except NotFound as error:
        raise Refused(UNKNOWN_LOCATION, str(error)) from error


def _chosen(place: Location, evse_uid: str | None) -> Evse | None:
    """The EVSE that is named, or any free one of the location when none is."""
    if evse_uid is None:
        free = (one for one in place.evses if one.status == "AVAILABLE" and one.station_id)
        return next(free, None)
    for evse in place.evses:
        if evse.uid.upper() == evse_uid.upper():
            return evse
    raise Refused(UNKNOWN_LOCATION, f"location {place.id} has no EVSE {evse_uid}")


def _connector_number(evse: Evse, connector_id: str | None) -> int | None:
    """The station's number of a connector: its place among the EVSE's connectors, from 1."""
    if connector_id is None:
        return None
    for number, connector in enumerate(evse.connectors, start=1):
        if connector.id.upper() == connector_id.upper():
            return number
    raise Refused(UNKNOWN_LOCATION, f"EVSE {evse.uid} has no connector {connector_id}")


def _id_token_type(kind: str) -> str:
    return {"RFID": "ISO14443", "EMAID": "eMAID"}.get(kind, "Central")


async def _send(
    tx: Tx, call: Call, station: StationRef, action: str, payload: msgspec.Struct
) -> UUID:
    return await send_command(
        tx, station, action, encode(payload), protocol_neutral=True,
        origin=f"ocpi:{call.partner.id}", deadline=_STATION_SECONDS,
    )  # fmt: skip


async def _earlier(tx: Tx, call: Call, response_url: str) -> Reply | None:
    """The answer that this command got before (CO-9); ``Invalid`` when it was another one.

    A repetition that comes while the first is being handled waits for its answer.
    """
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        f"ocpi.command:{call.partner.id}:{response_url}",
    )
    row = await tx.row(
        """SELECT request_hash, response, timeout FROM ocpi.command
           WHERE partner_id = %s AND response_url = %s""",
        call.partner.id, response_url,
    )  # fmt: skip
    if row is None:
        return None
    if bytes(row[0]) != _hash(call):
        raise Invalid("response_url: was used for another command; it must be unique")
    return Reply(data=call.dialect.command_response.lower(objects.CommandResponse(row[1], row[2])))


def _hash(call: Call) -> bytes:
    return hashlib.sha256(call.path.encode() + b"\n" + call.body).digest()


async def _answered(tx: Tx, call: Call, kind: str, response_url: str, taken: Taken) -> Reply:
    assert call.sender is not None
    row_id, timeout = new_id(), TIMEOUT_SECONDS if taken.command_id else 0
    await tx.run(
        """INSERT INTO ocpi.command (id, tenant_id, partner_id, command_id, kind, version,
             response_url, request_hash, response, timeout, to_country, to_party, station_id,
             token_uid, at, trace)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        row_id, tx.tenant, call.partner.id, taken.command_id, kind, call.dialect.version,
        response_url, _hash(call), taken.response, timeout, call.sender.country_code,
        call.sender.party_id, taken.station_id, taken.token_uid, tx.now, correlation(),
    )  # fmt: skip
    if taken.command_id is not None:
        due = CommandTimedOut(tenant_id=tx.tenant, id=row_id)
        tx.schedule(command_timer, due, at=tx.now + timedelta(seconds=timeout))
    response = objects.CommandResponse(taken.response, timeout)
    return Reply(data=call.dialect.command_response.lower(response))


_ACTIONS: Final = (
    ("START_SESSION", start_session, "Start charging"),
    ("STOP_SESSION", stop_session, "Stop charging"),
    ("UNLOCK_CONNECTOR", unlock_connector, "Release a plug"),
    ("RESERVE_NOW", not_supported, "Answered NOT_SUPPORTED"),
    ("CANCEL_RESERVATION", not_supported, "Answered NOT_SUPPORTED"),
    ("{command}", unknown_command, "Any other command is refused"),
)
_TAKES: Final = {
    "START_SESSION": lambda d: d.start_session.wire,
    "STOP_SESSION": lambda d: d.stop_session.wire,
    "UNLOCK_CONNECTOR": lambda d: d.unlock_connector.wire,
}

ROUTES = [
    Route(
        module="commands", side="receiver", method="POST", path=path, action=action,
        summary=summary, takes=_TAKES.get(path), gives=lambda d: d.command_response.wire,
    )
    for path, action, summary in _ACTIONS
]  # fmt: skip
