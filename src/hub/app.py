"""The composition root: where the hub's parts meet, and the one table of subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec
from litestar.types import ASGIApp

from hub.api.ports import Wiring
from hub.api.server import HttpServer, listen
from hub.api.web import gated, litestar_app
from hub.console.routes import PUBLIC, console_router
from hub.console.session import ConsoleLock
from hub.ocpp.errors import PayloadError
from hub.ocpp.schema import CSMS_ACTIONS, request_body
from hub.ocpp.versions import Version
from hub.runtime import (
    Bus,
    Database,
    Job,
    JobRunner,
    LocalBus,
    Settings,
    Subscriptions,
    clock_of,
    flow_job,
)
from hub.runtime.vault import Vault
from hub.serving import Door, Hub, Part, housekeeping
from hub.stations import mark_unreachable
from hub.stations.events import CommandAnswered

ROLES: Final = ("api", "ocpp", "worker")

TIMERS: Final[Sequence[Job]] = (mark_unreachable,)
"""Jobs that no event starts: actions schedule them."""


def subscriptions(bus: Bus) -> Subscriptions:
    """Who answers which event: the one table."""
    return {
        CommandAnswered: [
            flow_job("api.tell_waiting", CommandAnswered, partial(_tell_waiting, bus)),
        ],
    }


def build(
    settings: Settings, url: str, roles: Sequence[str], ready: Callable[[Settings], None]
) -> Hub:
    """Wire the hub for ``roles`` on the migrated database at ``url``; binds its ports.

    ``ready`` is called with the effective settings once everything serves.
    """
    bus = LocalBus()
    table = subscriptions(bus)
    jobs = {job.name: job for found in (TIMERS, *table.values()) for job in found}
    database = Database(url, clock=clock_of(settings.clock), subscriptions=table)
    vault = Vault.of(settings.folder, settings.secret_key)
    runner = JobRunner(database, jobs.values())
    doors: list[Door] = []
    parts: list[Part] = []
    if "api" in roles:
        sock = listen(settings.http_host, settings.http_port, "HUB_HTTP_PORT")
        settings = msgspec.structs.replace(settings, http_port=sock.getsockname()[1])
        doors.append(HttpServer(_web(settings, database, bus, vault), settings, sock))
    if "worker" in roles:
        parts += [runner.run, partial(housekeeping, database)]
    return Hub(settings, database, runner, doors, parts, ready)


def wiring_of(settings: Settings, database: Database, bus: Bus, vault: Vault) -> Wiring:
    """What the HTTP handlers work with."""
    return Wiring(settings, database, bus, OcppActions(), vault)


def _web(settings: Settings, database: Database, bus: Bus, vault: Vault) -> ASGIApp:
    wiring = wiring_of(settings, database, bus, vault)
    secure = settings.base_url.startswith("https:")
    lock = ConsoleLock(database, vault, settings.admin_token, secure=secure)
    app = litestar_app(wiring, [console_router(lock)])
    return gated(app, wiring, {"/console": lock}, public=PUBLIC)


class OcppActions:
    """What a CSMS may send, by the published schemas: the API's catalogue."""

    def actions(self, protocol: str) -> Sequence[str]:
        """Every CSMS-initiated action of a version, sorted."""
        return sorted(CSMS_ACTIONS[Version(protocol)])

    def check(self, protocol: str, action: str, payload: bytes) -> str | None:
        """The schema's complaint, if it has one."""
        try:
            request_body(Version(protocol), action, payload)
        except PayloadError as error:
            return str(error)
        return None


async def _tell_waiting(bus: Bus, answered: CommandAnswered) -> None:
    bus.publish(f"command/{answered.command_id}")
