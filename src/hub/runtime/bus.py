"""The in-process live bus: wake-ups and live views. Lossy by contract, never for money.

Nothing true lives here: whoever misses a message finds the truth in Postgres.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Protocol, Self

_QUEUE = 256


class Bus(Protocol):
    """Publish to whoever listens now; subscribe to a topic or to all topics with a prefix."""

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Hand ``payload`` to every present subscriber of ``topic``; never blocks, may drop."""
        ...

    def subscribe(self, topic: str) -> Subscription:
        """A subscription to ``topic``, or to every topic under it when it ends with ``*``."""
        ...


class Subscription:
    """A bounded queue of (topic, payload); when full, the oldest message is dropped."""

    def __init__(self, bus: LocalBus, topic: str) -> None:
        self._bus = bus
        self.topic = topic
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_QUEUE)

    def offer(self, topic: str, payload: bytes) -> None:
        """Queue one message, dropping the oldest one when the reader is too slow."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait((topic, payload))

    async def get(self, timeout: float | None = None) -> tuple[str, bytes] | None:
        """The next message, or ``None`` after ``timeout`` seconds."""
        try:
            return await asyncio.wait_for(self._queue.get(), timeout)
        except TimeoutError:
            return None

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            yield await self._queue.get()

    def close(self) -> None:
        """Stop receiving."""
        self._bus.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalBus:
    """The bus of a hub that runs as one process."""

    def __init__(self) -> None:
        self._exact: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._prefix: set[Subscription] = set()

    def publish(self, topic: str, payload: bytes = b"") -> None:
        """Hand ``payload`` to every present subscriber of ``topic``."""
        for subscription in self._exact.get(topic, ()):
            subscription.offer(topic, payload)
        for subscription in self._prefix:
            if topic.startswith(subscription.topic[:-1]):
                subscription.offer(topic, payload)

    def subscribe(self, topic: str) -> Subscription:
        """A subscription to ``topic`` (a trailing ``*`` matches every topic with that prefix)."""
        subscription = Subscription(self, topic)
        if topic.endswith("*"):
            self._prefix.add(subscription)
        else:
            self._exact[topic].add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Drop a subscription; harmless when it is gone already."""
        self._prefix.discard(subscription)
        listeners = self._exact.get(subscription.topic)
        if listeners is not None:
            listeners.discard(subscription)
            if not listeners:
                del self._exact[subscription.topic]


class Wake:
    """A level-triggered wake-up: many ``ring`` calls coalesce into one ``wait``."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter now, or at its next ``wait``."""
        self._event.set()

    async def wait(self, timeout: float) -> None:
        """Return when rung or after ``timeout`` seconds, whichever comes first."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return
        finally:
            self._event.clear()
