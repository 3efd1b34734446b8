"""``hub serve`` and ``hub migrate``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from hub.api.stations import station_url
from hub.cli.opening import opened, tell
from hub.kernel import InvalidValue
from hub.runtime import Settings
from hub.runtime.locks import HubLock
from hub.runtime.migrate import head
from hub.runtime.telemetry import configure_logging


def serve(arguments: argparse.Namespace) -> int:
    """Run the hub until SIGTERM or SIGINT."""
    settings: Settings = arguments.settings
    roles = _roles(arguments.roles)
    configure_logging(level=settings.log_level, style=settings.log_format)
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with _alone(settings), opened(settings) as url:
        uvloop.run(_serve(settings, url, roles))
    return 0


async def _serve(settings: Settings, url: str, roles: tuple[str, ...]) -> None:
    from hub.app import build

    await build(settings, url, roles, _ready).run()


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
