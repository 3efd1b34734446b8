"""The answers a station was given lately, so that a CALL sent again gets the same one.

Belongs to the station, not to one connection: a CALL is mostly sent again after a reconnect.
"""

from __future__ import annotations

import msgspec

from hub.ocpp.frames import Call, encode_result

_DAY = 24 * 3600.0
_NOTHING = b"{}"

# Their answer is about now, and a rebooted station may say them with an old id, word for word.
NEVER_REPLAYED = frozenset({"BootNotification", "Heartbeat"})


class ReplyCache:
    """At most ``capacity`` answers of one station, none older than ``max_age`` seconds.

    An answer is found by message id, action and payload together: the same id with anything else
    is a new message (stations count from 1 again after a reboot). CALLERRORs are not kept, since
    the same CALL may be in order the next time.
    """

    __slots__ = ("_answers", "capacity", "max_age")

    def __init__(self, capacity: int = 256, max_age: float = _DAY) -> None:
        self.capacity = capacity
        self.max_age = max_age
        self._answers: dict[int, tuple[float, bytes]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def replay(self, call: Call, now: float) -> bytes | None:
        """The CALLRESULT this very CALL was answered with, byte for byte; None if not known."""
        kept = self._answers.get(fingerprint(call))
        if kept is None or now - kept[0] > self.max_age:
            return None
        return encode_result(call.id, msgspec.Raw(kept[1]))

    def keep(self, call: Call, payload: bytes, now: float) -> None:
        """Remember the answer to ``call``, forgetting the oldest one over capacity.

        The answer to a BootNotification starts a new life: everything before it is forgotten.
        """
        if call.action in NEVER_REPLAYED:
            if call.action == "BootNotification":
                self._answers.clear()
            return
        key = fingerprint(call)
        self._answers.pop(key, None)
        self._answers[key] = (now, _NOTHING if payload == _NOTHING else payload)
        if len(self._answers) > self.capacity:
            del self._answers[next(iter(self._answers))]


def fingerprint(call: Call) -> int:
    """What tells one CALL from another within this process: id, action and payload."""
    return hash((call.id, call.action, bytes(call.payload)))
