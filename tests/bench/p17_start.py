"""P17: cold and warm start of ``hub serve``, and its memory.

Floor, cold: initdb and start of the same Postgres and the import of the packages that the hub is
built from. Goals: cold at most floor + 1.5 s, warm at most warm floor + 1.0 s, resident memory
at most 1.6 times the imports alone (Postgres apart). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hub.runtime.postgres import EmbeddedPostgres
from hub.sim.child import HubChild
from tests.bench.machine import facts, median, resident

IMPORTS = (
    "import aiohttp, alembic, cryptography, httptools, jinja2, litestar, msgspec, ocpp,"
    " prometheus_client, psycopg, psycopg_pool, sqlalchemy, structlog, uvicorn, uvloop, websockets;"
    " print(open('/proc/self/statm').read().split()[1])"
)


def database_floor(folder: Path) -> tuple[float, float]:
    """Seconds to make and start a database, and to start it again."""
    found = []
    for _ in range(2):
        server = EmbeddedPostgres(folder)
        begun = time.perf_counter()
        server.start()
        found.append(time.perf_counter() - begun)
        server.stop()
    return found[0], found[1]


def import_floor() -> tuple[float, int]:
    """Seconds and resident bytes of a Python that only imports the given packages."""
    begun = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    return time.perf_counter() - begun, int(said.stdout) * 4096


async def start(folder: Path) -> tuple[float, int]:
    """Seconds until ready, and the server's resident bytes then."""
    hub = HubChild(folder, {"HUB_LOG_LEVEL": "warning"})
    begun = time.perf_counter()
    async with hub:
        spent = time.perf_counter() - begun
        return spent, resident(hub.pid)


async def main() -> int:
    """Rounds of floor, cold, warm."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    rows: list[dict[str, float]] = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="hub-bench-") as text:
            folder = Path(text)
            made, again = await asyncio.to_thread(database_floor, folder / "floor")
            imported, least = await asyncio.to_thread(import_floor)
            cold, _ = await start(folder / "hub")
            warm, memory = await start(folder / "hub")
        rows.append(
            {
                "cold_floor_s": made + imported,
                "warm_floor_s": again + imported,
                "cold_s": cold,
                "warm_s": warm,
                "imports_mb": least / 1e6,
                "rss_mb": memory / 1e6,
            }
        )
    case: dict[str, Any] = {name: round(median([r[name] for r in rows]), 2) for name in rows[0]}
    case["cold_over_floor_s"] = round(case["cold_s"] - case["cold_floor_s"], 2)
    case["warm_over_floor_s"] = round(case["warm_s"] - case["warm_floor_s"], 2)
    case["rss_ratio"] = round(case["rss_mb"] / case["imports_mb"], 2)
    goals = {"cold_over_floor_s": 1.5, "warm_over_floor_s": 1.0, "rss_ratio": 1.6}
    print(json.dumps({"P17": case, "goals_at_most": goals, "machine": facts()}, indent=1))
    return 0 if all(case[name] <= most * 1.25 for name, most in goals.items()) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
