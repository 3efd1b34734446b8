"""P1: an OCPP message decoded, validated, routed, durable and answered, beside an echo.

Floor: ``echo.py``, frames and answers of the same size. Candidate: ``hub serve``. Both under the
same closed loop, in turn; server CPU per message by schedstat. Goal: R = floor / candidate of at
least 0.35 for a whole session (start, eight meter values, stop, and the CDR that follows), 0.45
where nearly all messages are meter values (the journal lane), folding included. Prints one JSON
object; exits 1 below 0.8 of a goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tests.bench.machine import Child, facts, free_port, median, wait_for_port
from tests.bench.proving import PROTOCOLS, Lap, lap, proving

GOALS = {"mix": 0.35, "journal": 0.45}


async def rounds(
    protocol: str, load: str, *, stations: int, seconds: float, times: int
) -> dict[str, Any]:
    """Floor and candidate in turn, medians."""
    port = free_port()
    floors: list[Lap] = []
    ours: list[Lap] = []
    async with proving(stations) as course:
        hub = course.hub
        with Child("echo", str(port)) as echo:
            wait_for_port(port)
            plan = [
                (f"ws://127.0.0.1:{port}", echo.pid, floors),
                (hub.station_url("").rstrip("/"), hub.pid, ours),
            ]
            for url, pid, laps in plan * times:
                laps.append(
                    await asyncio.to_thread(
                        lap,
                        url,
                        protocol,
                        pid=pid,
                        stations=stations,
                        seconds=seconds,
                        rich=True,
                        meters=load == "journal",
                    )
                )
    floor, candidate = median([x.cpu_us for x in floors]), median([x.cpu_us for x in ours])
    return {
        "protocol": protocol,
        "load": load,
        "goal": GOALS[load],
        "floor_cpu_us": round(floor, 1),
        "candidate_cpu_us": round(candidate, 1),
        "ratio": round(floor / candidate, 3),
        "floor_messages_per_s": round(median([x.rate for x in floors])),
        "candidate_messages_per_s": round(median([x.rate for x in ours])),
        "candidate_p50_ms": round(median([x.quantile_ms(0.5) for x in ours]), 2),
        "candidate_p99_ms": round(median([x.quantile_ms(0.99) for x in ours]), 2),
    }


async def main() -> int:
    """Both versions."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stations", type=int, default=100)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    cases = [
        await rounds(
            protocol, load, stations=asked.stations, seconds=asked.seconds, times=asked.rounds
        )
        for protocol in PROTOCOLS
        for load in GOALS
    ]
    print(json.dumps({"P1": cases, "machine": facts()}, indent=1))
    return 0 if all(case["ratio"] >= 0.8 * case["goal"] for case in cases) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
