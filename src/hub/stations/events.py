"""What happens to stations and what stands in the field, told to the rooms above."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from hub.runtime import Event
from hub.stations.model import EvseStatus


class StationConnected(Event):
    """A station's socket was accepted (its latest connection)."""

    station_id: str
    protocol: str


class StationDisconnected(Event):
    """A station's latest connection ended and no newer one replaced it."""

    station_id: str


class EvseStatusChanged(Event):
    """An EVSE's status is another one than before."""

    station_id: str
    evse: int
    evse_uid: str | None
    location_id: str | None
    status: EvseStatus
    at: datetime


class LocationChanged(Event):
    """A location, or an EVSE or connector of it, was created or changed by its owner."""

    location_id: str


class CommandQueued(Event):
    """A command waits for the process that holds the station's socket."""

    command_id: UUID
    station_id: str


class CommandAnswered(Event):
    """A command reached its end: the station answered, or it timed out or could not be sent."""

    command_id: UUID
    station_id: str
    action: str
    status: str
