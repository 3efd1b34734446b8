"""Tokens between a partner and us: theirs for us as hashes, ours for them sealed.

Rotation is two-phase (OCPI requirements C-4, C-6): an older token keeps working until the
newer one is used for the first time, at most for a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from hub.kernel import NotFound, new_id
from hub.parties.model import Credential, CredentialKind
from hub.runtime import Tx

_GRACE = timedelta(hours=24)
_COLUMNS = "id, tenant_id, partner_id, hash, kind, used_at, expires_at"


async def grant_credential(
    tx: Tx, partner_id: UUID, token_hash: bytes, *, kind: CredentialKind
) -> None:
    """Let the bearer of a token, known by its hash, call us as ``partner_id``."""
    await tx.run(
        """INSERT INTO parties.credential (id, tenant_id, partner_id, hash, kind, created_at)
           VALUES (%s, %s, %s, %s, %s, %s)""",
        new_id(), tx.tenant, partner_id, token_hash, kind, tx.now,
    )  # fmt: skip


async def authenticate_partner(tx: Tx, hashes: Sequence[bytes]) -> Credential | None:
    """The valid credential that one of ``hashes`` belongs to, the first one that is known.

    ``tx`` must see all tenants (a system transaction): the token names the tenant.
    """
    found = await tx.all(
        Credential,
        f"""SELECT {_COLUMNS} FROM parties.credential
            WHERE hash = ANY(%s) AND (expires_at IS NULL OR expires_at > %s)""",
        list(hashes), tx.now,
    )  # fmt: skip
    by_hash = {bytes(one.hash): one for one in found}
    return next((by_hash[one] for one in hashes if one in by_hash), None)


async def use_credential(tx: Tx, credential: Credential) -> None:
    """Note the first use of an access token: every older token of its partner dies now."""
    if credential.kind != "access" or credential.used_at is not None:
        return
    await tx.run("UPDATE parties.credential SET used_at = %s WHERE id = %s", tx.now, credential.id)
    await tx.run(
        """DELETE FROM parties.credential
           WHERE partner_id = %s AND id <> %s AND kind <> 'callback' AND created_at <=
             (SELECT created_at FROM parties.credential WHERE id = %s)""",
        credential.partner_id, credential.id, credential.id,
    )  # fmt: skip


async def fade_credentials(tx: Tx, partner_id: UUID) -> None:
    """Let all present tokens of a partner work for one more day at most (a newer one follows)."""
    await tx.run(
        """UPDATE parties.credential SET expires_at = least(expires_at, %s)
           WHERE partner_id = %s AND kind <> 'callback'""",
        tx.now + _GRACE, partner_id,
    )  # fmt: skip


async def promote_callback(tx: Tx, partner_id: UUID) -> None:
    """Make the token of a handshake that we started the access token of the connection."""
    await tx.run(
        "UPDATE parties.credential SET kind = 'access' WHERE partner_id = %s AND kind = 'callback'",
        partner_id,
    )


async def drop_credentials(tx: Tx, partner_id: UUID) -> None:
    """Void every token in both directions (the partner unregistered or was cut off)."""
    await tx.run("DELETE FROM parties.credential WHERE partner_id = %s", partner_id)
    await tx.run(
        "UPDATE parties.partner SET token_out = NULL, token_out_previous = NULL WHERE id = %s",
        partner_id,
    )


async def token_out(tx: Tx, partner_id: UUID) -> tuple[bytes, bytes | None]:
    """The sealed token by which we call a partner, and the one before while it may matter.

    ``NotFound`` when the partner is not connected.
    """
    found = await tx.row(
        "SELECT token_out, token_out_previous FROM parties.partner WHERE id = %s", partner_id
    )
    if found is None or found[0] is None:
        raise NotFound("token for partner", str(partner_id))
    return bytes(found[0]), bytes(found[1]) if found[1] is not None else None


async def settle_token_out(tx: Tx, partner_id: UUID, *, keep_previous: bool) -> None:
    """End a rotation of the token by which we call: the new one works, or the old one still."""
    column = "token_out_previous" if keep_previous else "token_out"
    await tx.run(
        f"UPDATE parties.partner SET token_out = {column}, token_out_previous = NULL WHERE id = %s",
        partner_id,
    )
