"""Events and jobs: one commit with their cause, in order per lane, retried, buried, replayed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from hub.runtime import Database, Event, JobRunner, Retry, Tx, correlated, flow_job, job
from hub.runtime.jobs import dead_jobs, drop_job, prune, replay_job

TENANT = uuid4()


class Rang(Event):
    """A bell rang."""

    bell: str
    n: int


class Rung(Event):
    """A bell has been rung."""

    n: int


async def _count(database: Database, state: str) -> int:
    async with database.tx() as tx:
        return int(await tx.value("SELECT count(*) FROM runtime.job WHERE state = %s", state))


async def test_an_event_and_its_jobs_exist_only_when_its_cause_commits(database: Database) -> None:
    heard: list[int] = []

    @job("test.hear", Rang)
    async def hear(tx: Tx, event: Rang) -> None:
        heard.append(event.n)

    database.subscriptions = {Rang: [hear]}
    with pytest.raises(RuntimeError):
        async with database.tx() as tx:
            tx.emit(Rang(bell="a", n=1))
            await tx.run("SELECT 1")
            raise RuntimeError
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=2))
    await JobRunner(database, [hear]).drain()
    assert heard == [2]


async def test_jobs_of_one_lane_run_in_the_order_of_their_events(database: Database) -> None:
    heard: list[tuple[str, int]] = []

    async def hear(event: Rang) -> None:
        heard.append((event.bell, event.n))

    listening = flow_job("test.hear", Rang, hear, key=lambda e: e.bell)
    database.subscriptions = {Rang: [listening]}
    for n in range(6):
        async with database.tx() as tx:
            tx.emit(Rang(bell="ab"[n % 2], n=n))
    await JobRunner(database, [listening]).drain()
    assert [n for bell, n in heard if bell == "a"] == [0, 2, 4]
    assert [n for bell, n in heard if bell == "b"] == [1, 3, 5]


async def test_a_failing_action_leaves_no_effect_and_is_tried_again_later(
    database: Database,
) -> None:
    calls: list[int] = []

    @job("test.fail", Rang, retry=Retry(attempts=3, first=60))
    async def fail(tx: Tx, event: Rang) -> None:
        calls.append(event.n)
        tx.emit(Rang(bell="echo", n=99))
        raise ValueError("no")

    database.subscriptions = {Rang: [fail]}
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    await JobRunner(database, [fail]).drain()
    async with database.tx() as tx:
        events = await tx.value("SELECT count(*) FROM runtime.event")
        due = await tx.value("SELECT run_at - %s FROM runtime.job", tx.now)
    assert (calls, events) == ([1], 1)
    assert timedelta(seconds=50) < due <= timedelta(seconds=61)


async def test_a_dead_job_parks_its_lane_until_it_is_replayed(database: Database) -> None:
    heard: list[int] = []
    broken = True

    async def hear(event: Rang) -> None:
        if broken and event.n == 1:
            raise ValueError("down")
        heard.append(event.n)

    listening = flow_job(
        "test.park", Rang, hear, key=lambda e: e.bell, retry=Retry(attempts=1), parks=True
    )
    database.subscriptions = {Rang: [listening]}
    runner = JobRunner(database, [listening])
    for n in (1, 2):
        async with database.tx() as tx:
            tx.emit(Rang(bell="a", n=n))
    await runner.drain()
    assert (heard, await _count(database, "ready")) == ([], 1)
    broken = False
    async with database.tx() as tx:
        (dead,) = await dead_jobs(tx)
        assert "down" in (dead.last_error or "")
        await replay_job(tx, dead.id)
    await runner.drain()
    assert heard == [1, 2]


async def test_a_dropped_dead_job_frees_its_lane(database: Database) -> None:
    heard: list[int] = []

    async def hear(event: Rang) -> None:
        if event.n == 1:
            raise ValueError("never")
        heard.append(event.n)

    listening = flow_job(
        "test.drop", Rang, hear, key=lambda e: e.bell, retry=Retry(attempts=1), parks=True
    )
    database.subscriptions = {Rang: [listening]}
    runner = JobRunner(database, [listening])
    for n in (1, 2):
        async with database.tx() as tx:
            tx.emit(Rang(bell="a", n=n))
    await runner.drain()
    async with database.tx() as tx:
        await drop_job(tx, (await dead_jobs(tx))[0].id)
    await runner.drain()
    assert heard == [2]


async def test_a_timer_waits_for_its_business_time(database: Database) -> None:
    heard: list[int] = []

    async def hear(event: Rang) -> None:
        heard.append(event.n)

    ring = flow_job("test.timer", Rang, hear)
    runner = JobRunner(database, [ring])
    async with database.tx() as tx:
        tx.schedule(ring, Rang(bell="a", n=1), at=tx.now + timedelta(hours=1))
        tx.schedule(ring, Rang(bell="a", n=2), at=tx.now)
    await runner.drain()
    assert heard == [2]


async def test_jobs_of_a_dead_worker_are_taken_back(database: Database) -> None:
    heard: list[int] = []

    async def hear(event: Rang) -> None:
        heard.append(event.n)

    ring = flow_job("test.recover", Rang, hear)
    database.subscriptions = {Rang: [ring]}
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    dead = JobRunner(database, [ring])
    assert len(await dead._claim()) == 1
    alive = JobRunner(database, [ring])
    await alive.drain()
    assert heard == []
    assert await alive.recover() == 1
    await alive.drain()
    assert heard == [1]


async def test_a_tenant_sees_nothing_of_another_and_nothing_without_a_tenant(
    database: Database,
) -> None:
    async with database.system_tx() as tx:
        await tx.run(
            "INSERT INTO runtime.tenant (id, name, currency) VALUES (%s, 'Other', 'EUR')", TENANT
        )
    database.subscriptions = {}
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    async with database.tx(TENANT) as tx:
        assert await tx.rows("SELECT * FROM runtime.event") == []
        with pytest.raises(Exception, match="row-level security"):
            await tx.run(
                """INSERT INTO runtime.event (tenant_id, name, version, payload, at, actor, trace)
                   SELECT id, 'x', 1, '', now(), '', '' FROM runtime.tenant WHERE id <> %s""",
                TENANT,
            )
        await tx._connection.execute("ROLLBACK; BEGIN")  # type: ignore[union-attr]
        assert await tx.rows("SELECT * FROM runtime.event") == []


async def test_finished_jobs_and_their_events_are_pruned(database: Database) -> None:
    async def hear(event: Rang) -> None: ...

    ring = flow_job("test.prune", Rang, hear)
    database.subscriptions = {Rang: [ring]}
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    await JobRunner(database, [ring]).drain()
    async with database.tx() as tx:
        assert await prune(tx, tx.now + timedelta(days=1)) == 1
        assert await tx.value("SELECT count(*) FROM runtime.event") == 0


async def test_a_worker_that_is_alone_takes_up_at_once_what_a_dead_one_left(
    database: Database,
) -> None:
    heard = asyncio.Event()

    async def hear(event: Rang) -> None:
        heard.set()

    ring = flow_job("test.alone", Rang, hear)
    database.subscriptions = {Rang: [ring]}
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    assert len(await JobRunner(database, [ring])._claim()) == 1
    running = asyncio.create_task(JobRunner(database, [ring], alone=True).run())
    await asyncio.wait_for(heard.wait(), 10)
    await _ended(running)


async def test_work_goes_on_after_the_database_was_away(
    database: Database, database_url: str
) -> None:
    heard = asyncio.Event()

    async def hear(event: Rang) -> None:
        heard.set()

    ring = flow_job("test.away", Rang, hear)
    database.subscriptions = {Rang: [ring]}
    running = asyncio.create_task(JobRunner(database, [ring]).run())
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
    async with database.tx() as tx:
        tx.emit(Rang(bell="a", n=1))
    await asyncio.wait_for(heard.wait(), 20)
    await _ended(running)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_job_is_made_for_an_event_that_its_job_does_not_want(database: Database) -> None:
    heard: list[int] = []

    @job("test.hear_loud", Rang, when=lambda rang: rang.n > 1)
    async def hear(tx: Tx, event: Rang) -> None:
        heard.append(event.n)

    database.subscriptions = {Rang: [hear]}
    async with database.tx() as tx:
        for n in (1, 2):
            tx.emit(Rang(bell="a", n=n))
    assert await _count(database, "ready") == 1
    await JobRunner(database, [hear]).drain()
    assert heard == [2]


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_what_concludes_a_transaction_is_done_once_with_its_events(
    database: Database, events: int
) -> None:
    async with database.tx() as tx:
        for n in range(events):
            tx.emit(Rang(bell="a", n=n))
        tx.conclude("SELECT nextval(%s::regclass)", "charging.transaction_number")
    async with database.tx() as tx:
        assert await tx.value("SELECT nextval('charging.transaction_number')") == 2
        assert await tx.value("SELECT count(*) FROM runtime.event") == events


async def test_jobs_that_share_a_commit_do_not_share_a_failure(database: Database) -> None:
    @job("test.note", Rang)
    async def note(tx: Tx, event: Rang) -> None:
        await tx.run("UPDATE runtime.tenant SET name = name || %s", event.bell)
        if event.bell == "b":
            raise RuntimeError(event.bell)

    database.subscriptions = {Rang: [note]}
    async with database.tx() as tx:
        for n, bell in enumerate("abc"):
            tx.emit(Rang(bell=bell, n=n))
    await JobRunner(database, [note]).run_once()
    assert (await _count(database, "done"), await _count(database, "ready")) == (2, 1)
    async with database.tx() as tx:
        name = await tx.value("SELECT name FROM runtime.tenant WHERE id = %s", tx.tenant)
    assert name == "Platformac"


async def test_jobs_that_share_a_commit_keep_their_own_traces(database: Database) -> None:
    @job("test.echo", Rang)
    async def echo(tx: Tx, event: Rang) -> None:
        tx.emit(Rung(n=event.n))

    database.subscriptions = {Rang: [echo]}
    for n in range(3):
        with correlated(f"trace-{n}"):
            async with database.tx() as tx:
                tx.emit(Rang(bell="a", n=n))
    await JobRunner(database, [echo]).run_once()
    async with database.tx() as tx:
        rows = await tx.rows("SELECT trace FROM runtime.event WHERE name LIKE '%%Rung' ORDER BY id")
    assert [row[0] for row in rows] == ["trace-0", "trace-1", "trace-2"]


async def test_what_is_remembered_of_a_row_ends_with_the_next_statement(database: Database) -> None:
    async with database.tx() as tx:
        await tx.run("SELECT 1")
        tx.remember("row", 7)
        assert tx.recall("row") == 7
        assert tx.recall("other") is None
        await tx.run("SELECT 1")
        assert tx.recall("row") is None
