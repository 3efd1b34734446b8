"""A hub as a child process on a database of the test, with stations and cards enrolled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from hub.sim import SimStation
from hub.sim.child import HubChild


@asynccontextmanager
async def running_hub(folder: Path, database_url: str, **settings: str) -> AsyncIterator[HubChild]:
    """``hub serve`` on free ports, quiet, its log in ``folder``."""
    quiet = {"HUB_DATABASE_URL": database_url, "HUB_LOG_LEVEL": "warning", **settings}
    async with HubChild(folder, quiet) as hub:
        yield hub


async def enrolled(hub: HubChild, identity: str, protocol: str, **more: Any) -> SimStation:
    """A station registered through the API, not switched on yet."""
    made = await hub.api("POST", "/stations", {"station_id": identity})
    return SimStation(identity, made["url"], protocol=protocol, password=made["password"], **more)


def rows(database_url: str, sql: str, *params: object) -> list[dict[str, Any]]:
    """What the database holds, read past the hub."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(sql, params).fetchall()
