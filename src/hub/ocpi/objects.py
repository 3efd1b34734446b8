"""The objects that OCPI exchanges, as the hub works with them: no version, typed instants.

Money follows 2.3.0 (before and after taxes). Locations, tariffs, tokens and
CDRs are values of the rooms below; here stands what only this door knows.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from hub.charging.model import Token
from hub.parties import PartyClaim
from hub.settlement.model import CdrToken


class Endpoint(msgspec.Struct, frozen=True):
    """Where one side of a module is served."""

    module: str
    role: str
    url: str


class VersionDetails(msgspec.Struct, frozen=True):
    """Everything that a platform serves in one version."""

    version: str
    endpoints: tuple[Endpoint, ...]


class Credentials(msgspec.Struct, frozen=True):
    """A token for the other side, where to start, and whom we speak for."""

    token: str
    url: str
    roles: tuple[PartyClaim, ...]


class Price(msgspec.Struct, frozen=True):
    """An amount in the currency of its object."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """An eMSP's answer to a real-time authorisation."""

    allowed: str
    authorization_reference: str | None = None
    info: str | None = None


class LocationReferences(msgspec.Struct, frozen=True):
    """Where a driver wants to charge."""

    location_id: str
    evse_uids: tuple[str, ...] = ()


class ChargingPeriod(msgspec.Struct, frozen=True):
    """A stretch of a session: pairs of dimension and volume (kWh, hours, A, kW)."""

    start: datetime
    dimensions: tuple[tuple[str, Decimal], ...]
    tariff_id: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session of one of our stations, as its eMSP sees it. Energy in kWh."""

    country_code: str
    party_id: str
    id: str
    start: datetime
    end: datetime | None
    kwh: Decimal
    token: CdrToken
    auth_method: str
    authorization_reference: str | None
    location_id: str
    evse_uid: str
    connector_id: str
    currency: str
    periods: tuple[ChargingPeriod, ...]
    total_cost: Price | None
    status: str
    last_updated: datetime


class StartSession(msgspec.Struct, frozen=True, kw_only=True):
    """Start charging for a token that its eMSP has authorised already."""

    response_url: str
    token: Token
    location_id: str
    evse_uid: str | None
    connector_id: str | None
    authorization_reference: str | None


class StopSession(msgspec.Struct, frozen=True):
    """Stop a session of the caller's driver."""

    response_url: str
    session_id: str


class UnlockConnector(msgspec.Struct, frozen=True):
    """Release a plug, for a help desk."""

    response_url: str
    location_id: str
    evse_uid: str
    connector_id: str


class CommandResponse(msgspec.Struct, frozen=True):
    """Whether we take a command on, and for how many seconds its result may be awaited."""

    result: str
    timeout: int


class CommandResult(msgspec.Struct, frozen=True):
    """What became of a command at the station."""

    result: str
    text: str | None = None
