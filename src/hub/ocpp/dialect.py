"""What a dialect is: tables between one OCPP version's wire Structs and the hub's own messages.

A version is one module with an ``INBOUND`` and an ``OUTBOUND`` table; everything else in this
room knows only the types below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct, UnsetType

from hub.charging.messages import (
    AuthorizeAsked,
    EndAnswer,
    MetersSampled,
    StartAnswer,
    TokenAnswer,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from hub.ocpp.errors import PayloadError
from hub.ocpp.lenient import UNREADABLE_TIME
from hub.ocpp.link import Priority
from hub.ocpp.versions import Fault, Version
from hub.stations import BootAnswer, StationRef, Variable
from hub.stations.commands import NeutralReply
from hub.stations.messages import StationBooted, StatusReported

_INT32 = 2**31 - 1
_FIRST_YEAR, _LAST_YEAR = 1970, 2200

Lane = Literal["log", "journal", "action"]
"""``log``: nothing to keep but the frame. ``journal``: answered at once, folded soon.
``action``: the answer is a decision, made and stored in one transaction."""


class VariablesReported(Struct, frozen=True, kw_only=True):
    """A part of a device model report."""

    station: StationRef
    found: tuple[Variable, ...]


class ReservationEnded(Struct, frozen=True, kw_only=True):
    """A station gave a reservation up."""

    station: StationRef
    number: int
    state: Literal["EXPIRED", "CANCELLED"]


class SecurityEventTold(Struct, frozen=True, kw_only=True):
    """Something a station reports about its security."""

    station: StationRef
    at: datetime
    kind: str
    detail: str | None


Message = (
    StationBooted
    | StatusReported
    | AuthorizeAsked
    | TransactionStarted
    | TransactionUpdated
    | TransactionEnded
    | MetersSampled
    | VariablesReported
    | ReservationEnded
    | SecurityEventTold
)

Outcome = BootAnswer | TokenAnswer | StartAnswer | EndAnswer | None
"""What the rooms below said to a message; ``None`` where nothing was decided."""


class Heard(Struct, frozen=True):
    """Who said something, and when we heard it."""

    station: StationRef
    at: datetime


class Inbound(Struct, frozen=True, kw_only=True):
    """How an action of a station is read, which lane it takes and how it is answered.

    ``reply`` takes the request, the outcome and the present instant.
    """

    wire: type[Struct]
    lane: Callable[[Any], Lane]
    messages: Callable[[Any, Heard], tuple[Message, ...]]
    reply: Callable[[Any, Outcome, datetime], Struct]


class Outbound(Struct, frozen=True, kw_only=True):
    """How a neutral command is said in a version: its action, its wire form, its answer's sense.

    ``lower`` raises ``PayloadError`` where the version cannot say the command.
    """

    action: str
    command: type[Struct]
    lower: Callable[[Any], Struct]
    result: Callable[[Any], NeutralReply]


class Dialect(Struct, frozen=True, kw_only=True):
    """One version of OCPP as two tables."""

    version: Version
    inbound: Mapping[str, Inbound]
    outbound: Mapping[str, Outbound]


def always(lane: Lane) -> Callable[[Any], Lane]:
    """A lane that does not depend on the request."""
    return lambda _: lane


def given(value: Any) -> Any:
    """A wire value, or ``None`` where it was left out."""
    return None if isinstance(value, UnsetType) else value


def number(value: int, path: str) -> int:
    """An EVSE or connector number; ``PayloadError`` for one that cannot be."""
    if not 0 <= value <= _INT32:
        raise PayloadError(Fault.PROPERTY, f"{value} is no number of an EVSE or connector", path)
    return value


def instant(at: datetime | UnsetType, heard: Heard) -> datetime:
    """A station's instant in UTC; that of receipt if it gave none.

    Clocks that were lost keep what they say (charging judges it), as long as it is a time that
    can be stored.
    """
    if isinstance(at, UnsetType):
        return heard.at
    if not _FIRST_YEAR < at.year < _LAST_YEAR:
        return UNREADABLE_TIME if at.year != _FIRST_YEAR else at.astimezone(UTC)
    return at.astimezone(UTC)


def whole(at: datetime) -> datetime:
    """An instant as stations are told: UTC, whole seconds."""
    return at.astimezone(UTC).replace(microsecond=0)


PRIORITIES: Mapping[str, Priority] = {
    **dict.fromkeys(
        ("RemoteStopTransaction", "RequestStopTransaction", "UnlockConnector", "ChangeAvailability",
         "CancelReservation"), Priority.STOP,
    ),
    **dict.fromkeys(
        ("RemoteStartTransaction", "RequestStartTransaction", "ReserveNow", "Reset"),
        Priority.START,
    ),
    **dict.fromkeys(
        ("SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"), Priority.PROFILE
    ),
    **dict.fromkeys(
        ("GetDiagnostics", "GetLog", "GetBaseReport", "GetReport", "GetMonitoringReport",
         "UpdateFirmware", "SignedUpdateFirmware", "CustomerInformation", "GetDisplayMessages",
         "GetChargingProfiles"), Priority.REPORT,
    ),
}  # fmt: skip
"""How urgent each action is; what is not named is ``Priority.CONFIGURE``."""
