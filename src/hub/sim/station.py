"""A charging station as a program: power, sockets, meters, an offline queue, and its faults.

The station knows no OCPP version; its voice does (``station_v16``, ``station_v201``). What is
told about a transaction goes through one queue that survives lost connections and is replayed
in order, as the standard asks of stations.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from types import TracebackType
from typing import Protocol, Self
from uuid import uuid4

import msgspec

from hub.kernel import Clock, format_instant
from hub.runtime import SystemClock
from hub.sim.car import Car
from hub.sim.plate import (
    SETTINGS,
    BootAnswer,
    Charge,
    Evse,
    Faults,
    Gaveup,
    Heard,
    NotAllowed,
    Note,
    NoteKind,
)
from hub.sim.wire import BROKEN, LinkLost, Refusal, Wire, dial

_ATTEMPTS = 3
_STEP_MS = 60_000
_OFFLINE_PACE = 0.05


class Voice(Protocol):
    """One OCPP version over one connection."""

    async def start(self) -> None:
        """Read and answer until the socket ends."""

    async def boot(self, reason: str) -> BootAnswer:
        """Tell a boot."""
        ...

    async def heartbeat(self) -> None:
        """Tell that the station lives."""

    async def status(self, evse: Evse | None) -> None:
        """Tell the state of an EVSE, or of the station."""

    async def authorize(self, uid: str, uid_type: str) -> str:
        """Ask whether an identifier may charge."""
        ...

    async def deliver(self, note: Note) -> None:
        """Tell what the queue owes; returns once the hub answered."""


class SimStation:
    """A station that boots, charges and obeys; ``async with`` switches it on and off.

    ``sample_every`` is in business seconds of ``clock``; 0 sends the next sample as soon as the
    one before was answered, each worth a minute of charging (for load).
    """

    def __init__(
        self,
        identity: str,
        url: str,
        *,
        protocol: str = "ocpp1.6",
        password: str | None = None,
        evses: int = 1,
        clock: Clock | None = None,
        max_power_w: int = 22_000,
        sample_every: int = 60,
        register_wh: int = 1_000,
        faults: Faults | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self.identity = identity
        self.url = url
        self.protocol = protocol
        self.password = password
        self.clock: Clock = clock or SystemClock()
        self.max_power_w = max_power_w
        self.sample_every = sample_every
        self.faults = faults or Faults()
        self.evses = {n: Evse(n, register_wh) for n in range(1, evses + 1)}
        self.outbox: deque[Note] = deque()
        self.refused: list[tuple[Note, str]] = []
        self.heard: list[Heard] = []
        self.charges: list[Charge] = []
        self.settings: dict[str, str] = dict(SETTINGS)
        self.local_list: dict[str, str] = {}
        self.list_version = 0
        self.profiles: dict[int, dict[str, object]] = {}
        self.boots = 0
        self.accepted = False
        self.voice: Voice | None = None
        self.wire: Wire | None = None
        self._tls = tls
        self._on = False
        self._powered_at = self.clock.now()
        self._waiting: set[asyncio.Future[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._boot_reason = "PowerUp"
        self._heartbeat_after = 300

    # -- power -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.switch_on()
        await self.until(lambda: self.accepted, f"the boot of {self.identity}", within=60)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.switch_off()

    def switch_on(self) -> None:
        """Start connecting; returns at once."""
        self._on = True
        self._powered_at = self.clock.now()
        self.spawn(self._live())

    async def switch_off(self) -> None:
        """Cut power: no farewell messages, nothing answered any more."""
        self._on = False
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.wire:
            await self.wire.socket.close()
        self.accepted = False

    def drop(self) -> None:
        """Lose the connection now (a modem fault); the station dials again by itself."""
        if self.wire:
            if self.faults.linger:
                self.wire.lost.set()
            else:
                self.wire.socket.transport.abort()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run ``work`` beside everything else, until the station is switched off."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            broken = isinstance(error, (LinkLost, Gaveup, Refusal, *BROKEN))
            if not broken:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"station {self.identity} failed", "exception": error}
                )

    # -- waiting ---------------------------------------------------------------------------

    def changed(self) -> None:
        """Wake everyone who waits for a condition."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def until(
        self, holds: Callable[[], bool], what: str = "the condition", within: float = 15
    ) -> None:
        """Return once ``holds()``; ``Gaveup`` after ``within`` wall seconds."""
        deadline = asyncio.get_running_loop().time() + within
        while not holds():
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not (await asyncio.wait([waiting], timeout=left))[0]:
                self._waiting.discard(waiting)
                if not holds():
                    raise Gaveup(what, within)

    # -- the driver's side -----------------------------------------------------------------

    async def plug_in(self, evse: int = 1, car: Car | None = None) -> None:
        """Connect a car's cable."""
        place = self.evses[evse]
        place.car = car or Car()
        await self.tell_state(place, "Preparing")

    async def unplug(self, evse: int = 1) -> None:
        """Take the cable out; a running transaction ends with ``EVDisconnected``."""
        place = self.evses[evse]
        if place.charge:
            await self.stop(place.charge, "EVDisconnected")
        place.car = None
        await self.tell_state(place, "Available")

    async def swipe(self, uid: str, uid_type: str = "ISO14443") -> str:
        """Hold a card to the reader; answers the authorisation status in the hub's word."""
        if not (self.voice and self.accepted):
            return self.local_list.get(uid, "Invalid")
        return await self.voice.authorize(uid, uid_type)

    async def charge(
        self, uid: str, *, evse: int = 1, car: Car | None = None, wh: int | None = None
    ) -> Charge:
        """Plug in, swipe, start; the charge runs on by itself and ends after ``wh``, if given.

        Raises ``NotAllowed`` with the hub's word when the identifier is refused.
        """
        if self.evses[evse].car is None:
            await self.plug_in(evse, car)
        answer = await self.swipe(uid)
        if answer != "Accepted":
            raise NotAllowed(uid, answer)
        return await self.begin(uid, evse=evse, wh=wh)

    async def begin(
        self, uid: str, *, evse: int = 1, wh: int | None = None, remote_start_id: int | None = None
    ) -> Charge:
        """Start a transaction without asking first; its messages go through the queue."""
        place = self.evses[evse]
        place.car = place.car or Car()
        charge = Charge(evse, uid, place.meter.wh, self.clock.now())
        charge.remote_start_id = remote_start_id
        place.charge = charge
        place.reservation = None
        self.charges.append(charge)
        self._note("start", charge)
        if self.faults.duplicate_start:
            self.outbox.append(msgspec.structs.replace(self.outbox[-1], message_id=str(uuid4())))
        await self.tell_state(place, "Charging")
        self.spawn(self._run_charge(charge, None if wh is None else charge.meter_start + wh))
        return charge

    async def stop(self, charge: Charge, reason: str = "Local") -> None:
        """End a transaction; returns once it ended at the station (not yet told)."""
        charge.reason = charge.reason or reason
        charge.stopping.set()
        await self.until(lambda: charge.meter_stop is not None, "the stop")

    async def settled(self, charge: Charge, within: float = 30) -> Charge:
        """The charge once the hub has answered its end."""
        await self.until(lambda: charge.told["stop"] > 0, "the answer to the stop", within)
        return charge

    # -- what voices and commands use ------------------------------------------------------

    def stamp(self, at: datetime | None = None) -> str:
        """A timestamp as this station prints it."""
        at = at or self.clock.now()
        if self.faults.clock_1970:
            at = datetime(1970, 1, 1, tzinfo=UTC) + (at - self._powered_at)
        return format_instant(at)

    async def tell_state(self, place: Evse, state: str) -> None:
        """Change an EVSE's state and tell the hub if it listens."""
        place.state = state if place.operative or state == "Charging" else "Unavailable"
        self.changed()
        if self.voice and self.accepted:
            with suppress(LinkLost, Refusal, *BROKEN):
                await self.voice.status(place)

    def charge_of(self, *, number: int | None = None, ref: str | None = None) -> Charge | None:
        """The running transaction by either of its names."""
        for place in self.evses.values():
            if (running := place.charge) and (
                (ref is not None and running.ref == ref)
                or (number is not None and running.number == number)
            ):
                return running
        return None

    async def reboot(self, reason: str, stop_reason: str) -> None:
        """End transactions, disconnect, come back with a BootNotification."""
        for place in self.evses.values():
            if place.charge:
                await self.stop(place.charge, stop_reason)
        self._boot_reason = reason
        for place in self.evses.values():
            place.state = "Available" if place.operative else "Unavailable"
        if self.wire:
            await self.wire.socket.close()

    # -- connection ------------------------------------------------------------------------

    async def _live(self) -> None:
        tries = 0
        while self._on:
            old = self.wire
            try:
                wire = await dial(
                    self.url,
                    self.protocol,
                    credentials=(self.identity, self.password) if self.password else None,
                    tls=self._tls,
                )
                tries = 0
                await self._speak(wire, old if old and old.lost.is_set() else None)
            except (LinkLost, *BROKEN):
                tries += 1
            self.accepted, self.voice = False, None
            self.changed()
            await asyncio.sleep(min(2.0, 0.02 * 2**tries) * (0.5 + secrets.randbelow(100) / 100))

    async def _speak(self, wire: Wire, old: Wire | None) -> None:
        from hub.sim.station_v16 import Voice16
        from hub.sim.station_v201 import Voice201

        self.wire = wire
        self.voice = (Voice16 if self.protocol == "ocpp1.6" else Voice201)(self, wire)
        tasks: list[asyncio.Future[object]] = [
            asyncio.ensure_future(self.voice.start()),
            asyncio.ensure_future(self._work()),
            asyncio.ensure_future(wire.lost.wait()),
        ]
        if old:
            self.spawn(self._hang_up(old))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not wire.lost.is_set():
                await wire.socket.close()

    async def _hang_up(self, old: Wire) -> None:
        await self.until(lambda: self.accepted, "the new greeting")
        await old.socket.close()

    async def _work(self) -> None:
        assert self.voice
        while True:
            answer = await self.voice.boot(self._boot_reason)
            if answer.status == "Accepted":
                break
            await self.clock.sleep_until(self.clock.now() + timedelta(seconds=answer.interval or 1))
        self.boots += 1
        self._boot_reason = "PowerUp"
        self._heartbeat_after = answer.interval or 300
        for place in (None, *self.evses.values()):
            await self.voice.status(place)
        self.accepted = True
        self.changed()
        await asyncio.gather(self._deliver(), self._beat())

    async def _beat(self) -> None:
        while self.voice:
            await self.clock.sleep_until(
                self.clock.now() + timedelta(seconds=self._heartbeat_after)
            )
            await self.voice.heartbeat()

    async def _deliver(self) -> None:
        while True:
            await self.until(lambda: bool(self.outbox), "something to tell", within=86_400)
            note = self.outbox[0]
            if self.faults.lost_answers > 0 and self.wire:
                self.faults.lost_answers -= 1
                self.wire.forget_answer(note.message_id)
            try:
                assert self.voice
                await self.voice.deliver(note)
            except Refusal as error:
                note.attempts += 1
                note.message_id = str(uuid4())
                if note.attempts < _ATTEMPTS:
                    continue
                self.refused.append((note, str(error)))
            except (LinkLost, asyncio.CancelledError, *BROKEN):
                if not self.faults.same_id:
                    note.message_id = str(uuid4())
                raise
            else:
                note.charge.told[note.kind] += 1
            self.outbox.popleft()
            self._judge(note)
            self.changed()

    def _judge(self, note: Note) -> None:
        charge = note.charge
        if note.kind == "start" and charge.answer not in {"", "Accepted"}:
            charge.reason = charge.reason or "DeAuthorized"
            charge.stopping.set()

    # -- charging --------------------------------------------------------------------------

    def _note(self, kind: NoteKind, charge: Charge, power_w: int = 0) -> None:
        place = self.evses[charge.evse]
        note = Note(
            kind=kind,
            charge=charge,
            at=self.clock.now(),
            wh=place.meter.wh,
            seq=charge.seq,
            power_w=power_w,
            soc=place.car.soc if place.car else 0,
            offline=not self.accepted,
            message_id=str(uuid4()),
        )
        charge.seq += 1
        if kind == "sample":
            charge.readings.append((note.at, note.wh))
        self.outbox.append(note)
        self.changed()

    async def _run_charge(self, charge: Charge, goal: int | None) -> None:
        place = self.evses[charge.evse]
        car, last = place.car, charge.started_at
        assert car
        limit = place.limit_w if place.limit_w is not None else self.max_power_w
        while not charge.stopping.is_set():
            passed = await self._interval(charge, last)
            last = self.clock.now()
            limit = place.limit_w if place.limit_w is not None else self.max_power_w
            room = None if goal is None else place.meter.left_until(goal)
            place.meter.add(car.draw(passed, limit, room))
            if goal is not None and place.meter.wh >= goal:
                charge.reason = charge.reason or "Local"
                break
            if not self.faults.no_samples and not charge.stopping.is_set():
                self._note("sample", charge, car.power_w(limit))
        charge.meter_stop = place.meter.wh
        charge.stopped_at = self.clock.now()
        place.charge = None
        self._note("stop", charge)
        await self.tell_state(place, "Finishing")

    async def _interval(self, charge: Charge, last: datetime) -> int:
        """Wait for the next sample or the stop; the milliseconds of charging until then."""
        if not self.sample_every:
            if not self.accepted:
                await asyncio.sleep(_OFFLINE_PACE)
            else:
                await self.until(
                    lambda: not (self.outbox and self.accepted) or charge.stopping.is_set(),
                    within=3600,
                )
            return _STEP_MS
        sleeping = asyncio.ensure_future(
            self.clock.sleep_until(last + timedelta(seconds=self.sample_every))
        )
        stopping = asyncio.ensure_future(charge.stopping.wait())
        try:
            await asyncio.wait([sleeping, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
        return int((self.clock.now() - last) / timedelta(milliseconds=1))
