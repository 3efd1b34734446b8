"""The race: stations in a closed loop, what was answered and, beside it, what is kept.

``python -m tests.bench.race [--stations 1,20,100] [--seconds 10]``. Each transaction is a start,
eight meter values and a stop; every answer counts only because it was committed before. Prints
one JSON object, and fails when anything that was answered is not stored, or energy is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tests.bench.machine import facts, quantile, resident
from tests.bench.proving import PROTOCOLS, drained, lap, proving


async def race(stations: int, protocol: str, seconds: float) -> dict[str, Any]:
    """One case on a hub of its own."""
    kind = "A" if protocol == "ocpp1.6" else "B"
    async with proving(stations) as course:
        hub = course.hub
        run = await asyncio.to_thread(
            lap,
            hub.station_url("").rstrip("/"),
            protocol,
            pid=hub.pid,
            stations=stations,
            seconds=seconds,
        )
        memory = resident(hub.pid)
        kept, drain = await drained(course.url, kind)
    tally = run.tally
    return {
        "protocol": protocol,
        "stations": stations,
        "messages_per_s": round(run.rate),
        "p50_ms": round(run.quantile_ms(0.5), 2),
        "p95_ms": round(run.quantile_ms(0.95), 2),
        "p99_ms": round(run.quantile_ms(0.99), 2),
        "start_p50_ms": round(quantile(tally["start_latencies"], 0.5) * 1000, 2),
        "hub_cpu_us_per_message": round(run.cpu_us),
        "hub_rss_mb": round(memory / 1e6),
        "callerrors": tally["errors"],
        "broken": tally["broken"],
        "starts_answered": tally["starts"],
        "transactions_kept": kept["distinct"],
        "sessions_kept": kept["sessions"],
        "meters_answered": tally["meters"],
        "meter_rows_kept": kept["meter_rows"],
        "stops_answered": tally["stops"],
        "sessions_with_right_energy": kept["right"],
        "sessions_left_active": kept["active"],
        "drain_s": round(drain, 1),
    }


def faults_of(case: dict[str, Any]) -> list[str]:
    """What was answered and is not kept, or is kept twice."""
    pairs = [
        ("starts_answered", "transactions_kept"),
        ("transactions_kept", "sessions_kept"),
        ("meters_answered", "meter_rows_kept"),
        ("stops_answered", "sessions_with_right_energy"),
    ]
    named = f"{case['protocol']} at {case['stations']}"
    return [
        f"{named}: {said} {case[said]}, {kept} {case[kept]}"
        for said, kept in pairs
        if case[said] != case[kept]
    ]


async def main() -> int:
    """Every case in turn."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stations", default="1,20,100")
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--protocol", choices=PROTOCOLS, action="append")
    asked = options.parse_args()
    cases = [
        await race(int(number), protocol, asked.seconds)
        for protocol in asked.protocol or PROTOCOLS
        for number in asked.stations.split(",")
    ]
    wrong = [fault for case in cases for fault in faults_of(case)]
    print(json.dumps({"race": cases, "faults": wrong, "machine": facts()}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
