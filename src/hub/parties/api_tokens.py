"""Bearer tokens of our own API: who may call it, for which tenant, with which scopes.

Only a hash is stored: a token is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from hub.kernel import InvalidValue, NotFound, new_id, new_secret
from hub.runtime import Tx

_AREAS: Final = ("stations", "charging", "tariffs", "partners", "finance", "system")

SCOPES: Final = frozenset(f"{area}:{right}" for area in _AREAS for right in ("read", "write"))
"""Everything a token may be allowed: read or write in one area."""

_READ: Final = frozenset(scope for scope in SCOPES if scope.endswith(":read"))

ROLES: Final[dict[str, frozenset[str]]] = {
    "admin": SCOPES,
    "operator": _READ | {"stations:write", "charging:write", "system:write"},
    "finance": _READ | {"tariffs:write", "finance:write"},
    "viewer": _READ,
}
"""Named sets of scopes, as people hand them out."""

_PREFIX: Final = "hub_"


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A stored token without its secret."""

    id: UUID
    tenant_id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid_at(self, at: datetime) -> bool:
        """Whether the token opens doors at ``at``."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)


class MadeApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh token: ``token`` is the secret, shown this once."""

    id: UUID
    token: str


_COLUMNS = "id, tenant_id, name, scopes, created_at, expires_at, revoked_at"


def token_hash(token: str) -> bytes:
    """What is stored of a token: SHA-256 is enough, since a token has 256 bits of entropy."""
    return hashlib.sha256(token.encode()).digest()


def scopes_of(role: str) -> frozenset[str]:
    """The scopes of a role; ``InvalidValue`` names the roles there are."""
    if role not in ROLES:
        raise InvalidValue("role", f"{role!r} is none of {', '.join(ROLES)}")
    return ROLES[role]


async def create_api_token(
    tx: Tx, name: str, scopes: frozenset[str], *, expires_at: datetime | None = None
) -> MadeApiToken:
    """Make a token of this tenant; its secret is returned and never stored."""
    if unknown := scopes - SCOPES:
        raise InvalidValue("scopes", f"unknown: {', '.join(sorted(unknown))}")
    made = MadeApiToken(id=new_id(), token=_PREFIX + new_secret())
    await tx.run(
        """INSERT INTO parties.api_token
             (id, tenant_id, name, hash, scopes, created_at, expires_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        made.id, tx.tenant, name, token_hash(made.token), sorted(scopes), tx.now, expires_at,
    )  # fmt: skip
    return made


async def find_api_token(tx: Tx, presented: str) -> ApiToken | None:
    """The token that opens doors now for whoever presents ``presented``; needs a system tx."""
    found = await tx.one(
        ApiToken,
        f"SELECT {_COLUMNS} FROM parties.api_token WHERE hash = %s",
        token_hash(presented),
    )
    return found if found and found.valid_at(tx.now) else None


async def api_token_by_id(tx: Tx, token_id: UUID) -> ApiToken | None:
    """The token with this id while it opens doors; needs a system tx (a console session)."""
    found = await tx.one(
        ApiToken, f"SELECT {_COLUMNS} FROM parties.api_token WHERE id = %s", token_id
    )
    return found if found and found.valid_at(tx.now) else None


async def revoke_api_token(tx: Tx, token_id: UUID) -> None:
    """End a token at once; ``NotFound`` when it is not a living token of this tenant."""
    ended = await tx.run(
        "UPDATE parties.api_token SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL",
        tx.now, token_id,
    )  # fmt: skip
    if not ended:
        raise NotFound("API token", str(token_id))
