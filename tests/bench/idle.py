"""Idle stations for P5: ``python -m tests.bench.idle URL_PREFIX COUNT [CA]`` boots them, prints, waits.

Ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

import uvloop
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.bench.field import Station, Tally


async def main(url: str, count: int, ca: str | None) -> None:
    """Open, boot, hold."""
    tls = ssl.create_default_context(cafile=ca) if ca else None
    gate = asyncio.Semaphore(64)
    opened: list[Station] = []

    async def one(number: int) -> None:
        station = Station(f"A{number:05d}", "ocpp1.6", Tally())
        async with gate:
            station.socket = await connect(
                f"{url}/{station.identity}",
                subprotocols=[Subprotocol("ocpp1.6")],
                compression=None,
                ping_interval=None,
                open_timeout=120,
                ssl=tls,
            )
            boot = {"chargePointVendor": "Bench", "chargePointModel": "Idle"}
            await station.ask("BootNotification", boot)
        opened.append(station)

    await asyncio.gather(*(one(number) for number in range(count)))
    print(len(opened), flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
