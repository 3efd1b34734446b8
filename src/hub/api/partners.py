"""Roaming partners and our own locations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Wired, Work
from hub.api.problems import answers
from hub.parties import (
    Partner,
    Party,
    PartyClaim,
    PartyRole,
    invite_partner,
    parties_of,
    partner_by_id,
    partners,
)
from hub.stations import Location, bind_station, location, locations, station

_JSON_MEMBERS = ("opening_times", "operator", "publish_allowed_to")


class PartyShape(msgspec.Struct, frozen=True, kw_only=True):
    """One role of a partner."""

    country_code: Annotated[str, msgspec.Meta(min_length=2, max_length=2)]
    party_id: Annotated[str, msgspec.Meta(min_length=1, max_length=3)]
    role: PartyRole
    name: str = ""

    @classmethod
    def of(cls, party: Party) -> PartyShape:
        """The shape of a stored party."""
        return cls(
            country_code=party.country_code, party_id=party.party_id, role=party.role,
            name=party.name,
        )  # fmt: skip


class PartnerShape(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that we roam with; ``state`` is PLANNED until it has registered."""

    partner_id: str
    name: str
    state: str
    version: str | None
    versions_url: str | None
    roles: list[PartyShape]
    created_at: datetime
    connected_at: datetime | None
    last_seen_at: datetime | None

    @classmethod
    def of(cls, partner: Partner, parties: list[Party]) -> PartnerShape:
        """The shape of a stored partner."""
        return cls(
            partner_id=str(partner.id), name=partner.name, state=partner.state,
            version=partner.version, versions_url=partner.versions_url,
            roles=[PartyShape.of(one) for one in parties], created_at=partner.created_at,
            connected_at=partner.connected_at, last_seen_at=partner.last_seen_at,
        )  # fmt: skip


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may register: the roles that it may speak for."""

    roles: Annotated[list[PartyShape], msgspec.Meta(min_length=1)]
    name: str = ""


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """What the partner needs: our versions URL and token A, shown this once, not encoded."""

    partner_id: str
    versions_url: str
    token: str


@get(
    "/partners", tags=["partners"], operation_id="list_partners", responses=answers(),
    guards=[needs("partners:read")],
)  # fmt: skip
async def list_partners(tx: Work) -> Page[PartnerShape]:
    """All partners, oldest first."""
    found = [PartnerShape.of(one, await parties_of(tx, one.id)) for one in await partners(tx)]
    return Page(found, None)


@get(
    "/partners/{partner_id:str}", tags=["partners"], operation_id="get_partner",
    responses=answers(404), guards=[needs("partners:read")],
)  # fmt: skip
async def get_partner(tx: Work, partner_id: FromPath[str]) -> PartnerShape:
    """One partner."""
    found = await partner_by_id(tx, uuid_of(partner_id, "partner"))
    return PartnerShape.of(found, await parties_of(tx, found.id))


@post(
    "/partners", tags=["partners"], operation_id="invite_partner", responses=answers(409),
    guards=[needs("partners:write")],
)  # fmt: skip
async def invite(tx: Work, wiring: Wired, data: JSONBody[Invitation]) -> Invited:
    """Let a platform register with us: makes credentials token A."""
    claims = [PartyClaim(one.country_code, one.party_id, one.role, one.name) for one in data.roles]
    made = await invite_partner(tx, wiring.vault, claims, name=data.name)
    return Invited(
        partner_id=str(made.partner_id), token=made.token,
        versions_url=f"{wiring.settings.base_url}/ocpi/versions",
    )  # fmt: skip


@get(
    "/locations", tags=["partners"], operation_id="list_locations", responses=answers(),
    guards=[needs("stations:read")],
)  # fmt: skip
async def list_locations(
    tx: Work, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """Our locations with EVSEs and connectors, in OCPI's words, by id."""
    key = key_of(cursor, tuple[str])
    rows = await locations(tx, after=key[0] if key else "", limit=limit + 1)
    return page_of(rows, limit, lambda row: (row.id,), location_shape)


@get(
    "/locations/{location_id:str}", tags=["partners"], operation_id="get_location",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def get_location(tx: Work, location_id: FromPath[str]) -> dict[str, Any]:
    """One location with its EVSEs and connectors."""
    return location_shape(await location(tx, location_id))


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The EVSE of a location that a station's EVSE number speaks for."""

    evse_uid: str


@put(
    "/stations/{station_id:str}/evses/{number:int}", tags=["stations"], operation_id="bind_evse",
    responses=answers(404, 409), guards=[needs("stations:write")], status_code=204,
)  # fmt: skip
async def bind_evse(
    tx: Work, station_id: FromPath[str], number: FromPath[int], data: JSONBody[Binding]
) -> None:
    """Let one EVSE number of a station speak for an EVSE of a location."""
    row = await station(tx, station_id)
    await bind_station(tx, row.id, number, data.evse_uid)


def location_shape(found: Location) -> dict[str, Any]:
    """The location as OCPI writes it; absent members are left out."""
    return {
        **_members(found),
        "evses": [
            {**_members(evse), "connectors": [_members(one) for one in evse.connectors]}
            for evse in found.evses
        ],
    }


def _members(struct: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if value is None or value == () or name in ("more", "evses", "connectors"):
            continue
        found[name] = msgspec.Raw(value) if name in _JSON_MEMBERS else value
    if "coordinates" in found:
        # OCPI 2.2.1 mod_locations GeoLocation: decimal degrees as strings.
        place = found["coordinates"]
        found["coordinates"] = {
            "latitude": str(place.latitude), "longitude": str(place.longitude),
        }  # fmt: skip
    return found
