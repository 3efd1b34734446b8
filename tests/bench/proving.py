"""A hub to measure: durable Postgres, ``hub serve``, stations and tokens; and what it stored."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from hub.charging import Token, save_token
from hub.runtime import Database, SystemClock
from hub.runtime.postgres import EmbeddedPostgres
from hub.sim.child import HubChild
from hub.stations import register_station
from hub.tariffs import save_tariff, tariff_of_ocpi
from tests.bench.field import ENERGY_WH
from tests.bench.machine import Child, cpu_seconds, quantile

PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")
TARIFF = {
    "id": "BENCH",
    "currency": "EUR",
    "elements": [
        {
            "price_components": [
                {"type": "FLAT", "price": 0.35, "vat": 19, "step_size": 1},
                {"type": "ENERGY", "price": 0.49, "vat": 19, "step_size": 1},
            ]
        }
    ],
    "last_updated": "2026-01-01T00:00:00Z",
}
"""Without a tariff no session would be billed, and the CDR's cost would be left out."""


class Proving(msgspec.Struct):
    """A running hub and the way to its database."""

    hub: HubChild
    url: str


@contextmanager
def durable_postgres() -> Iterator[str]:
    """A fresh embedded Postgres with fsync on, in a folder of its own; its owner's URL."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "database")
        try:
            yield server.start()
        finally:
            server.stop()


@asynccontextmanager
async def proving(stations: int) -> AsyncIterator[Proving]:
    """A hub with so many registered stations of each version and a card for each."""
    with durable_postgres() as url, tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        settings = {"HUB_DATABASE_URL": url, "HUB_LOG_LEVEL": "warning"}
        async with HubChild(Path(folder), settings) as hub:
            await enrol(url, [f"{kind}{n:05d}" for kind in "AB" for n in range(stations)])
            yield Proving(hub, url)


async def enrol(url: str, identities: Sequence[str]) -> None:
    """Register stations, and a card for each."""
    database = Database(url, clock=SystemClock())
    await database.open()
    try:
        async with database.tx(actor="bench") as tx:
            await save_tariff(tx, tariff_of_ocpi(TARIFF), default=True)
            for identity in identities:
                await register_station(tx, identity)
                card = Token(
                    country_code="NL",
                    party_id="HUB",
                    uid=f"T-{identity}",
                    contract_id=f"NL-HUB-{identity}",
                    issuer="Bench",
                )
                await save_token(tx, card)
    finally:
        await database.close()


class Lap(msgspec.Struct):
    """One run of the field against one server."""

    answered: int
    seconds: float
    cpu_us: float
    tally: dict[str, Any]

    @property
    def rate(self) -> float:
        """Answered messages per second of wall time."""
        return self.answered / self.seconds

    def quantile_ms(self, share: float) -> float:
        """A quantile of the answer times."""
        return quantile(self.tally["latencies"], share) * 1000


def lap(
    url: str,
    protocol: str,
    *,
    pid: int,
    stations: int,
    seconds: float,
    rich: bool = False,
    meters: bool = False,
) -> Lap:
    """Run the field and take the server's own CPU per answered message (Postgres apart)."""
    words: tuple[str, ...] = (url, protocol, str(stations), str(seconds), "0")
    words = (*words, *(["rich"] if rich else []), *(["meters"] if meters else []))
    with Child("field", *words) as field:
        if field.line().strip() != "ready":
            raise RuntimeError("the stations did not all boot; see the output above")
        before = cpu_seconds(pid)
        assert field.process.stdin
        field.process.stdin.write("\n")
        field.process.stdin.flush()
        tally = msgspec.json.decode(field.line())
        spent = cpu_seconds(pid) - before
    answered = tally["answered"]
    if not answered:
        raise RuntimeError(f"nothing was answered: {tally['errors']} errors")
    return Lap(answered, tally["seconds"], spent / answered * 1e6, tally)


def stored(url: str, kind: str) -> dict[str, int]:
    """What the database holds about the stations of one letter."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """SELECT count(*), count(DISTINCT (station_id, coalesce(ref, number::text))),
                 count(*) FILTER (WHERE state = 'COMPLETED' AND energy_wh = %s),
                 count(*) FILTER (WHERE state = 'ACTIVE')
               FROM charging.session WHERE station_id LIKE %s""",
            (ENERGY_WH, f"{kind}%"),
        ).fetchone()
        readings = connection.execute(
            """SELECT count(*) FROM charging.reading WHERE station_id LIKE %s
               AND context = 'Sample.Periodic' AND measurand = 'Energy.Active.Import.Register'""",
            (f"{kind}%",),
        ).fetchone()
    assert row
    assert readings
    return {
        "sessions": row[0],
        "distinct": row[1],
        "right": row[2],
        "active": row[3],
        "meter_rows": readings[0],
    }


async def drained(url: str, kind: str, within: float = 60) -> tuple[dict[str, int], float]:
    """What is stored once the counts stand still, and how long that took."""
    begun = asyncio.get_running_loop().time()
    last, moved = stored(url, kind), begun
    while (now := asyncio.get_running_loop().time()) - moved < 1.0 and now - begun < within:
        await asyncio.sleep(0.1)
        found = stored(url, kind)
        if found != last:
            last, moved = found, asyncio.get_running_loop().time()
    return last, moved - begun
