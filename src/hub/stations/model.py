"""Values that name a station and its parts, as every room above speaks of them."""

from __future__ import annotations

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


class StationRef(msgspec.Struct, frozen=True):
    """A registered station: the tenant that owns it and its identity in the WebSocket URL."""

    tenant: UUID
    id: StationId
