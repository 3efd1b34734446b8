"""Stations: registration and approval, what is known about them, and what they hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.api.access import needs
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Wired, Work
from hub.api.problems import answers
from hub.runtime import Settings
from hub.stations import (
    ChargingProfile,
    ConnectorStatus,
    Registered,
    Reservation,
    StationRow,
    Variable,
    approve_station,
    charging_profiles,
    connector_statuses,
    refuse_station,
    register_station,
    reservations,
    station,
    stations,
    variables,
)

InState = Annotated[
    Literal["approved", "pending", "refused"] | None,
    QueryParameter(name="state", description="Only stations in this state."),
]


class StationShape(msgspec.Struct, frozen=True, kw_only=True):
    """A station. ``online``: its socket is open now; ``version``: the OCPP version it speaks."""

    station_id: str
    state: str
    online: bool
    version: str | None
    last_seen_at: datetime | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    security_profile: int
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    booted_at: datetime | None
    remote: str | None
    created_at: datetime

    @classmethod
    def of(cls, row: StationRow) -> StationShape:
        """The shape of a stored station."""
        return cls(
            station_id=row.id, state=row.state, online=row.online, version=row.protocol,
            last_seen_at=row.last_seen_at, connected_at=row.connected_at,
            disconnected_at=row.disconnected_at, security_profile=row.profile,
            vendor=row.vendor, model=row.model, serial=row.serial, firmware=row.firmware,
            booted_at=row.booted_at, remote=row.remote, created_at=row.created_at,
        )  # fmt: skip


class StationDetail(StationShape, frozen=True, kw_only=True):
    """A station with what it last reported of each connector (EVSE 0: the station itself)."""

    url: str
    connectors: list[ConnectorStatus]


class NewStation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A station to register; a password is made for profiles 1 and 2 unless one is given."""

    station_id: str
    security_profile: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    password: str | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a waiting station may come in."""

    security_profile: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    password: str | None = None


class MadeStation(msgspec.Struct, frozen=True, kw_only=True):
    """A registered station, its address, and its password, shown this once."""

    station_id: str
    url: str
    password: str | None


def station_url(settings: Settings, station_id: str, profile: int = 0) -> str:
    """Where a station connects: the address to type into its configuration."""
    host, port = settings.ocpp_host, settings.ocpp_port
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = urlsplit(settings.base_url).hostname or "127.0.0.1"
    scheme = "ws"
    if profile >= 2 and settings.ocpp_tls_cert:
        scheme, port = "wss", settings.ocpp_tls_port
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/ocpp/{quote(station_id, safe='')}"


def made(settings: Settings, registered: Registered, profile: int) -> MadeStation:
    """The answer to a registration."""
    return MadeStation(
        station_id=registered.station_id, password=registered.password,
        url=station_url(settings, registered.station_id, profile),
    )  # fmt: skip


@get(
    "/stations", tags=["stations"], operation_id="list_stations", responses=answers(),
    guards=[needs("stations:read")],
)  # fmt: skip
async def list_stations(
    tx: Work, in_state: InState = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[StationShape]:
    """The tenant's stations by id; those that wait for approval have the state ``pending``."""
    key = key_of(cursor, tuple[str])
    rows = await stations(tx, after=key[0] if key else "", limit=limit + 1, state=in_state)
    return page_of(rows, limit, lambda row: (row.id,), StationShape.of)


@post(
    "/stations", tags=["stations"], operation_id="create_station", responses=answers(409),
    guards=[needs("stations:write")],
)  # fmt: skip
async def create_station(tx: Work, wiring: Wired, data: JSONBody[NewStation]) -> MadeStation:
    """Register a station; the password is shown this once."""
    registered = await register_station(
        tx, data.station_id, profile=data.security_profile, password=data.password
    )
    return made(wiring.settings, registered, data.security_profile)


@get(
    "/stations/{station_id:str}", tags=["stations"], operation_id="get_station",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def get_station(tx: Work, wiring: Wired, station_id: FromPath[str]) -> StationDetail:
    """One station: connection, version, last seen, connectors with status."""
    row = await station(tx, station_id)
    return StationDetail(
        **msgspec.structs.asdict(StationShape.of(row)),
        url=station_url(wiring.settings, row.id, row.profile),
        connectors=await connector_statuses(tx, row.id),
    )


@post(
    "/stations/{station_id:str}/approve", tags=["stations"], operation_id="approve_station",
    responses=answers(404, 409), guards=[needs("stations:write")], status_code=200,
)  # fmt: skip
async def approve(
    tx: Work, wiring: Wired, station_id: FromPath[str], data: JSONBody[Approval | None] = None
) -> MadeStation:
    """Let a station in that waits for approval, or that was refused."""
    how = data or Approval()
    registered = await approve_station(
        tx, station_id, profile=how.security_profile, password=how.password
    )
    return made(wiring.settings, registered, how.security_profile)


@post(
    "/stations/{station_id:str}/refuse", tags=["stations"], operation_id="refuse_station",
    responses=answers(404), guards=[needs("stations:write")], status_code=204,
)  # fmt: skip
async def refuse(tx: Work, station_id: FromPath[str]) -> None:
    """Keep a station out from now on."""
    await refuse_station(tx, station_id)


@get(
    "/stations/{station_id:str}/variables", tags=["stations"], operation_id="list_variables",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def list_variables(tx: Work, station_id: FromPath[str]) -> Page[Variable]:
    """Configuration keys (1.6) and device-model variables (2.x) as the station reported them."""
    return Page(await variables(tx, (await station(tx, station_id)).id), None)


@get(
    "/stations/{station_id:str}/reservations", tags=["stations"],
    operation_id="list_reservations", responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def list_reservations(tx: Work, station_id: FromPath[str]) -> Page[Reservation]:
    """Reservations that the station accepted."""
    return Page(await reservations(tx, (await station(tx, station_id)).id), None)


class ProfileShape(msgspec.Struct, frozen=True, kw_only=True):
    """A charging profile that the station accepted; ``charging_profile`` is it as sent."""

    evse: int
    charging_profile_id: int
    purpose: str
    stack_level: int
    transaction_id: str | None
    charging_profile: msgspec.Raw
    installed_at: datetime

    @classmethod
    def of(cls, one: ChargingProfile) -> ProfileShape:
        """The shape of a stored profile."""
        return cls(
            evse=one.evse, charging_profile_id=one.number, purpose=one.purpose,
            stack_level=one.stack_level, transaction_id=one.transaction,
            charging_profile=msgspec.Raw(one.body), installed_at=one.installed_at,
        )  # fmt: skip


@get(
    "/stations/{station_id:str}/charging-profiles", tags=["stations"],
    operation_id="list_charging_profiles", responses=answers(404),
    guards=[needs("stations:read")],
)  # fmt: skip
async def list_charging_profiles(tx: Work, station_id: FromPath[str]) -> Page[ProfileShape]:
    """Charging profiles that the station accepted and has not cleared."""
    found = await charging_profiles(tx, (await station(tx, station_id)).id)
    return Page([ProfileShape.of(one) for one in found], None)
