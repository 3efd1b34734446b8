"""The job runner: claims due jobs in order per lane, runs them, backs off, buries the dead.

An action's effects and its completion are one commit; a flow is run again after a crash.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from hub.kernel import HubError, NotFound, decode, new_id
from hub.runtime.bus import Wake
from hub.runtime.db import AWAY, Database, Tx
from hub.runtime.events import Job
from hub.runtime.trace import correlated

log = structlog.get_logger()

_LEASE = timedelta(seconds=30)
_POLL = 1.0
_ACTIONS = 2
_SHARED = 8

_CLAIM = """
UPDATE runtime.job SET state = 'running', worker = %s, lease_until = %s, attempts = attempts + 1
WHERE id IN (
  SELECT j.id FROM runtime.job j
  WHERE (j.state = 'ready' OR (j.state = 'running' AND j.lease_until < %s))
    AND j.run_at <= %s AND j.name = ANY(%s)
    AND (j.lane IS NULL OR NOT EXISTS (
      SELECT 1 FROM runtime.job e
      WHERE e.lane = j.lane AND e.id < j.id
        AND (e.state IN ('ready', 'running') OR (e.state = 'dead' AND e.parks))))
  ORDER BY j.run_at, j.id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, tenant_id, name, payload, attempts, trace
"""


class Claimed(msgspec.Struct, frozen=True):
    """A job that this worker holds for the length of its lease."""

    id: int
    tenant_id: UUID
    name: str
    payload: bytes
    attempts: int
    trace: str


class LeaseLost(HubError):
    """Another worker took the job over; its effects here are rolled back."""

    code = "lease_lost"
    status = 409

    def __str__(self) -> str:
        return "the job's lease ran out and another worker took it"


class JobRunner:
    """Runs the jobs of one process. Lease times are wall time in Postgres' own clock."""

    def __init__(
        self,
        database: Database,
        jobs: Iterable[Job],
        *,
        batch: int = 32,
        parallel: int = 8,
        alone: bool = False,
    ) -> None:
        """``alone``: no other worker can be alive, so jobs left in hand are taken back at once."""
        self._database = database
        self._jobs = {job.name: job for job in jobs}
        self._batch = batch
        self._parallel = parallel
        self._alone = alone
        self._wake = Wake()
        self._worker = new_id()
        database.jobs_ready = self._wake.ring

    async def run(self) -> None:
        """Work until cancelled; jobs in hand when cancelled are run again by their lease.

        A database that is away for a while is waited for.
        """
        recovered = not self._alone
        while True:
            try:
                if not recovered:
                    await self.recover()
                    recovered = True
                if not await self.run_once():
                    await self._wake.wait(_POLL)
            except AWAY as error:
                log.warning("jobs_without_database", error=repr(error)[:200])
                await asyncio.sleep(_POLL)

    async def run_once(self) -> int:
        """Claim and run one batch; returns how many jobs were claimed."""
        claimed = await self._claim()
        # Actions only use the database, which answers people and stations first: a few at once.
        few, many = asyncio.Semaphore(_ACTIONS), asyncio.Semaphore(self._parallel)
        alike: defaultdict[tuple[UUID, str], list[Claimed]] = defaultdict(list)
        for one in claimed:
            alike[one.tenant_id, one.name].append(one)

        async def flow(one: Claimed) -> None:
            async with many:
                await self._run(one)

        async def actions(some: Sequence[Claimed]) -> None:
            async with few:
                await self._run_together(some)

        work: list[Coroutine[Any, Any, None]] = []
        for (_, name), found in alike.items():
            if self._jobs[name].kind == "flow":
                work += [flow(one) for one in found]
            else:
                work += [actions(found[n : n + _SHARED]) for n in range(0, len(found), _SHARED)]
        await asyncio.gather(*work)
        return len(claimed)

    async def drain(self, within: float = 30.0) -> None:
        """Run until nothing is due; for tests and batch commands. ``TimeoutError`` when late."""
        async with asyncio.timeout(within):
            while await self.run_once():
                pass

    async def recover(self) -> int:
        """Take back the jobs of dead workers at once; only when no other worker can be alive."""
        async with self._database.system_tx() as tx:
            return await tx.run(
                "UPDATE runtime.job SET state = 'ready', worker = NULL WHERE state = 'running'"
            )

    async def _claim(self) -> list[Claimed]:
        async with self._database.system_tx() as tx:
            wall = await tx.value("SELECT clock_timestamp()")
            claimed = await tx.all(
                Claimed, _CLAIM,
                self._worker, wall + _LEASE, wall, tx.now, list(self._jobs), self._batch,
            )  # fmt: skip
        return sorted(claimed, key=lambda one: one.id)

    async def _run_together(self, some: Sequence[Claimed]) -> None:
        """Run action jobs of one name in one commit; when one fails, each has its own."""
        if len(some) > 1:
            job = self._jobs[some[0].name]
            try:
                async with self._database.tx(some[0].tenant_id, actor=f"job:{job.name}") as tx:
                    for one in some:
                        with correlated(one.trace):
                            await job.run(tx, decode(one.payload, job.event))
                    await self._complete(tx, [one.id for one in some])
            except Exception as error:  # noqa: BLE001 - the job loop: the culprit is found below
                log.info("jobs_run_apart", job=job.name, error=repr(error)[:300])
            else:
                return
        for one in some:
            await self._run(one)

    async def _run(self, claimed: Claimed) -> None:
        job = self._jobs[claimed.name]
        with correlated(claimed.trace):
            try:
                event = decode(claimed.payload, job.event)
                if job.kind == "flow":
                    await job.run(event)
                async with self._database.tx(claimed.tenant_id, actor=f"job:{job.name}") as tx:
                    if job.kind == "action":
                        await job.run(tx, event)
                    await self._complete(tx, [claimed.id])
            except LeaseLost:
                log.warning("job_lease_lost", job=job.name, id=claimed.id)
            except Exception as error:  # noqa: BLE001 - the job loop: one failure never stops it
                await self._fail(job, claimed, error)

    async def _complete(self, tx: Tx, ids: list[int]) -> None:
        done = await tx.run(
            """UPDATE runtime.job SET state = 'done', done_at = %s
               WHERE id = ANY(%s) AND state = 'running' AND worker = %s""",
            tx.now, ids, self._worker,
        )  # fmt: skip
        if done != len(ids):
            raise LeaseLost

    async def _fail(self, job: Job, claimed: Claimed, error: Exception) -> None:
        dead = claimed.attempts >= job.retry.attempts
        wait = timedelta(seconds=job.retry.wait(claimed.attempts))
        log.log(
            40 if dead else 30,
            "job_dead" if dead else "job_failed",
            job=job.name, id=claimed.id, attempts=claimed.attempts, error=repr(error)[:500],
        )  # fmt: skip
        async with self._database.system_tx() as tx:
            await tx.run(
                """UPDATE runtime.job SET state = %s, run_at = %s, last_error = %s, worker = NULL
                   WHERE id = %s AND state = 'running' AND worker = %s""",
                "dead" if dead else "ready", tx.now + wait, f"{error!r}"[:2000],
                claimed.id, self._worker,
            )  # fmt: skip


class DeadJob(msgspec.Struct, frozen=True):
    """A job that failed too often, as operators see it."""

    id: int
    name: str
    lane: str | None
    payload: bytes
    attempts: int
    last_error: str | None
    run_at: datetime


async def dead_jobs(tx: Tx, limit: int = 100, *, before: int | None = None) -> list[DeadJob]:
    """A page of the tenant's dead jobs, newest first, older than ``before``."""
    return await tx.all(
        DeadJob,
        """SELECT id, name, lane, payload, attempts, last_error, run_at FROM runtime.job
           WHERE state = 'dead' AND (%s::bigint IS NULL OR id < %s) ORDER BY id DESC LIMIT %s""",
        before, before, limit,
    )  # fmt: skip


async def replay_job(tx: Tx, job_id: int) -> None:
    """Give a dead job a new life at once; ``NotFound`` when it is not a dead job of ours."""
    revived = await tx.run(
        """UPDATE runtime.job SET state = 'ready', attempts = 0, run_at = %s
           WHERE id = %s AND state = 'dead'""",
        tx.now, job_id,
    )  # fmt: skip
    if not revived:
        raise NotFound("dead job", str(job_id))


async def drop_job(tx: Tx, job_id: int) -> None:
    """Give a dead job up, which frees its lane; ``NotFound`` when it is not a dead job of ours."""
    dropped = await tx.run(
        "UPDATE runtime.job SET state = 'dropped', done_at = %s WHERE id = %s AND state = 'dead'",
        tx.now, job_id,
    )  # fmt: skip
    if not dropped:
        raise NotFound("dead job", str(job_id))


async def prune(tx: Tx, before: datetime) -> int:
    """Delete finished jobs and their events older than ``before``; returns how many jobs."""
    pruned = await tx.run(
        "DELETE FROM runtime.job WHERE state IN ('done', 'dropped') AND done_at < %s", before
    )
    await tx.run(
        """DELETE FROM runtime.event e WHERE at < %s
           AND NOT EXISTS (SELECT 1 FROM runtime.job j WHERE j.event_id = e.id)""",
        before,
    )
    return pruned
