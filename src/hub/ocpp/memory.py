"""What this process remembers of each station across its connections; nothing true lives here.

Replies to repeat, the correlation ids of running transactions, and whether answered frames still
wait to be folded.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from hub.charging.messages import Transaction
from hub.ocpp.replies import ReplyCache

_TRACES = 32
_QUIRKS = 100


class Memory:
    """One station. ``turn`` is held while a CALL of it is decided: one at a time per station."""

    __slots__ = ("_quirks", "_traces", "folded", "loaded", "replies", "turn", "written")

    def __init__(self) -> None:
        self.replies = ReplyCache(capacity=64)
        self.turn = asyncio.Lock()
        self.loaded = False
        # Counts of journalled frames, not a flag: a frame that is written while others are being
        # folded must not be taken for folded. Another process may have left some: start unequal.
        self.written = 1
        self.folded = 0
        self._traces: OrderedDict[str, str] = OrderedDict()
        self._quirks: set[str] = set()

    def first_time(self, quirk: str) -> bool:
        """Whether this deviation was not told before (the first 100 of a station are told)."""
        if quirk in self._quirks or len(self._quirks) >= _QUIRKS:
            return False
        self._quirks.add(quirk)
        return True

    @property
    def unfolded(self) -> bool:
        """Whether the journal may hold frames of the station that are not yet state."""
        return self.written != self.folded

    def follow(self, transaction: Transaction, trace: str) -> None:
        """Remember under which correlation id a transaction is handled."""
        key = _key(transaction)
        if key is None:
            return
        self._traces[key] = trace
        self._traces.move_to_end(key)
        if len(self._traces) > _TRACES:
            self._traces.popitem(last=False)

    def follow_token(self, uid: str, trace: str) -> None:
        """Remember under which correlation id a card was authorised, for the start to come."""
        self.follow(Transaction(ref=f"\0{uid.upper()}"), trace)

    def follow_remote(self, uid: str, trace: str) -> None:
        """Remember under which correlation id a card's start is being asked of the station."""
        self.follow(Transaction(ref=f"\0\0{uid.upper()}"), trace)
        self.follow_token(uid, trace)

    def trace_of_remote(self, uid: str) -> str:
        """The correlation id of a card's last remote start, given once; empty if there is none."""
        return self._traces.pop(f"r\0\0{uid.upper()}", "")

    def trace_of_token(self, uid: str) -> str:
        """The correlation id of a card's last Authorize, given once; empty if there is none."""
        return self._traces.pop(f"r\0{uid.upper()}", "")

    def trace_of(self, transaction: Transaction | None) -> str:
        """The correlation id of a transaction, empty if not known."""
        key = _key(transaction) if transaction else None
        return self._traces.get(key, "") if key else ""


def _key(transaction: Transaction) -> str | None:
    if transaction.ref is not None:
        return f"r{transaction.ref}"
    return None if transaction.number is None else f"n{transaction.number}"


class Memories:
    """The memories of the ``capacity`` stations heard last."""

    def __init__(self, capacity: int = 20_000) -> None:
        self.capacity = capacity
        self._known: OrderedDict[str, Memory] = OrderedDict()

    def of(self, station_id: str) -> Memory:
        """The station's memory, a new one if it was forgotten."""
        found = self._known.get(station_id)
        if found is None:
            found = self._known[station_id] = Memory()
            if len(self._known) > self.capacity:
                self._forget()
        self._known.move_to_end(station_id)
        return found

    def _forget(self) -> None:
        # A memory whose turn is held is in use: forgetting it would let two decide at once.
        for station_id, memory in self._known.items():
            if not memory.turn.locked():
                del self._known[station_id]
                return
