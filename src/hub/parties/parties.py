"""Parties and roles: our own, and those that partners may speak for (the allow-list)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hub.kernel import HubError, InvalidValue, NotFound, new_id
from hub.parties.model import OwnParty, Party, PartyClaim, PartyRole
from hub.runtime import Tx

_COLUMNS = "id, partner_id, country_code, party_id, role, name, website"


class PartyTaken(HubError):
    """A role that belongs to another platform already (impersonation, or a wrong invitation)."""

    code = "party_taken"
    status = 409

    def __init__(self, country_code: str, party_id: str, role: str) -> None:
        super().__init__(country_code, party_id, role)
        self.country_code = country_code
        self.party_id = party_id
        self.role = role

    def __str__(self) -> str:
        return (
            f"{self.role} {self.country_code}-{self.party_id} belongs to another platform; "
            "remove it there first"
        )


async def ensure_own_party(tx: Tx, own: OwnParty, roles: Sequence[PartyRole] = ("CPO",)) -> None:
    """Make our roles exist as ``own`` names them; safe to call at every start.

    A changed country or party id replaces the old roles: what was sent keeps its old name.
    """
    claims = [PartyClaim(own.country_code, own.party_id, role, own.name) for role in roles]
    kept = [(await register_party(tx, claim)).id for claim in claims]
    await tx.run("DELETE FROM parties.party WHERE partner_id IS NULL AND NOT id = ANY(%s)", kept)


async def register_party(tx: Tx, claim: PartyClaim, *, partner_id: UUID | None = None) -> Party:
    """Record a role, ours or a partner's; the same claim again updates name and website.

    Raises ``PartyTaken`` when the role belongs to another platform, ``InvalidValue`` when
    malformed.
    """
    country, party = claim.country_code.upper(), claim.party_id.upper()
    if len(country) != 2 or not country.isalpha() or not country.isascii():
        raise InvalidValue("country_code", f"{claim.country_code!r} is not two letters")
    if not 1 <= len(party) <= 3 or not party.isalnum() or not party.isascii():
        raise InvalidValue("party_id", f"{claim.party_id!r} is not one to three letters or digits")
    stored = await tx.one(
        Party,
        f"""INSERT INTO parties.party
              (id, tenant_id, partner_id, country_code, party_id, role, name, website)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (tenant_id, country_code, party_id, role) DO UPDATE
              SET name = EXCLUDED.name, website = EXCLUDED.website
              WHERE party.partner_id IS NOT DISTINCT FROM EXCLUDED.partner_id
            RETURNING {_COLUMNS}""",
        new_id(), tx.tenant, partner_id, country, party, claim.role,
        claim.name or f"{country}-{party}", claim.website,
    )  # fmt: skip
    if stored is None:
        raise PartyTaken(country, party, claim.role)
    return stored


async def our_party(tx: Tx, role: PartyRole = "CPO") -> Party:
    """Our own party in ``role``; ``NotFound`` when we do not have that role."""
    found = await tx.one(
        Party,
        f"""SELECT {_COLUMNS} FROM parties.party
            WHERE partner_id IS NULL AND role = %s ORDER BY id LIMIT 1""",
        role,
    )
    if found is None:
        raise NotFound("party of our own with role", role)
    return found


async def our_parties(tx: Tx) -> list[Party]:
    """All roles of our own."""
    return await tx.all(
        Party, f"SELECT {_COLUMNS} FROM parties.party WHERE partner_id IS NULL ORDER BY id"
    )


async def parties_of(tx: Tx, partner_id: UUID) -> list[Party]:
    """The roles that a partner may speak for."""
    return await tx.all(
        Party,
        f"SELECT {_COLUMNS} FROM parties.party WHERE partner_id = %s ORDER BY id",
        partner_id,
    )


async def party_owner(tx: Tx, country_code: str, party_id: str) -> UUID | None:
    """The partner that speaks for a party, whatever its role; ``None``: nobody, or we do."""
    owner = await tx.value(
        """SELECT partner_id FROM parties.party
           WHERE country_code = upper(%s) AND party_id = upper(%s) AND partner_id IS NOT NULL
           ORDER BY id LIMIT 1""",
        country_code, party_id,
    )  # fmt: skip
    return owner if isinstance(owner, UUID) else None
