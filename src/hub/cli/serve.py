"""``hub serve`` and ``hub migrate``."""

from __future__ import annotations

import argparse
import asyncio
import logging
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


def serve(arguments: argparse.Namespace) -> int:
    """Run the hub until SIGTERM or SIGINT."""
    settings: Settings = arguments.settings
    roles = _roles(arguments.roles)
    configure_logging(level=settings.log_level, style=settings.log_format)
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _alone(settings), served(settings) as (url, server):
        uvloop.run(_serve(settings, url, server, roles))
    return 0


async def _serve(
    settings: Settings, url: str, server: EmbeddedPostgres | None, roles: tuple[str, ...]
) -> None:
    from hub.app import build

    hub = build(settings, url, roles, _ready)
    if server is not None:
        hub = replace(hub, parts=[*hub.parts, partial(_revived, server)])
    await hub.run()


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
