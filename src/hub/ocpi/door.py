"""The OCPI door put together: what is served, what is done when something happens elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from hub.kernel import Clock
from hub.ocpi import push, results
from hub.ocpi.call import Route
from hub.ocpi.client import OcpiClient
from hub.ocpi.dialect import Dialect
from hub.ocpi.events import CdrPushWanted, PartnerConnected, PushWanted, ResultDue
from hub.ocpi.handshake import Handshake
from hub.ocpi.modules import cdrs, commands, locations, sessions, tariffs, tokens
from hub.ocpi.modules.credentials import credentials_routes
from hub.ocpi.modules.versions import version_routes
from hub.ocpi.openapi import document
from hub.ocpi.pull import TokenPull
from hub.ocpi.push import Push
from hub.ocpi.results import Results
from hub.ocpi.server import OcpiServer
from hub.ocpi.v221 import V221
from hub.runtime import Database, Job, Settings, Subscriptions, flow_job
from hub.runtime.http import Outbound
from hub.runtime.vault import Vault

DIALECTS: Final[tuple[Dialect, ...]] = (V221,)
"""The versions that we speak, best first."""


class OcpiDoor:
    """Everything of this door for one process: server, client, flows and their jobs."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        outbound: Outbound,
        settings: Settings,
        *,
        clock: Clock,
        dialects: Sequence[Dialect] = DIALECTS,
    ) -> None:
        self.client = OcpiClient(database, outbound, vault, dialects=dialects)
        self.handshake = Handshake(database, self.client, vault, settings, dialects=dialects)
        self.server = OcpiServer(
            database, vault, settings, clock=clock, dialects=dialects,
            routes=routes_of(self.handshake, dialects),
        )  # fmt: skip
        self.push = Push(database, self.client, settings)
        self.results = Results(database, self.client)
        self.token_pull = TokenPull(database, self.client)

    def subscriptions(self) -> Subscriptions:
        """The jobs of this door by the events that call for them."""
        found: dict[type[Any], list[Job]] = {}
        for one in self.jobs():
            if one is not results.command_timer:
                found.setdefault(one.event, []).append(one)
        return found

    def jobs(self) -> list[Job]:
        """All jobs of this door, for the job runner."""
        return [
            push.session_opened, push.session_updated, push.session_closed, push.cdr_issued,
            push.evse_status_changed, push.location_changed, push.tariff_changed,
            push.tariff_deleted, results.command_answered, results.command_proved,
            results.command_timer,
            flow_job(
                "ocpi.push", PushWanted, self.push.deliver, retry=push.STATE_RETRY,
                key=lambda e: f"{e.partner_id}:{e.kind}:{e.object_id}",
            ),
            flow_job(
                "ocpi.push_cdr", CdrPushWanted, self.push.deliver_cdr, retry=push.CDR_RETRY,
                key=lambda e: str(e.partner_id), parks=True,
            ),
            flow_job(
                "ocpi.deliver_result", ResultDue, self.results.deliver,
                retry=results.DELIVERY_RETRY,
            ),
            flow_job(
                "ocpi.pull_tokens", PartnerConnected, self.token_pull.on_connected,
                key=lambda e: str(e.partner_id),
            ),
        ]  # fmt: skip


def routes_of(handshake: Handshake, dialects: Sequence[Dialect]) -> list[Route]:
    """Everything that is served."""
    served = [
        *credentials_routes(handshake), *locations.ROUTES, *tariffs.ROUTES, *sessions.ROUTES,
        *cdrs.ROUTES, *tokens.ROUTES, *commands.ROUTES,
    ]  # fmt: skip
    return [*version_routes(dialects, served), *served]


def ocpi_routes(door: OcpiDoor) -> ASGIRouteHandler:
    """The door as a Litestar handler that owns everything under ``/ocpi``."""
    # Litestar's ASGI types are a union over protocols that never come here.
    server: Any = door.server

    @asgi("/ocpi", is_mount=True, copy_scope=True)
    async def ocpi(scope: Scope, receive: Receive, send: Send) -> None:
        await server(scope, receive, send)

    return ocpi


def ocpi_openapi(door: OcpiDoor, dialect: Dialect = V221) -> dict[str, Any]:
    """The OpenAPI document of one version, as committed under ``openapi/``."""
    return document(dialect, routes_of(door.handshake, (dialect,)))
