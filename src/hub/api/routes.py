"""Every address of this door, in the order in which the documentation shows them."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from hub.api import (
    books,
    commands,
    health,
    locations,
    messages,
    partners,
    sessions,
    settlement,
    stations,
    tariffs,
    tokens,
    work,
)

HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    stations.list_stations,
    stations.create_station,
    stations.get_station,
    stations.approve,
    stations.refuse,
    messages.list_messages,
    stations.list_variables,
    stations.list_reservations,
    stations.list_charging_profiles,
    locations.bind_evse,
    commands.send,
    commands.list_commands,
    commands.get_command,
    sessions.list_sessions,
    sessions.get_session,
    tokens.list_tokens,
    tokens.create_token,
    tokens.import_tokens,
    tokens.block,
    tokens.unblock,
    tokens.expire,
    tariffs.list_tariffs,
    tariffs.put_tariff,
    tariffs.get_tariff,
    tariffs.remove_tariff,
    partners.list_partners,
    partners.invite,
    partners.get_partner,
    locations.list_locations,
    locations.save,
    locations.get_location,
    settlement.list_cdrs,
    settlement.get_cdr,
    settlement.credit,
    settlement.list_held,
    settlement.list_statements,
    settlement.close,
    settlement.get_statement,
    books.list_accounts,
    books.list_transactions,
    books.get_transaction,
    books.verify_ledger,
    work.list_exceptions,
    work.resolve,
    work.list_dead_jobs,
    work.replay_dead_job,
    work.drop_dead_job,
)
"""Below ``/api/v1``, behind a bearer token."""

PUBLIC: Final[tuple[HTTPRouteHandler, ...]] = (health.healthz, health.readyz, health.metrics)
"""Without a login."""
