"""Postgres: pools by role, the unit of work ``Tx``, and its tenant.

Every transaction names its tenant first (row-level security fails closed without one) and
commits here and nowhere else. Events emitted in it become rows of the same commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, DataError, InterfaceError, OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.rows import kwargs_row, scalar_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hub.kernel import Clock, HubError, encode
from hub.runtime.events import Event, Job, Subscriptions
from hub.runtime.trace import correlation

T = TypeVar("T")

PLATFORM = UUID("00000000-0000-7000-8000-000000000001")
"""The tenant that is the platform itself (the hub's own legal entity and book)."""


class DatabaseUnavailable(HubError):
    """Postgres did not give a connection in time."""

    code = "database_unavailable"
    status = 503

    def __str__(self) -> str:
        return "the database cannot work now: does it run, is it reachable, has its disk space?"


AWAY: Final = (OperationalError, InterfaceError, DatabaseUnavailable)
"""What a call raises while the database is away: it says nothing about the call itself."""

UNSTORABLE: Final = DataError
"""What a call raises when Postgres cannot hold a value of it (NUL in a text, a year 300000)."""

_EVENT = """event AS (
  INSERT INTO runtime.event (tenant_id, name, version, payload, at, actor, trace)
  VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id)"""
_JOBS = """job AS (
  INSERT INTO runtime.job
    (tenant_id, event_id, name, lane, parks, payload, run_at, trace)
  SELECT %s, event.id, j.name, j.lane, j.parks, %s, %s, %s
  FROM event, unnest(%s::text[], %s::text[], %s::boolean[]) AS j (name, lane, parks))"""


class Tx:
    """One transaction of one tenant. Created by ``Database.tx``; nothing else commits.

    The connection is taken at the first statement, so an unused ``Tx`` costs nothing.
    """

    def __init__(
        self, database: Database, tenant: UUID, actor: str, pool: Pool, *, keyed: bool = False
    ) -> None:
        self._database = database
        self._pool = pool
        self._keyed = keyed
        self._connection: AsyncConnection[Any] | None = None
        self._events: list[tuple[Event, datetime | None, Sequence[Job], str]] = []
        self._last: list[tuple[str, tuple[object, ...]]] = []
        self._after: list[Callable[[], None]] = []
        self._steps = 0
        self._known: tuple[int, object, object] | None = None
        self.tenant = tenant
        self.actor = actor
        self.now = database.clock.now()

    async def run(self, sql: str, *params: object) -> int:
        """Execute a statement; returns the number of rows it touched."""
        connection = await self._step()
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(sql, params)
            return cursor.rowcount

    async def run_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement once per row of ``rows``, pipelined."""
        if not rows:
            return
        connection = await self._step()
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.executemany(sql, rows)

    async def one(self, into: Callable[..., T], sql: str, *params: object) -> T | None:
        """The first row as ``into(**columns)``, or ``None``."""
        connection = await self._step()
        async with connection.cursor(row_factory=kwargs_row(into)) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchone()

    async def all(self, into: Callable[..., T], sql: str, *params: object) -> list[T]:
        """Every row as ``into(**columns)``."""
        connection = await self._step()
        async with connection.cursor(row_factory=kwargs_row(into)) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchall()

    async def row(self, sql: str, *params: object) -> tuple[Any, ...] | None:
        """The first row as a tuple, or ``None``."""
        connection = await self._step()
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchone()

    async def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Every row as a tuple."""
        connection = await self._step()
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchall()

    async def value(self, sql: str, *params: object) -> Any:
        """The first column of the first row, or ``None``."""
        connection = await self._step()
        async with connection.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(sql, params)
            return await cursor.fetchone()

    def emit(self, event: Event) -> None:
        """Write ``event`` and a job per subscriber that wants it with this transaction's commit."""
        jobs = self._database.subscriptions.get(type(event), ())
        wanted = [job for job in jobs if job.when is None or job.when(event)]
        self._events.append((event, None, wanted, correlation()))

    def conclude(self, sql: str, *params: object) -> None:
        """Run a ``SELECT`` for its effects as the last statement, at no round trip of its own."""
        self._last.append((sql, params))

    def schedule(self, job: Job, event: Event, *, at: datetime) -> None:
        """Run ``job`` with ``event`` at business time ``at`` or soon after, as a durable timer."""
        self._events.append((event, at, (job,), correlation()))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call ``call`` once the commit is durable (a wake-up or a live view; never truth)."""
        self._after.append(call)

    async def savepoint(self, name: str = "here") -> None:
        """Set a savepoint to which ``rollback_to`` can return."""
        await self.run(f"SAVEPOINT {name}")

    async def rollback_to(self, name: str = "here") -> None:
        """Undo what happened since ``savepoint``; the transaction goes on."""
        await self.run(f"ROLLBACK TO SAVEPOINT {name}")

    async def connection(self) -> AsyncConnection[Any]:
        """The driver's connection inside this transaction, for statements that need it (COPY)."""
        return await self._step()

    def remember(self, key: object, value: object) -> None:
        """Keep what the last statement has made of a locked row, until the next statement."""
        self._known = (self._steps, key, value)

    def recall(self, key: object) -> object | None:
        """What was remembered of ``key``, unless a statement has run since."""
        if self._known is None or self._known[:2] != (self._steps, key):
            return None
        return self._known[2]

    async def _step(self) -> AsyncConnection[Any]:
        self._steps += 1
        return self._connection or await self._begin()

    async def _begin(self) -> AsyncConnection[Any]:
        begin = f"BEGIN; SET LOCAL hub.tenant = '{self.tenant}'"
        if self._keyed:
            begin += "; SET LOCAL plan_cache_mode = force_generic_plan"
        while True:
            connection = await self._taken()
            try:
                # One round trip: the tenant is an UUID, so it cannot carry SQL.
                await connection.execute(begin, prepare=False)
            except OperationalError:
                # A pooled connection may have died with an earlier server: nothing was asked of
                # it yet, so another one may be. A fresh one that fails is a real failure.
                stale = connection.broken
                await self._abandon()
                if not stale:
                    raise
            else:
                return connection

    async def _taken(self) -> AsyncConnection[Any]:
        try:
            self._connection = await self._pool.getconn()
        except PoolTimeout as error:
            raise DatabaseUnavailable from error
        return self._connection

    async def _write_last(self) -> None:
        """Write the events with their jobs and what concludes, as few statements as can be."""
        last = self._last
        for event, at, jobs, trace in self._events:
            sql, params = self._event_of(event, at, jobs, trace)
            then, more = last.pop(0) if last else ("SELECT 1", ())
            await self.run(f"WITH {sql} {then}", *params, *more)
            if jobs:
                self.after_commit(self._database.jobs_ready)
        for then, more in last:
            await self.run(then, *more)

    def _event_of(
        self, event: Event, at: datetime | None, jobs: Sequence[Job], trace: str
    ) -> tuple[str, list[object]]:
        """The parts of a statement that insert an event and its jobs: no relay, no dual write."""
        payload = encode(event)
        told = [self.tenant, event.event_name(), event.version, payload, self.now, self.actor]
        if not jobs:
            return _EVENT, [*told, trace]
        return f"{_EVENT}, {_JOBS}", [
            *told, trace, self.tenant, payload, at or self.now, trace,
            [job.name for job in jobs], [job.lane(event) for job in jobs],
            [job.parks for job in jobs],
        ]  # fmt: skip

    async def _finish(self, *, commit: bool) -> None:
        try:
            if commit and (self._events or self._last):
                await self._write_last()
            if self._connection is not None:
                await self._connection.execute("COMMIT" if commit else "ROLLBACK", prepare=False)
        except BaseException:
            await self._abandon()
            raise
        await self._release()
        if commit:
            for call in self._after:
                call()

    async def _abandon(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            await self._release()

    async def _release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await self._pool.putconn(connection)


Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Database:
    """Connection pools by role and the factory of transactions.

    ``jobs_ready`` is called after a commit that left work to do.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        subscriptions: Subscriptions | None = None,
        size: int = 12,
    ) -> None:
        self.url = url
        self.clock = clock
        self.subscriptions: Subscriptions = subscriptions or {}
        self.jobs_ready: Callable[[], None] = lambda: None
        self._app = self._pool("hub_app", size)
        self._system = self._pool("hub_system", 4)
        self._ingest = self._pool("hub_ingest", 2)

    def _pool(self, role: str, size: int) -> Pool:
        conninfo = make_conninfo(
            self.url,
            options=f"-c role={role} -c timezone=UTC",
            application_name=f"hub/{role}",
        )
        return AsyncConnectionPool(
            conninfo,
            min_size=1,
            max_size=size,
            open=False,
            timeout=10,
            kwargs={"autocommit": True},
        )

    async def open(self) -> None:
        """Open the pools; raises ``DatabaseUnavailable`` when Postgres does not answer."""
        for pool in (self._app, self._system, self._ingest):
            try:
                await pool.open(wait=True, timeout=15)
            except PoolTimeout as error:
                raise DatabaseUnavailable from error

    async def close(self) -> None:
        """Close every connection."""
        for pool in (self._app, self._system, self._ingest):
            await pool.close()

    @asynccontextmanager
    async def tx(
        self, tenant: UUID = PLATFORM, *, actor: str = "system", keyed: bool = False
    ) -> AsyncIterator[Tx]:
        """A transaction of ``tenant``: commits when the block ends, rolls back when it raises.

        ``keyed``: its statements only look rows up by their keys, so that Postgres need not plan
        them anew each time. Not for lists with optional conditions.
        """
        async with self._unit(Tx(self, tenant, actor, self._app, keyed=keyed)) as tx:
            yield tx

    @asynccontextmanager
    async def system_tx(self, *, actor: str = "system") -> AsyncIterator[Tx]:
        """A transaction that sees all tenants: routing, job claims and proofs only."""
        async with self._unit(Tx(self, PLATFORM, actor, self._system)) as tx:
            yield tx

    @asynccontextmanager
    async def ingest(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection of the ingest role whose every statement commits by itself, for COPY."""
        async with self._ingest.connection() as connection:
            yield connection

    @asynccontextmanager
    async def _unit(self, tx: Tx) -> AsyncIterator[Tx]:
        try:
            yield tx
        except BaseException:
            await tx._finish(commit=False)  # noqa: SLF001 - the unit of work is ours to end
            raise
        await tx._finish(commit=True)  # noqa: SLF001
