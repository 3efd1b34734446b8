"""One process of the hub: its parts in one task group, from the first signal of life to the last.

What the parts are is said in ``hub.app``; here is only how they start, stop and keep house.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from hub.ledger import expire_due, fold_everywhere
from hub.ocpi import prune_messages
from hub.parties import OwnParty, ensure_own_party
from hub.runtime import PLATFORM, Database, Settings
from hub.runtime.db import AWAY
from hub.runtime.jobs import prune
from hub.stations import expire_commands, forget_connections

log = structlog.get_logger()

_KEPT: Final = timedelta(days=30)
_TICK: Final = 2
_TICKS_PER_PRUNE: Final = 300

Part = Callable[[], Awaitable[object]]


class Door(Protocol):
    """A part that has requests in hand when it is told to stop."""

    async def serve(self) -> None:
        """Work until ``stop``."""
        ...

    def stop(self) -> None:
        """Take nothing more and end soon."""
        ...


@dataclass(frozen=True)
class Hub:
    """Everything that runs in this process.

    ``doors`` end their requests when told to stop; ``parts`` are cancelled after them, and
    ``closing`` is called last.
    """

    settings: Settings
    database: Database
    doors: Sequence[Door]
    parts: Sequence[Part]
    closing: Sequence[Part]
    ready: Callable[[Settings], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or ``stopping``, then end what is in hand."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)
        await self.database.open()
        try:
            await self._prepare()
            async with asyncio.TaskGroup() as group:
                doors = [group.create_task(door.serve()) for door in self.doors]
                parts = [group.create_task(_run(part)) for part in self.parts]
                self.ready(self.settings)
                await self.stopping.wait()
                log.info("hub_stopping")
                for door in self.doors:
                    door.stop()
                if doors:
                    await asyncio.wait(doors)
                for task in parts:
                    task.cancel()
        finally:
            for close in self.closing:
                await close()
            await self.database.close()

    async def _prepare(self) -> None:
        own = OwnParty(self.settings.country_code, self.settings.party_id, "")
        async with self.database.tx(PLATFORM) as tx:
            await ensure_own_party(tx, own)
        for tenant in await _tenants(self.database):
            async with self.database.tx(tenant) as tx:
                await forget_connections(tx)


async def housekeeping(database: Database) -> None:
    """Until cancelled: end commands that waited too long, fold balances, forget what is old.

    A database that is away for a while is waited for.
    """
    ticks = 0
    while True:
        try:
            await _tidy(database, prune_too=ticks % _TICKS_PER_PRUNE == 0)
            ticks += 1
        except AWAY as error:
            log.warning("housekeeping_without_database", error=repr(error)[:200])
        await asyncio.sleep(_TICK)


async def _tidy(database: Database, *, prune_too: bool) -> None:
    for tenant in await _tenants(database):
        async with database.tx(tenant) as tx:
            await expire_commands(tx)
            await expire_due(tx)
            if prune_too:
                await prune_messages(tx, tx.now - _KEPT)
    async with database.system_tx() as tx:
        await fold_everywhere(tx)
    if prune_too:
        async with database.system_tx() as tx:
            await prune(tx, tx.now - _KEPT)
            await tx.run("SELECT ocpp.prune_frames(%s)", tx.now - _KEPT)


async def _tenants(database: Database) -> list[UUID]:
    async with database.system_tx() as tx:
        rows = await tx.rows("SELECT id FROM runtime.tenant WHERE NOT scratch ORDER BY id")
    return [row[0] for row in rows]


async def _run(part: Part) -> None:
    await part()
