"""Tokens: our own and those that eMSPs share with us, under OCPI's names (2.2.1 §12).

Keyed by owner, uid (compared without case) and type; two eMSPs may use one uid. Tokens are never
deleted, only made invalid (TO-2).
"""

from __future__ import annotations

from datetime import datetime

from hub.charging.model import Token, fold_uid
from hub.kernel import InvalidValue, NotFound
from hub.runtime import Tx

_COLUMNS = ", ".join(Token.__struct_fields__)


async def save_token(tx: Tx, token: Token) -> bool:
    """Create or replace a token; ``True`` when it is new or differs.

    An object older than the stored one (by ``last_updated``) changes nothing, so that retries and
    overtaken pushes are harmless.
    """
    if not 1 <= len(token.uid) <= 36 or not token.uid.isprintable():
        raise InvalidValue("uid", "a token's uid has 1 to 36 printable characters")
    at = token.last_updated or tx.now
    fields = [name for name in Token.__struct_fields__ if name != "last_updated"]
    sets = ", ".join(f"{name} = excluded.{name}" for name in (*fields, "last_updated"))
    changed = await tx.run(
        f"""INSERT INTO charging.token AS t (tenant_id, uid_key, last_updated, {", ".join(fields)})
            VALUES (%s, %s, %s, {", ".join(["%s"] * len(fields))})
            ON CONFLICT (tenant_id, country_code, party_id, uid_key, type) DO UPDATE SET {sets}
            WHERE t.last_updated <= excluded.last_updated""",
        tx.tenant, fold_uid(token.uid), at, *(getattr(token, name) for name in fields),
    )  # fmt: skip
    return changed > 0


async def tokens(
    tx: Tx, *, after: tuple[datetime, str] | None = None, limit: int = 50,
    own: bool | None = None, date_from: datetime | None = None, date_to: datetime | None = None,
) -> list[Token]:  # fmt: skip
    """A page of tokens in the order (last_updated, uid), from the one after ``after``.

    ``own``: only those we issued (or only partners').
    """
    at, key = after or (None, "")
    return await tx.all(
        Token,
        f"""SELECT {_COLUMNS} FROM charging.token
            WHERE (%s::timestamptz IS NULL OR (last_updated, uid_key) > (%s, %s))
              AND (%s::boolean IS NULL OR (partner_id IS NULL) = %s)
              AND (%s::timestamptz IS NULL OR last_updated >= %s)
              AND (%s::timestamptz IS NULL OR last_updated < %s)
            ORDER BY last_updated, uid_key LIMIT %s""",
        at, at, fold_uid(key), own, own, date_from, date_from, date_to, date_to, limit,
    )  # fmt: skip


async def token(tx: Tx, country_code: str, party_id: str, uid: str, type: str = "RFID") -> Token:  # noqa: A002 - OCPI's word
    """One token by OCPI's key; ``NotFound`` when there is none."""
    found = await tx.one(
        Token,
        f"""SELECT {_COLUMNS} FROM charging.token
            WHERE country_code = %s AND party_id = %s AND uid_key = %s AND type = %s""",
        country_code, party_id, fold_uid(uid), type,
    )  # fmt: skip
    if found is None:
        raise NotFound("token", uid)
    return found


async def tokens_by_uid(tx: Tx, uid: str) -> list[Token]:
    """Every token with that uid, of whichever owner and type."""
    return await tx.all(
        Token,
        f"SELECT {_COLUMNS} FROM charging.token WHERE uid_key = %s ORDER BY country_code, party_id",
        fold_uid(uid),
    )


async def block_token(
    tx: Tx, uid: str, *, country_code: str | None = None, party_id: str | None = None,
    valid: bool = False,
) -> int:  # fmt: skip
    """Make the tokens with that uid (of one owner, if named) invalid, or valid again.

    Returns how many there are; ``NotFound`` when none.
    """
    changed = await tx.run(
        """UPDATE charging.token SET valid = %s, last_updated = %s
           WHERE uid_key = %s AND country_code = coalesce(%s, country_code)
             AND party_id = coalesce(%s, party_id)""",
        valid, tx.now, fold_uid(uid), country_code, party_id,
    )  # fmt: skip
    if not changed:
        raise NotFound("token", uid)
    return changed


async def expire_token(tx: Tx, uid: str, at: datetime) -> int:
    """Let our own tokens with that uid expire at ``at``; ``NotFound`` when we issued none."""
    changed = await tx.run(
        """UPDATE charging.token SET expires_at = %s, last_updated = %s
           WHERE uid_key = %s AND partner_id IS NULL""",
        at, tx.now, fold_uid(uid),
    )  # fmt: skip
    if not changed:
        raise NotFound("token", uid)
    return changed
