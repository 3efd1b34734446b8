"""Partners: platforms that are invited, connected, offline or suspended, and their endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from hub.kernel import NotFound, new_id, new_secret
from hub.parties.credentials import grant_credential
from hub.parties.model import Endpoint, Invited, Partner, PartnerState, PartyClaim, TokenStyle
from hub.parties.parties import register_party
from hub.runtime import Tx
from hub.runtime.vault import Vault

_COLUMNS = (
    "id, tenant_id, name, state, version, versions_url, token_style, created_at, connected_at,"
    " last_seen_at"
)


async def plan_partner(tx: Tx, name: str, claims: Sequence[PartyClaim] = ()) -> UUID:
    """Record a partner that is not connected yet, with the roles it may speak for."""
    partner_id = new_id()
    await tx.run(
        "INSERT INTO parties.partner (id, tenant_id, name, created_at) VALUES (%s, %s, %s, %s)",
        partner_id, tx.tenant, name, tx.now,
    )  # fmt: skip
    for claim in claims:
        await register_party(tx, claim, partner_id=partner_id)
    return partner_id


async def invite_partner(
    tx: Tx, vault: Vault, claims: Sequence[PartyClaim], *, name: str = ""
) -> Invited:
    """Make credentials token A for a partner that will register with us.

    The token is printable ASCII of 43 characters, returned once and kept as a hash. Raises
    ``PartyTaken`` when one of its roles belongs to another platform.
    """
    shown = name or ", ".join(f"{claim.country_code}-{claim.party_id}" for claim in claims)
    partner_id = await plan_partner(tx, shown, claims)
    token = new_secret()
    await grant_credential(tx, partner_id, vault.hash_token(token), kind="registration")
    return Invited(partner_id, token)


async def connect_partner(
    tx: Tx,
    partner_id: UUID,
    *,
    version: str,
    versions_url: str,
    token_out: bytes,
    endpoints: Sequence[Endpoint],
) -> None:
    """Mark a partner connected: its version, where it answers, and its sealed token for us.

    The token used so far stays as the previous one until the new one has worked (C-6).
    """
    touched = await tx.run(
        """UPDATE parties.partner
           SET state = 'CONNECTED', version = %s, versions_url = %s,
               token_out_previous = token_out, token_out = %s,
               connected_at = coalesce(connected_at, %s), last_seen_at = %s
           WHERE id = %s""",
        version, versions_url, token_out, tx.now, tx.now, partner_id,
    )  # fmt: skip
    if not touched:
        raise NotFound("partner", str(partner_id))
    await save_endpoints(tx, partner_id, endpoints)


async def save_endpoints(tx: Tx, partner_id: UUID, endpoints: Sequence[Endpoint]) -> None:
    """Replace what a partner serves."""
    await tx.run("DELETE FROM parties.endpoint WHERE partner_id = %s", partner_id)
    await tx.run_many(
        """INSERT INTO parties.endpoint (tenant_id, partner_id, module, role, url)
           VALUES (%s, %s, %s, %s, %s)
           ON CONFLICT (partner_id, module, role) DO UPDATE SET url = EXCLUDED.url""",
        [(tx.tenant, partner_id, one.module, one.role, one.url) for one in endpoints],
    )


async def partner_by_id(tx: Tx, partner_id: UUID) -> Partner:
    """The partner; ``NotFound`` when there is none of that id in this tenant."""
    found = await tx.one(
        Partner, f"SELECT {_COLUMNS} FROM parties.partner WHERE id = %s", partner_id
    )
    if found is None:
        raise NotFound("partner", str(partner_id))
    return found


async def partners(tx: Tx) -> list[Partner]:
    """All partners of the tenant, oldest first."""
    return await tx.all(Partner, f"SELECT {_COLUMNS} FROM parties.partner ORDER BY id")


async def partners_with(tx: Tx, module: str, role: Literal["SENDER", "RECEIVER"]) -> list[Partner]:
    """Connected partners that serve ``role`` of ``module``, oldest first."""
    columns = ", ".join(f"p.{name.strip()}" for name in _COLUMNS.split(","))
    return await tx.all(
        Partner,
        f"""SELECT {columns} FROM parties.partner p
            JOIN parties.endpoint e ON e.partner_id = p.id
            WHERE p.state IN ('CONNECTED', 'OFFLINE') AND e.module = %s AND e.role = %s
            ORDER BY p.id""",
        module, role,
    )  # fmt: skip


async def endpoints_of(tx: Tx, partner_id: UUID) -> list[Endpoint]:
    """Everything that a partner serves."""
    return await tx.all(
        Endpoint,
        """SELECT module, role, url FROM parties.endpoint WHERE partner_id = %s
           ORDER BY module, role""",
        partner_id,
    )


async def endpoint_of(
    tx: Tx, partner_id: UUID, module: str, role: Literal["SENDER", "RECEIVER"]
) -> str | None:
    """The URL of one side of a module at a partner; ``None`` when it does not serve it."""
    url = await tx.value(
        "SELECT url FROM parties.endpoint WHERE partner_id = %s AND module = %s AND role = %s",
        partner_id, module, role,
    )  # fmt: skip
    return str(url) if url is not None else None


async def set_partner_state(tx: Tx, partner_id: UUID, state: PartnerState) -> None:
    """Move a partner to ``state``; ``NotFound`` when there is none of that id."""
    touched = await tx.run("UPDATE parties.partner SET state = %s WHERE id = %s", state, partner_id)
    if not touched:
        raise NotFound("partner", str(partner_id))


async def remember_style(tx: Tx, partner_id: UUID, style: TokenStyle) -> None:
    """Remember how a partner writes tokens, so that we write them the same way."""
    await tx.run(
        """UPDATE parties.partner SET token_style = %s, last_seen_at = %s
           WHERE id = %s""",
        style, tx.now, partner_id,
    )  # fmt: skip


async def forget_partner(tx: Tx, partner_id: UUID) -> None:
    """Remove a partner that never got connected, with its parties and tokens."""
    await tx.run("DELETE FROM parties.partner WHERE id = %s AND connected_at IS NULL", partner_id)
