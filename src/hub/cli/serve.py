"""``hub serve`` and ``hub migrate``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import structlog
import uvloop

from hub.api.stations import station_url
from hub.cli.opening import opened, served, tell
from hub.kernel import HubError, InvalidValue
from hub.runtime import Settings
from hub.runtime.locks import HubLock
from hub.runtime.migrate import head
from hub.runtime.postgres import EmbeddedPostgres
from hub.runtime.telemetry import configure_logging

log = structlog.get_logger()

_LOOK_AFTER: Final = 1.0
_INPUT: Final = 0


def serve(arguments: argparse.Namespace) -> int:
    """Run the hub until SIGTERM or SIGINT; with ``--scratch`` also until its input ends."""
    settings: Settings = arguments.settings
    roles = _roles(arguments.roles)
    configure_logging(level=settings.log_level, style=settings.log_format)
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    scratch: bool = arguments.scratch
    with _alone(settings), served(settings, durable=not scratch) as (url, server):
        uvloop.run(_serve(settings, url, roles, server, scratch=scratch))
    return 0


async def _serve(
    settings: Settings,
    url: str,
    roles: tuple[str, ...],
    server: EmbeddedPostgres | None,
    *,
    scratch: bool,
) -> None:
    from hub.app import build

    hub = build(settings, url, roles, _ready)
    if server is not None:
        hub = replace(hub, parts=[*hub.parts, partial(_revived, server)])
    if scratch:
        _end_with_input(hub.stopping)
    await hub.run()


def _end_with_input(stopping: asyncio.Event) -> None:
    """Set ``stopping`` once our input ends: whoever started us is gone.

    A pipe tells this of a starter that was killed, too, which no signal would.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        while os.read(_INPUT, 1024):
            pass
        loop.call_soon_threadsafe(stopping.set)

    threading.Thread(target=listen, name="input", daemon=True).start()


async def _revived(server: EmbeddedPostgres) -> None:
    """Until cancelled: start the embedded database again when it was killed (out of memory)."""
    while True:
        await asyncio.sleep(_LOOK_AFTER)
        try:
            if await asyncio.to_thread(server.revive):
                log.error("database_revived", hint="Postgres had ended; postgres.log says why")
        except HubError as error:
            log.warning("database_not_revived", error=str(error))


def _roles(text: str) -> tuple[str, ...]:
    from hub.app import ROLES

    roles = tuple(word.strip() for word in text.split(",") if word.strip())
    if not roles or set(roles) - set(ROLES):
        raise InvalidValue("--roles", f"{text!r} is no subset of {','.join(ROLES)}")
    return roles


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """The one server of a data folder whose database is embedded."""
    if settings.database_url:
        yield
        return
    with HubLock(settings.folder):
        yield


def _ready(settings: Settings) -> None:
    """The one line that says the hub serves."""
    stations = station_url(settings, "ID").removesuffix("ID") + "{station_id}"
    tell(f"hub: ready; console {settings.base_url}/console, stations {stations}")


def migrate_only(arguments: argparse.Namespace) -> int:
    """Bring the database to this release's schema."""
    with opened(arguments.settings):
        tell(f"hub: the database has schema {head()}")
    return 0
