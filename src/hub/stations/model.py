"""Values that name a station and its parts, as every room above speaks of them.

Locations, EVSEs and connectors carry OCPI 2.3.0's field names; parts that the hub only passes on
stay JSON bytes (``more`` is one JSON object with every further member of the standard).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal, NewType
from uuid import UUID

import msgspec

StationId = NewType("StationId", str)

EvseStatus = Literal[
    "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER",
    "PLANNED", "REMOVED", "RESERVED", "UNKNOWN",
]  # fmt: skip
"""OCPI 2.2.1 mod_locations Status: the one status vocabulary inside the hub."""

Protocol = Literal["ocpp1.6", "ocpp2.0.1"]

StationState = Literal["approved", "pending", "refused"]


class StationRef(msgspec.Struct, frozen=True):
    """A registered station: the tenant that owns it and its identity in the WebSocket URL."""

    tenant: UUID
    id: StationId


class StationRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one station. ``password_hash`` is what ``credentials`` compares with."""

    id: StationId
    tenant_id: UUID
    state: StationState
    profile: int
    password_hash: bytes | None
    assume_protocol: str | None
    protocol: str | None
    connection: UUID | None
    online: bool
    connected_at: datetime | None
    disconnected_at: datetime | None
    last_seen_at: datetime | None
    remote: str | None
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    booted_at: datetime | None
    boot_reason: str | None
    created_at: datetime

    @property
    def ref(self) -> StationRef:
        """The station as messages name it."""
        return StationRef(self.tenant_id, self.id)


class ConnectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The last status that a station reported for one connector (EVSE 0: the station itself)."""

    evse: int
    connector: int
    status: EvseStatus
    raw: str
    error: str | None
    vendor_error: str | None
    detail: str | None
    at: datetime


class Coordinates(msgspec.Struct, frozen=True):
    """OCPI GeoLocation: WGS 84 decimal degrees, exact as given."""

    latitude: Decimal
    longitude: Decimal


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """OCPI Connector. ``tariff_id`` is the tariff that prices sessions on it, if it has its own."""

    id: str
    standard: str
    format: str
    power_type: str
    max_voltage: int
    max_amperage: int
    max_electric_power: int | None = None
    tariff_id: str | None = None
    tariff_ids: tuple[str, ...] = ()
    more: bytes = b"{}"
    last_updated: datetime | None = None


class Evse(msgspec.Struct, frozen=True, kw_only=True):
    """OCPI EVSE; ``station_id`` and ``number`` say which OCPP EVSE speaks for it."""

    uid: str
    connectors: tuple[Connector, ...] = ()
    evse_id: str | None = None
    status: EvseStatus = "UNKNOWN"
    status_at: datetime | None = None
    capabilities: tuple[str, ...] = ()
    floor_level: str | None = None
    physical_reference: str | None = None
    coordinates: Coordinates | None = None
    parking_restrictions: tuple[str, ...] = ()
    tariff_id: str | None = None
    station_id: str | None = None
    number: int | None = None
    more: bytes = b"{}"
    last_updated: datetime | None = None


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """OCPI Location of our own. ``last_updated`` is set by the hub (given: taken as the least)."""

    country_code: str
    party_id: str
    id: str
    publish: bool
    address: str
    city: str
    country: str
    coordinates: Coordinates
    time_zone: str
    evses: tuple[Evse, ...] = ()
    name: str | None = None
    postal_code: str | None = None
    state: str | None = None
    parking_type: str | None = None
    facilities: tuple[str, ...] = ()
    charging_when_closed: bool = True
    help_phone: str | None = None
    opening_times: bytes | None = None
    operator: bytes | None = None
    publish_allowed_to: bytes | None = None
    more: bytes = b"{}"
    last_updated: datetime | None = None


class EvseAt(msgspec.Struct, frozen=True, kw_only=True):
    """The EVSE behind a station's EVSE number, with what a session freezes at its start."""

    station_id: str | None
    number: int | None
    uid: str | None
    evse_id: str | None
    status: EvseStatus
    location_id: str | None
    time_zone: str
    country: str | None
    connector_id: str | None
    tariff_id: str | None
    max_electric_power: int | None
