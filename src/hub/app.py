"""The composition root: where the hub's parts meet, and the one table of subscriptions."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec
from litestar.types import ASGIApp

from hub.api.ports import Wiring
from hub.api.server import HttpServer, free_port, listen
from hub.api.web import gated, litestar_app
from hub.charging import Authorizer, close_abandoned
from hub.charging.events import SessionClosed
from hub.console.routes import PUBLIC, console_router
from hub.console.session import ConsoleLock
from hub.ocpi.door import OcpiDoor, ocpi_routes
from hub.ocpp.catalogue import ActionCatalogue
from hub.ocpp.server import COMMAND_TOPIC, Listen, OcppServer
from hub.runtime import (
    Bus,
    Database,
    Event,
    Job,
    JobRunner,
    LocalBus,
    Settings,
    Subscriptions,
    clock_of,
    flow_job,
)
from hub.runtime.http import Outbound
from hub.runtime.telemetry import observe_outbound
from hub.runtime.vault import Vault
from hub.serving import Door, Hub, Part, housekeeping
from hub.settlement import issue_cdr
from hub.stations import mark_unreachable
from hub.stations.events import CommandAnswered, CommandQueued

ROLES: Final = ("api", "ocpp", "worker")

TIMERS: Final[Sequence[Job]] = (mark_unreachable, close_abandoned)
"""Jobs that no event starts: actions schedule them."""


def subscriptions(bus: Bus, ocpi: OcpiDoor) -> Subscriptions:
    """Who answers which event: the one table."""
    ours: dict[type[Event], list[Job]] = {
        SessionClosed: [issue_cdr],
        CommandQueued: [flow_job("ocpp.wake_link", CommandQueued, partial(_wake_link, bus))],
        CommandAnswered: [
            flow_job("api.tell_waiting", CommandAnswered, partial(_tell_waiting, bus)),
        ],
    }
    theirs = ocpi.subscriptions()
    return {event: [*ours.get(event, ()), *theirs.get(event, ())] for event in {**ours, **theirs}}


def build(
    settings: Settings, url: str, roles: Sequence[str], ready: Callable[[Settings], None]
) -> Hub:
    """Wire the hub for ``roles`` on the migrated database at ``url``; binds its ports.

    ``ready`` is called with the effective settings once everything serves.
    """
    sock = None
    if "api" in roles:
        sock = listen(settings.http_host, settings.http_port, "HUB_HTTP_PORT")
        settings = msgspec.structs.replace(settings, http_port=sock.getsockname()[1])
    if "ocpp" in roles:
        port = free_port(settings.ocpp_host, settings.ocpp_port, "HUB_OCPP_PORT")
        settings = msgspec.structs.replace(settings, ocpp_port=port)
    clock = clock_of(settings.clock)
    bus = LocalBus()
    vault = Vault.of(settings.folder, settings.secret_key)
    database = Database(url, clock=clock)
    outbound = Outbound(
        public_url=settings.base_url, private=settings.outbound_private, observe=observe_outbound
    )
    ocpi = OcpiDoor(database, vault, outbound, settings, clock=clock)
    database.subscriptions = subscriptions(bus, ocpi)
    listed = (TIMERS, ocpi.jobs(), *database.subscriptions.values())
    every = {job.name: job for jobs in listed for job in jobs}
    runner = JobRunner(database, every.values(), alone=not settings.database_url)
    doors: list[Door] = []
    parts: list[Part] = []
    if sock:
        web = _web(wiring_of(settings, database, bus, vault), ocpi)
        doors.append(HttpServer(web, settings, sock))
    if "ocpp" in roles:
        parts.append(_stations(settings, database, bus, ocpi).serve)
    if "worker" in roles:
        parts += [runner.run, partial(housekeeping, database)]
    return Hub(settings, database, doors, parts, [outbound.close], ready)


def wiring_of(settings: Settings, database: Database, bus: Bus, vault: Vault) -> Wiring:
    """What the HTTP handlers work with."""
    return Wiring(settings, database, bus, ActionCatalogue(), vault)


def _web(wiring: Wiring, ocpi: OcpiDoor) -> ASGIApp:
    settings = wiring.settings
    secure = settings.base_url.startswith("https:")
    lock = ConsoleLock(wiring.database, wiring.vault, settings.admin_token, secure=secure)
    app = litestar_app(wiring, [console_router(lock), ocpi_routes(ocpi)])
    return gated(app, wiring, {"/console": lock, "/ocpi": None}, public=PUBLIC)


def _stations(settings: Settings, database: Database, bus: Bus, ocpi: OcpiDoor) -> OcppServer:
    tls = None
    if settings.ocpp_tls_cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.ocpp_tls_cert, settings.ocpp_tls_key or None)
    where = Listen(
        host=settings.ocpp_host, port=settings.ocpp_port, tls=tls, tls_port=settings.ocpp_tls_port
    )
    return OcppServer(
        database, Authorizer(database, ocpi.client), bus, listen=where,
        unknown=settings.ocpp_accept_unknown, strict=settings.ocpp_strict,
    )  # fmt: skip


async def _wake_link(bus: Bus, queued: CommandQueued) -> None:
    bus.publish(COMMAND_TOPIC + queued.station_id)


async def _tell_waiting(bus: Bus, answered: CommandAnswered) -> None:
    bus.publish(f"command/{answered.command_id}")
