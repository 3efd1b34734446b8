"""What stations tell about charging, in our words: 2.0.1 transaction semantics for every version.

Dialects in ``hub.ocpp`` build these; actions in this room take them. Energy registers are Wh.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from hub.stations.model import StationRef

AuthorizationStatus = Literal[
    "Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid", "NoCredit",
    "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime", "Unknown",
]  # fmt: skip
"""OCPP 2.0.1 AuthorizationStatusEnumType (1.6 knows five of them)."""


class IdToken(msgspec.Struct, frozen=True):
    """An identifier presented at a station, as read. ``type`` is OCPP 2.0.1's IdTokenEnumType."""

    uid: str
    type: str = "ISO14443"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One sampled value in base units (Wh, W, A, V, Percent, Celsius, ...), multiplier applied."""

    at: datetime
    value: Decimal
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    context: str = "Sample.Periodic"
    phase: str | None = None
    location: str = "Outlet"
    signed: str | None = None


class AuthorizeAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A station asks whether an identifier may charge."""

    station: StationRef
    token: IdToken
    evse: int | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """How a station names a transaction: our 1.6 integer ``number``, or its own 2.x ``ref``."""

    number: int | None = None
    ref: str | None = None


class TransactionStarted(msgspec.Struct, frozen=True, kw_only=True):
    """StartTransaction (1.6, no ``transaction`` yet) or TransactionEvent Started (2.x)."""

    station: StationRef
    transaction: Transaction
    at: datetime
    received_at: datetime
    evse: int | None
    connector: int | None
    token: IdToken | None
    meter_start: Decimal | None = None
    readings: tuple[Reading, ...] = ()
    seq: int | None = None
    charging_state: str | None = None
    reservation: int | None = None
    remote_start_id: int | None = None
    offline: bool = False
    trigger: str | None = None


class TransactionUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """TransactionEvent Updated (2.x): any of token, EVSE, state or readings may come late."""

    station: StationRef
    transaction: Transaction
    at: datetime
    received_at: datetime
    seq: int | None
    evse: int | None = None
    connector: int | None = None
    token: IdToken | None = None
    readings: tuple[Reading, ...] = ()
    charging_state: str | None = None
    remote_start_id: int | None = None
    offline: bool = False
    trigger: str | None = None


class TransactionEnded(msgspec.Struct, frozen=True, kw_only=True):
    """StopTransaction (1.6) or TransactionEvent Ended (2.x)."""

    station: StationRef
    transaction: Transaction
    at: datetime
    received_at: datetime
    meter_stop: Decimal | None = None
    readings: tuple[Reading, ...] = ()
    seq: int | None = None
    reason: str | None = None
    evse: int | None = None
    connector: int | None = None
    token: IdToken | None = None
    offline: bool = False
    trigger: str | None = None


class MetersSampled(msgspec.Struct, frozen=True, kw_only=True):
    """MeterValues: readings of one EVSE, of a transaction when the station names one."""

    station: StationRef
    received_at: datetime
    evse: int
    transaction: Transaction | None
    readings: tuple[Reading, ...]


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell the station about an identifier."""

    status: AuthorizationStatus
    expires_at: datetime | None = None
    group: str | None = None


class StartAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell the station about a started transaction; ``number`` is 1.6's transactionId."""

    number: int
    token: TokenAnswer | None = None


class EndAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell the station about an ended or updated transaction."""

    token: TokenAnswer | None = None
    total_cost: Decimal | None = None
