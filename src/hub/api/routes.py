"""Every address of this door, in the order in which the documentation shows them."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from hub.api import commands, health, sessions, stations, work

HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    stations.list_stations,
    stations.create_station,
    stations.get_station,
    stations.approve,
    stations.refuse,
    stations.list_variables,
    stations.list_reservations,
    stations.list_charging_profiles,
    commands.send,
    commands.list_commands,
    commands.get_command,
    sessions.list_sessions,
    sessions.get_session,
    work.list_dead_jobs,
    work.replay_dead_job,
    work.drop_dead_job,
)
"""Below ``/api/v1``, behind a bearer token."""

PUBLIC: Final[tuple[HTTPRouteHandler, ...]] = (health.healthz, health.readyz, health.metrics)
"""Without a login."""
