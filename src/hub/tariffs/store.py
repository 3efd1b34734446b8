"""Our tariffs and all their versions, kept for as long as a CDR may name them.

A version never changes; what governs a session is the version current at its start.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from hub.kernel import InvalidValue, NotFound, decode, encode
from hub.runtime import Tx
from hub.tariffs.events import TariffChanged, TariffDeleted
from hub.tariffs.model import Tariff

_LONGEST_ID = 36  # OCPI CiString(36)


class TariffRef(msgspec.Struct, frozen=True):
    """One version of a tariff."""

    id: str
    version: int


class _Stored(msgspec.Struct, frozen=True):
    body: bytes
    last_updated: datetime

    def tariff(self) -> Tariff:
        """The tariff as it was saved, with the moment it was last confirmed."""
        return msgspec.structs.replace(decode(self.body, Tariff), last_updated=self.last_updated)


async def save_tariff(tx: Tx, tariff: Tariff, *, default: bool = False) -> TariffRef:
    """Keep a tariff; ids compare without case.

    The content that is current already keeps its version (``last_updated`` is not content), any
    other becomes the next version and emits ``TariffChanged``. ``default`` makes it the tenant's
    tariff for what names none. Raises ``InvalidValue`` for an id that OCPI cannot carry.
    """
    if not 0 < len(tariff.id) <= _LONGEST_ID:
        raise InvalidValue("id", f"must have 1 to {_LONGEST_ID} characters")
    key = tariff.id.casefold()
    body = encode(msgspec.structs.replace(tariff, last_updated=None))
    digest = hashlib.sha256(body).digest()
    await tx.run(
        "INSERT INTO tariffs.tariff (tenant_id, key, id, version, last_updated)"
        " VALUES (%s, %s, %s, 0, %s) ON CONFLICT DO NOTHING",
        tx.tenant,
        key,
        tariff.id,
        tx.now,
    )
    known = await tx.row(
        "SELECT t.id, t.version, v.digest, t.deleted_at, (SELECT max(x.version)"
        " FROM tariffs.version x WHERE x.tenant_id = t.tenant_id AND x.key = t.key)"
        " FROM tariffs.tariff t LEFT JOIN tariffs.version v USING (tenant_id, key, version)"
        " WHERE t.tenant_id = %s AND t.key = %s FOR UPDATE OF t",
        tx.tenant,
        key,
    )
    if known is None:
        raise NotFound("tariff", tariff.id)
    name, version, current, deleted, highest = known
    if current is None or bytes(current) != digest or deleted is not None:
        version = (highest or 0) + 1
        await tx.run(
            "INSERT INTO tariffs.version (tenant_id, key, version, body, digest, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            tx.tenant,
            key,
            version,
            body,
            digest,
            tx.now,
        )
        tx.emit(TariffChanged(tariff_id=name))
    await _point(tx, key, version, tariff, default=default)
    return TariffRef(name, version)


async def _point(tx: Tx, key: str, version: int, tariff: Tariff, *, default: bool) -> None:
    """Make a version current, and the tariff the tenant's default when asked."""
    if default:
        await tx.run(
            "UPDATE tariffs.tariff SET is_default = false"
            " WHERE tenant_id = %s AND is_default AND key <> %s",
            tx.tenant,
            key,
        )
    await tx.run(
        "UPDATE tariffs.tariff SET version = %s, currency = %s, last_updated = %s,"
        " deleted_at = NULL, is_default = is_default OR %s WHERE tenant_id = %s AND key = %s",
        version,
        tariff.currency,
        tariff.last_updated or tx.now,
        default,
        tx.tenant,
        key,
    )


async def load_tariff(
    tx: Tx,
    id: str,  # noqa: A002  # the standard's word
    version: int | None = None,
) -> Tariff:
    """A tariff in its current version, or in a given one even after it was deleted.

    Raises ``NotFound``.
    """
    where = "v.version = t.version AND t.deleted_at IS NULL"
    extra: tuple[object, ...] = ()
    if version is not None:
        where, extra = "v.version = %s", (version,)
    stored = await tx.one(
        _Stored,
        "SELECT v.body, CASE WHEN v.version = t.version THEN t.last_updated ELSE v.created_at END"
        " AS last_updated FROM tariffs.tariff t JOIN tariffs.version v USING (tenant_id, key)"
        f" WHERE t.tenant_id = %s AND t.key = %s AND {where}",
        tx.tenant,
        id.casefold(),
        *extra,
    )
    if stored is None:
        raise NotFound("tariff", id if version is None else f"{id} version {version}")
    return stored.tariff()


async def current_tariff(tx: Tx, id: str | None) -> TariffRef | None:  # noqa: A002
    """The version that governs a session started now; ``None`` asks for the tenant's default."""
    which, value = ("is_default", True) if id is None else ("key", id.casefold())
    return await tx.one(
        TariffRef,
        "SELECT id, version FROM tariffs.tariff"
        f" WHERE tenant_id = %s AND {which} = %s AND deleted_at IS NULL",
        tx.tenant,
        value,
    )


async def tariffs(tx: Tx, after: str | None = None, limit: int = 50) -> list[Tariff]:
    """Tariffs on offer by id, the next ``limit`` after one of them."""
    stored = await tx.all(
        _Stored,
        "SELECT v.body, t.last_updated FROM tariffs.tariff t"
        " JOIN tariffs.version v USING (tenant_id, key, version)"
        " WHERE t.tenant_id = %s AND t.key > %s AND t.deleted_at IS NULL ORDER BY t.key LIMIT %s",
        tx.tenant,
        (after or "").casefold(),
        limit,
    )
    return [item.tariff() for item in stored]


async def delete_tariff(tx: Tx, id: str) -> None:  # noqa: A002
    """Stop offering a tariff and emit ``TariffDeleted``; its versions stay. ``NotFound``."""
    name = await tx.value(
        "UPDATE tariffs.tariff SET deleted_at = %s, last_updated = %s, is_default = false"
        " WHERE tenant_id = %s AND key = %s AND deleted_at IS NULL RETURNING id",
        tx.now,
        tx.now,
        tx.tenant,
        id.casefold(),
    )
    if name is None:
        raise NotFound("tariff", id)
    tx.emit(TariffDeleted(tariff_id=str(name)))
