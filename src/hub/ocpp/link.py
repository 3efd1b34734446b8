"""One connection's RPC state, without I/O: what may be sent now, and what an answer belongs to.

Times are monotonic seconds handed in. The owner of the socket calls ``receive`` for each frame,
sends what it is given, and asks ``next_frame`` after anything that may have freed the line.
"""

from __future__ import annotations

import bisect
from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum

from msgspec import Raw, Struct

from hub.ocpp.errors import FrameError, LinkFullError
from hub.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    encode_call,
    encode_error,
    encode_payload,
    encode_refusal,
    encode_result,
    split,
)
from hub.ocpp.replies import ReplyCache, fingerprint
from hub.ocpp.versions import Fault, Version

_REMEMBERED_IDS = 64


class Priority(IntEnum):
    """How soon a CALL of ours goes out: a stop overtakes a report that waits."""

    STOP = 0
    START = 1
    PROFILE = 2
    CONFIGURE = 3
    REPORT = 4


class Ask(Struct, frozen=True, kw_only=True):
    """A CALL we want to make. ``ref`` is the owner's own handle.

    ``expires`` is the moment from which it may no longer be sent, ``patience`` how many seconds
    its answer may take from then on.
    """

    ref: str
    action: str
    payload: bytes
    priority: Priority = Priority.CONFIGURE
    expires: float
    patience: float = 30.0


class Arrived(Struct, frozen=True):
    """A CALL to handle; it wants ``Link.answer`` or ``Link.refuse``."""

    call: Call


class Repeated(Struct, frozen=True):
    """A CALL sent again: ``reply`` goes out as it is; None while the first one is in work."""

    call: Call
    reply: bytes | None


class Malformed(Struct, frozen=True):
    """A frame that could not be read: ``reply`` is the CALLERROR due, if one is."""

    error: FrameError
    reply: bytes | None


class Answered(Struct, frozen=True):
    """The station answered our CALL."""

    ask: Ask
    payload: Raw


class Refused(Struct, frozen=True):
    """The station answered our CALL with a CALLERROR: a normal outcome.

    An answer that names our CALL but cannot be read is a refusal with ``FormatViolation``.
    """

    ask: Ask
    code: str
    description: str
    details: Raw = Raw(b"{}")


class TimedOut(Struct, frozen=True):
    """Sent, but no answer within its patience. Whether the station acted is not known."""

    ask: Ask


class Expired(Struct, frozen=True):
    """Never sent: its turn did not come in time."""

    ask: Ask


class Displaced(Struct, frozen=True):
    """Never sent: a more urgent CALL needed its place in a full queue."""

    ask: Ask


class Lost(Struct, frozen=True):
    """The connection ended first. ``sent`` says whether the station may have acted."""

    ask: Ask
    sent: bool


class Stray(Struct, frozen=True):
    """An answer to nothing that waits: ``duplicate``, ``late`` (timed out before), ``unknown``."""

    message_id: str | int
    reason: str


Received = Arrived | Repeated | Malformed | Answered | Refused | Stray


class Link:
    """The CALLs in both directions of one connection.

    At most one CALL of ours is open; up to ``capacity`` more wait, the most urgent first and
    equals in the order they came. ``new_id`` makes message ids (at most 36 characters, never the
    same twice). ``counts`` tallies what was dropped or odd.
    """

    def __init__(
        self,
        version: Version,
        replies: ReplyCache,
        new_id: Callable[[], str],
        *,
        capacity: int = 64,
    ) -> None:
        self.version = version
        self.replies = replies
        self.capacity = capacity
        self.counts: Counter[str] = Counter()
        self._new_id = new_id
        self._waiting: list[tuple[Priority, int, Ask]] = []
        self._turn = 0
        self._open: tuple[str, Ask, float] | None = None
        self._settled: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_IDS)
        self._working: set[int] = set()

    @property
    def waiting(self) -> int:
        """How many CALLs of ours have not been sent yet."""
        return len(self._waiting)

    @property
    def open(self) -> Ask | None:
        """Our CALL that waits for its answer."""
        return self._open[1] if self._open else None

    def receive(self, frame: bytes | str, now: float) -> Received | None:
        """What a frame from the station means; None for an empty one."""
        try:
            found = split(frame, self.version)
        except FrameError as error:
            return self._malformed(error)
        match found:
            case None:
                self.counts["empty"] += 1
                return None
            case Call():
                return self._called(found, now)
            case CallResult():
                ask = self._settle(found.id, "duplicate")
                return Answered(ask, found.payload) if ask else self._stray(found.id)
            case CallError():
                ask = self._settle(found.id, "duplicate")
                if ask is None:
                    return self._stray(found.id)
                return Refused(ask, found.code, found.description, found.details)

    def answer(self, call: Call, payload: object, now: float) -> bytes:
        """The CALLRESULT to send for ``call``; kept, so that a repeat gets the same one."""
        body = encode_payload(payload)
        self._working.discard(fingerprint(call))
        self.replies.keep(call, body, now)
        return encode_result(call.id, Raw(body))

    def refuse(self, call: Call, fault: Fault, description: str) -> bytes:
        """The CALLERROR to send for ``call``; a repeat is handled afresh."""
        self._working.discard(fingerprint(call))
        return encode_error(call.id, fault, description, version=self.version)

    def submit(self, ask: Ask) -> Displaced | None:
        """Queue a CALL of ours; in a full queue it takes the place of the last less urgent one.

        Raises ``LinkFullError`` if all that wait are at least as urgent.
        """
        displaced = None
        if len(self._waiting) >= self.capacity:
            if not self._waiting or self._waiting[-1][0] <= ask.priority:
                raise LinkFullError(ask.action, self.capacity)
            displaced = Displaced(self._waiting.pop()[2])
        self._turn += 1
        bisect.insort(self._waiting, (ask.priority, self._turn, ask))
        return displaced

    def next_frame(self, now: float) -> bytes | None:
        """The next CALL to send, which is then open; None while one is or none waits.

        What has expired is never sent; ``due`` reports it.
        """
        if self._open:
            return None
        for place, (_, _, ask) in enumerate(self._waiting):
            if ask.expires > now:
                del self._waiting[place]
                message_id = self._new_id()
                self._open = (message_id, ask, now + ask.patience)
                return encode_call(message_id, ask.action, Raw(ask.payload))
        return None

    def due(self, now: float) -> list[TimedOut | Expired]:
        """Every CALL of ours whose time is up; call it at ``wake_at`` or later."""
        over: list[TimedOut | Expired] = []
        if self._open and self._open[2] <= now:
            message_id, ask, _ = self._open
            self._open = None
            self._settled.append((message_id, "late"))
            over.append(TimedOut(ask))
        over += [Expired(ask) for _, _, ask in self._waiting if ask.expires <= now]
        self._waiting = [entry for entry in self._waiting if entry[2].expires > now]
        return over

    def wake_at(self) -> float | None:
        """The earliest moment at which ``due`` may have something; None if nothing waits."""
        times = [ask.expires for _, _, ask in self._waiting]
        if self._open:
            times.append(self._open[2])
        return min(times, default=None)

    def close(self) -> list[Lost]:
        """The connection is gone: every CALL of ours that will get no answer here."""
        lost = [Lost(self._open[1], sent=True)] if self._open else []
        lost += [Lost(ask, sent=False) for _, _, ask in self._waiting]
        self._open, self._waiting = None, []
        self._working.clear()
        return lost

    def _called(self, call: Call, now: float) -> Arrived | Repeated:
        key = fingerprint(call)
        if key in self._working:
            self.counts["repeated_in_work"] += 1
            return Repeated(call, None)
        reply = self.replies.replay(call, now)
        if reply is not None:
            self.counts["repeated"] += 1
            return Repeated(call, reply)
        self._working.add(key)
        return Arrived(call)

    def _settle(self, message_id: str | int, reason: str) -> Ask | None:
        """Our open CALL if this is its id; it is then open no more."""
        if self._open is None or self._open[0] != message_id:
            return None
        self._settled.append((self._open[0], reason))
        ask, self._open = self._open[1], None
        return ask

    def _stray(self, message_id: str | int) -> Stray:
        reason = next((why for known, why in self._settled if known == message_id), "unknown")
        self.counts[reason] += 1
        return Stray(message_id, reason)

    def _malformed(self, error: FrameError) -> Malformed | Refused:
        self.counts["malformed"] += 1
        if error.kind in (3, 4) and error.message_id is not None:
            ask = self._settle(error.message_id, "duplicate")
            if ask:
                return Refused(ask, "FormatViolation", str(error))
        return Malformed(error, encode_refusal(error, self.version))
