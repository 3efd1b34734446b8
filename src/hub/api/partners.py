"""Roaming partners: who they are, and how one is let in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Page
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
