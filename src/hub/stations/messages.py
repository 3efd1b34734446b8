"""What stations tell about themselves, in our words, whichever OCPP version they speak."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.stations.model import EvseStatus, Protocol, StationRef


class StationBooted(msgspec.Struct, frozen=True, kw_only=True):
    """A BootNotification."""

    station: StationRef
    at: datetime
    protocol: Protocol
    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    reason: str | None = None


class StatusReported(msgspec.Struct, frozen=True, kw_only=True):
    """A StatusNotification or an availability report of one connector.

    ``evse`` 0 speaks of the station itself. 1.6 connector n is EVSE n, connector 1.
    ``raw`` is the protocol's own status word; ``status`` our (OCPI's) reading of it.
    """

    station: StationRef
    at: datetime
    evse: int
    connector: int
    status: EvseStatus
    raw: str
    error: str | None = None
    vendor_error: str | None = None
    detail: str | None = None
