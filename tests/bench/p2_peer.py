"""P2: the same messages as P1, against the peer's shape (``peer.py``) on the same Postgres.

Goal: at least 25 times less server CPU per message than ``ocpp.ChargePoint`` with an ORM commit.
Prints one JSON object; exits 1 below 0.8 of the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tests.bench.machine import Child, facts, free_port, median, wait_for_port
from tests.bench.proving import PROTOCOLS, Lap, lap, proving

GOAL = 25


async def rounds(protocol: str, *, stations: int, seconds: float, times: int) -> dict[str, Any]:
    """Peer and hub in turn, medians."""
    port = free_port()
    peers: list[Lap] = []
    ours: list[Lap] = []
    async with proving(stations) as course:
        hub = course.hub
        with Child("peer", str(port), course.url) as peer:
            wait_for_port(port)
            plan = [
                (f"ws://127.0.0.1:{port}", peer.pid, peers),
                (hub.station_url("").rstrip("/"), hub.pid, ours),
            ]
            for url, pid, laps in plan * times:
                laps.append(
                    await asyncio.to_thread(
                        lap, url, protocol, pid=pid, stations=stations, seconds=seconds, rich=True
                    )
                )
    peer_us, our_us = median([x.cpu_us for x in peers]), median([x.cpu_us for x in ours])
    return {
        "protocol": protocol,
        "floor_cpu_us": round(peer_us),
        "candidate_cpu_us": round(our_us),
        "ratio": round(peer_us / our_us, 1),
        "floor_messages_per_s": round(median([x.rate for x in peers])),
        "candidate_messages_per_s": round(median([x.rate for x in ours])),
    }


async def main() -> int:
    """Both versions."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stations", type=int, default=50)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    cases = [
        await rounds(protocol, stations=asked.stations, seconds=asked.seconds, times=asked.rounds)
        for protocol in PROTOCOLS
    ]
    ratio = min(case["ratio"] for case in cases)
    print(json.dumps({"P2": cases, "ratio": ratio, "goal": GOAL, "machine": facts()}, indent=1))
    return 0 if ratio >= 0.8 * GOAL else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
