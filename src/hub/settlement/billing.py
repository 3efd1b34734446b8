"""What a closed session must bring before it can be billed, and what is missing when it cannot."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from hub.charging import pricing_periods
from hub.kernel import HubError, NotFound
from hub.parties import our_party
from hub.runtime import Tx
from hub.settlement.building import Billable
from hub.settlement.model import CdrLocation, CdrToken
from hub.stations import Connector, Evse, location
from hub.tariffs import Period


class HeldBack(HubError):
    """The session is not billed as it stands; ``reason`` says what a person must look at."""

    code = "session_held_back"
    status = 409

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ClosedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session as settlement reads it."""

    id: UUID
    station_id: str
    evse: int | None
    evse_uid: str | None
    connector_id: str | None
    location_id: str | None
    token_uid: str | None
    token_type: str | None
    contract_id: str | None
    token_country_code: str | None
    token_party_id: str | None
    partner_id: UUID | None
    auth_method: str | None
    authorization_reference: str | None
    state: str
    held: bool
    started_at: datetime
    ended_at: datetime | None
    energy_wh: Decimal
    tariff_id: str | None
    tariff_version: int | None
    time_zone: str
    estimated: bool
    flags: list[str]


_COLUMNS = ", ".join(ClosedSession.__struct_fields__)


async def closed_session(tx: Tx, session_id: UUID) -> ClosedSession:
    """The session to bill, or an INVALID one, which never is.

    Raises ``HeldBack`` when a person must look at it first, ``NotFound``.
    """
    found = await tx.one(
        ClosedSession, f"SELECT {_COLUMNS} FROM charging.v_session WHERE id = %s", session_id
    )
    if found is None:
        raise NotFound("session", str(session_id))
    if found.state == "INVALID" and not found.held:
        return found
    if found.state != "COMPLETED":
        raise HeldBack(f"the session is {found.state}")
    if found.held or "incomplete" in found.flags:
        raise HeldBack(f"the session is incomplete ({', '.join(found.flags) or 'held'})")
    if found.ended_at is None:
        raise HeldBack("the session has no end")
    if found.tariff_id is None:
        raise HeldBack("no tariff governed the session")
    return found


async def periods_of(tx: Tx, session: ClosedSession) -> list[Period]:
    """The periods to price, from the session's readings."""
    return await pricing_periods(tx, session.id)


async def billable_of(tx: Tx, session: ClosedSession) -> Billable:
    """The session with its token and place; raises ``HeldBack`` when one is unknown."""
    if session.token_uid is None or session.ended_at is None:
        raise HeldBack("no known token: nobody to bill")
    us = await our_party(tx)
    return Billable(
        session_id=str(session.id),
        country_code=us.country_code,
        party_id=us.party_id,
        start=session.started_at,
        end=session.ended_at,
        token=CdrToken(
            country_code=session.token_country_code or us.country_code,
            party_id=session.token_party_id or us.party_id,
            uid=session.token_uid,
            type=session.token_type or "OTHER",
            contract_id=session.contract_id or session.token_uid,
        ),
        location=await _place(tx, session),
        auth_method=session.auth_method or "WHITELIST",
        authorization_reference=session.authorization_reference,
        partner_id=session.partner_id,
        estimated=session.estimated,
    )


async def _place(tx: Tx, session: ClosedSession) -> CdrLocation:
    if session.location_id is None or session.evse_uid is None:
        if session.partner_id is not None:
            raise HeldBack("the station is bound to no location, which a roaming CDR must name")
        # Only partners are sent CDRs: our own drivers' need no address.
        number = str(session.evse or 1)
        return CdrLocation(
            id=session.station_id[:36], evse_uid=number, evse_id=number,
            connector_id=session.connector_id or "1",
        )  # fmt: skip
    site = await location(tx, session.location_id)
    evse = next((e for e in site.evses if e.uid == session.evse_uid), Evse(uid=session.evse_uid))
    plug = _connector(evse, session.connector_id)
    return CdrLocation(
        id=site.id, name=site.name, address=site.address, city=site.city,
        postal_code=site.postal_code, state=site.state, country=site.country,
        latitude=site.coordinates.latitude, longitude=site.coordinates.longitude,
        evse_uid=evse.uid, evse_id=evse.evse_id or evse.uid,
        connector_id=plug.id if plug else session.connector_id or "1",
        connector_standard=plug.standard if plug else "",
        connector_format=plug.format if plug else "",
        connector_power_type=plug.power_type if plug else "",
    )  # fmt: skip


def _connector(evse: Evse, connector_id: str | None) -> Connector | None:
    named = [c for c in evse.connectors if c.id == connector_id]
    return next(iter([*named, *evse.connectors]), None)
