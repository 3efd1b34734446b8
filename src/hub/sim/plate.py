"""What a simulated station is made of: EVSEs, charges, notes to the hub, faults, settings."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Literal
from uuid import uuid4

import msgspec

from hub.kernel import HubError
from hub.sim.car import Car, Meter

NoteKind = Literal["start", "sample", "stop"]


class Faults(msgspec.Struct, kw_only=True):
    """What goes wrong at this station; every field may be changed while it runs."""

    lost_answers: int = 0
    """So many transaction messages reach the hub but their answer is lost with the socket."""
    same_id: bool = True
    """A message whose answer was lost is sent again under its old message id."""
    duplicate_start: bool = False
    """The start is told twice, the second time under a fresh message id."""
    clock_1970: bool = False
    """The clock battery is dead: timestamps count from 1970."""
    linger: bool = False
    """After ``drop`` the old socket stays open until the new one is greeted."""
    no_samples: bool = False
    """No meter values between start and stop."""
    kwh: bool = False
    """Registers are told in kWh with three decimals (1.6)."""
    answer_after: float = 0
    """Seconds before a command is answered."""
    mute: frozenset[str] = frozenset()
    """Commands that are never answered."""
    reject: frozenset[str] = frozenset()
    """Commands that are answered with a refusal."""


class NotAllowed(HubError):
    """The hub refused the identifier (or the station is not able to charge)."""

    code = "not_allowed"
    status = 403

    def __init__(self, uid: str, answer: str) -> None:
        super().__init__(uid, answer)
        self.uid = uid
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.uid} may not charge: {self.answer}"


class Gaveup(HubError):
    """A condition that was awaited did not come true in time."""

    code = "gave_up"
    status = 504

    def __init__(self, what: str, within: float) -> None:
        super().__init__(what, within)
        self.what = what
        self.within = within

    def __str__(self) -> str:
        return f"{self.what} did not happen within {self.within} s"


class Charge:
    """One transaction as the station knows it."""

    def __init__(self, evse: int, uid: str, meter_start: int, at: datetime) -> None:
        self.evse = evse
        self.uid = uid
        self.uid_type = "ISO14443"
        self.ref = str(uuid4())
        self.number: int | None = None
        self.remote_start_id: int | None = None
        self.meter_start = meter_start
        self.meter_stop: int | None = None
        self.started_at = at
        self.stopped_at: datetime | None = None
        self.reason = ""
        self.seq = 0
        self.answer = ""
        self.cost: str | None = None
        self.told: dict[NoteKind, int] = {"start": 0, "sample": 0, "stop": 0}
        self.readings: list[tuple[datetime, int]] = []
        self.stopping = asyncio.Event()

    @property
    def energy_wh(self) -> int | None:
        """What went through, once the transaction ended."""
        return None if self.meter_stop is None else self.meter_stop - self.meter_start


class Note(msgspec.Struct):
    """Something about a transaction that the hub is owed, in order."""

    kind: NoteKind
    charge: Charge
    at: datetime
    wh: int
    seq: int
    power_w: int = 0
    soc: int = 0
    offline: bool = False
    message_id: str = ""
    attempts: int = 0


class Heard(msgspec.Struct, frozen=True):
    """A command of the hub as it came."""

    action: str
    payload: dict[str, object]
    at: datetime


class Evse:
    """One place to charge: its state, its meter, its car."""

    def __init__(self, number: int, register_wh: int) -> None:
        self.number = number
        self.state = "Available"
        self.operative = True
        self.meter = Meter(register_wh)
        self.car: Car | None = None
        self.charge: Charge | None = None
        self.limit_w: int | None = None
        self.reservation: tuple[int, str] | None = None


class BootAnswer(msgspec.Struct, frozen=True):
    """What the hub said to BootNotification."""

    status: str
    interval: int


SETTINGS = {
    "AuthorizeRemoteTxRequests": "false",
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "HeartbeatInterval": "300",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "MeterValueSampleInterval": "60",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,SoC",
    "NumberOfConnectors": "1",
    "StopTransactionOnInvalidId": "true",
    "SupportedFeatureProfiles": "Core,FirmwareManagement,LocalAuthListManagement,Reservation,"
    "SmartCharging,RemoteTrigger",
    "TransactionMessageAttempts": "3",
}
