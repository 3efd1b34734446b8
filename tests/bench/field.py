"""Many stations at little cost: raw WebSocket frames in a closed loop, counted to the Wh.

``python -m tests.bench.field URL_PREFIX PROTOCOL STATIONS SECONDS [FIRST [rich] [meters]]``
prints ``ready`` when all have booted, waits for a line, runs, and prints one JSON object. Each
transaction: start, eight meter values of 100 Wh, stop: 800 Wh. ``rich`` sends eight sampled values
in each (1.2 to 1.5 kB); ``meters`` sends a hundred meter values in a transaction instead of eight,
so that nearly every message is one whose answer carries no decision.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SAMPLES = 8
MANY = 100
STEP_WH = 100
ENERGY_WH = SAMPLES * STEP_WH
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder().decode

_RICH = (
    ("Power.Active.Import", "W", "7360", None),
    ("Current.Import", "A", "16", "L1"),
    ("Current.Import", "A", "16", "L2"),
    ("Current.Import", "A", "16", "L3"),
    ("Voltage", "V", "230", "L1-N"),
    ("SoC", "Percent", "54", None),
    ("Power.Offered", "W", "11040", None),
)
_RICH_16 = [
    {
        "value": value,
        "context": "Sample.Periodic",
        "format": "Raw",
        "measurand": measurand,
        "location": "Outlet",
        "unit": unit,
        **({"phase": phase} if phase else {}),
    }
    for measurand, unit, value, phase in _RICH
]
_RICH_201 = [
    {
        "value": int(value),
        "context": "Sample.Periodic",
        "measurand": measurand,
        "location": "Outlet",
        "unitOfMeasure": {"unit": unit, "multiplier": 0},
        **({"phase": phase} if phase else {}),
    }
    for measurand, unit, value, phase in _RICH
]


class Tally(msgspec.Struct):
    """What was answered, and what must therefore be stored."""

    answered: int = 0
    errors: int = 0
    starts: int = 0
    meters: int = 0
    stops: int = 0
    broken: int = 0
    seconds: float = 0
    latencies: list[float] = []
    start_latencies: list[float] = []
    complete: list[str] = []
    """``station number-or-ref`` of every transaction whose stop was answered."""


class Station:
    """One station's socket, its register and its loop."""

    def __init__(
        self,
        identity: str,
        protocol: str,
        tally: Tally,
        *,
        rich: bool = False,
        samples: int = SAMPLES,
    ) -> None:
        self.rich = rich
        self.samples = samples
        self.identity = identity
        self.protocol = protocol
        self.tally = tally
        self.register = 0
        self.socket: ClientConnection | None = None
        self._ids = count(1)
        self._run = uuid4().hex[:8]

    async def open(self, url: str) -> None:
        """Connect and boot."""
        self.socket = await connect(
            f"{url}/{self.identity}",
            subprotocols=[Subprotocol(self.protocol)],
            compression=None,
            ping_interval=None,
            open_timeout=60,
        )
        boot: dict[str, Any] = {"chargePointVendor": "Bench", "chargePointModel": "Field"}
        if self.protocol != "ocpp1.6":
            boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "Bench", "model": "F"}}
        await self.ask("BootNotification", boot)

    async def ask(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """One call and its answer; ``None`` for a CALLERROR. The hub's own calls are refused."""
        assert self.socket
        name = f"{self._run}-{next(self._ids)}"
        begun = time.perf_counter()
        await self.socket.send(_ENCODE([2, name, action, payload]).decode())
        while True:
            frame = _DECODE(await self.socket.recv())
            if frame[0] == 2:
                await self.socket.send(_ENCODE([4, frame[1], "NotImplemented", "", {}]).decode())
            elif frame[1] == name:
                break
        spent = time.perf_counter() - begun
        self.tally.latencies.append(spent)
        if frame[0] == 4:
            self.tally.errors += 1
            return None
        self.tally.answered += 1
        if action == "StartTransaction" or payload.get("eventType") == "Started":
            self.tally.start_latencies.append(spent)
        answer: dict[str, Any] = frame[2]
        return answer

    async def transaction(self) -> None:
        """Start, eight samples, stop."""
        if self.protocol == "ocpp1.6":
            await self._transaction16()
        else:
            await self._transaction201()

    async def _transaction16(self) -> None:
        card = f"T-{self.identity}"
        start = {"connectorId": 1, "idTag": card, "meterStart": self.register, "timestamp": _now()}
        answer = await self.ask("StartTransaction", start)
        if answer is None:
            return
        self.tally.starts += 1
        number = answer["transactionId"]
        for _ in range(self.samples):
            self.register += STEP_WH
            sampled = {
                "value": str(self.register),
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
                "context": "Sample.Periodic",
            }
            more = _RICH_16 if self.rich else []
            value = [{"timestamp": _now(), "sampledValue": [sampled, *more]}]
            meters = {"connectorId": 1, "transactionId": number, "meterValue": value}
            if await self.ask("MeterValues", meters) is not None:
                self.tally.meters += 1
        stop = {
            "transactionId": number,
            "idTag": card,
            "meterStop": self.register,
            "timestamp": _now(),
            "reason": "Local",
        }
        if await self.ask("StopTransaction", stop) is not None:
            self.tally.stops += 1
            self.tally.complete.append(f"{self.identity} {number}")

    async def _transaction201(self) -> None:
        ref = str(uuid4())
        card = {"idToken": f"T-{self.identity}", "type": "ISO14443"}
        place = {"evse": {"id": 1, "connectorId": 1}, "idToken": card}
        if await self._event(ref, "Started", "Authorized", 0, **place) is None:
            return
        self.tally.starts += 1
        for seq in range(1, self.samples + 1):
            self.register += STEP_WH
            answer = await self._event(ref, "Updated", "MeterValuePeriodic", seq)
            self.tally.meters += answer is not None
        if await self._event(ref, "Ended", "StopAuthorized", self.samples + 1) is not None:
            self.tally.stops += 1
            self.tally.complete.append(f"{self.identity} {ref}")

    async def _event(
        self, ref: str, kind: str, trigger: str, seq: int, **more: object
    ) -> dict[str, Any] | None:
        contexts = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}
        sampled = {
            "value": self.register,
            "measurand": "Energy.Active.Import.Register",
            "context": contexts.get(kind, "Sample.Periodic"),
            "unitOfMeasure": {"unit": "Wh"},
        }
        state = "EVConnected" if kind == "Ended" else "Charging"
        event = {
            "eventType": kind,
            "timestamp": _now(),
            "triggerReason": trigger,
            "seqNo": seq,
            "transactionInfo": {"transactionId": ref, "chargingState": state},
            "meterValue": [
                {"timestamp": _now(), "sampledValue": [sampled, *(_RICH_201 if self.rich else [])]}
            ],
            **more,
        }
        return await self.ask("TransactionEvent", event)


def _now() -> str:
    micro = time.time_ns() // 1000
    whole, rest = divmod(micro, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{rest // 1000:03d}Z"


async def field(
    url: str,
    protocol: str,
    *,
    stations: int,
    seconds: float,
    first: int = 0,
    rich: bool = False,
    samples: int = SAMPLES,
) -> None:
    """Open, wait for the starting line, run in a closed loop, tell the tally."""
    tally = Tally()
    kind = "A" if protocol == "ocpp1.6" else "B"
    all_ = [
        Station(f"{kind}{n:05d}", protocol, tally, rich=rich, samples=samples)
        for n in range(first, first + stations)
    ]
    gate = asyncio.Semaphore(64)

    async def opened(station: Station) -> None:
        async with gate:
            await station.open(url)

    await asyncio.gather(*(opened(station) for station in all_))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    tally.latencies.clear()
    tally.answered = tally.errors = 0
    begun = time.perf_counter()

    async def loop(station: Station) -> None:
        try:
            while time.perf_counter() - begun < seconds:
                await station.transaction()
        except (OSError, ConnectionClosed):
            tally.broken += 1

    await asyncio.gather(*(loop(station) for station in all_))
    tally.seconds = time.perf_counter() - begun
    print(_ENCODE(tally).decode(), flush=True)
    for station in all_:
        if station.socket:
            await station.socket.close()


if __name__ == "__main__":
    prefix, kind, number, duration, *rest = sys.argv[1:]
    uvloop.run(
        field(
            prefix,
            kind,
            stations=int(number),
            seconds=float(duration),
            first=int(rest[0]) if rest else 0,
            rich="rich" in rest,
            samples=MANY if "meters" in rest else SAMPLES,
        )
    )
