"""Durable events and the jobs that answer them.

An event type lives in the room that emits it; ``tx.emit`` writes it and one job per
subscriber in the emitter's own transaction. Jobs are described here and run in ``jobs``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec


class Event(msgspec.Struct, kw_only=True):
    """Something that has happened, as a fact for rooms above. Payloads outlive a release."""

    version: ClassVar[int] = 1

    @classmethod
    def event_name(cls) -> str:
        """The stable name ``room.ClassName`` under which the event is stored."""
        return f"{'.'.join(cls.__module__.split('.')[:2]).removeprefix('hub.')}.{cls.__name__}"


class Retry(msgspec.Struct, frozen=True):
    """How often and how patiently a failed job is tried again.

    Waits ``first * 2**(n-1)`` seconds after the n-th failure, at most ``longest``.
    """

    attempts: int = 8
    first: int = 1
    longest: int = 900

    def wait(self, failures: int) -> int:
        """Seconds to wait after ``failures`` failed attempts."""
        doublings = max(0, min(failures - 1, 20))
        return min(self.first << doublings, self.longest)


class Job(msgspec.Struct, frozen=True):
    """A named reaction to an event.

    ``kind`` "action": ``run(tx, event)`` and the job's completion share one transaction.
    ``kind`` "flow": ``run(event)`` opens its own transactions and must be safe to run again.
    ``key`` gives the lane: jobs of one lane run in the order in which they were emitted.
    ``parks``: a dead job holds its lane until it is replayed or dropped.
    ``when``: no job is made for events of which it says no.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    event: type[Event]
    kind: Literal["action", "flow"] = "action"
    key: Callable[[Any], str] | None = None
    retry: Retry = Retry()
    parks: bool = False
    when: Callable[[Any], bool] | None = None

    def lane(self, event: Event) -> str | None:
        """The lane of this job for ``event``, or ``None`` when order does not matter."""
        return f"{self.name}:{self.key(event)}" if self.key else None


Subscriptions = Mapping[type[Event], Sequence[Job]]


def job(
    name: str,
    event: type[Event],
    *,
    key: Callable[[Any], str] | None = None,
    retry: Retry | None = None,
    parks: bool = False,
    when: Callable[[Any], bool] | None = None,
) -> Callable[[Callable[..., Awaitable[object]]], Job]:
    """Make an action ``async def f(tx, event)`` a job for the subscription table."""

    def make(run: Callable[..., Awaitable[object]]) -> Job:
        return Job(name, run, event, "action", key, retry or Retry(), parks, when)

    return make


def flow_job(
    name: str,
    event: type[Event],
    run: Callable[..., Awaitable[object]],
    *,
    key: Callable[[Any], str] | None = None,
    retry: Retry | None = None,
    parks: bool = False,
) -> Job:
    """Make a flow's bound method ``async def f(event)`` a job for the subscription table."""
    return Job(name, run, event, "flow", key, retry or Retry(), parks)
