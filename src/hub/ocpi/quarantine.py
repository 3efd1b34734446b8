"""Messages that were JSON but could not be taken, kept whole until they can be replayed."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec

from hub.kernel import NotFound, decode, encode, new_id
from hub.ocpi.call import Call
from hub.runtime import Tx

_KEPT_HEADERS = (
    "ocpi-to-country-code", "ocpi-to-party-id", "ocpi-from-country-code", "ocpi-from-party-id",
)  # fmt: skip


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A message in quarantine. ``path`` is below the version's address."""

    id: UUID
    partner_id: UUID
    at: datetime
    version: str
    module: str
    method: str
    path: str
    query: str
    headers: bytes
    body: bytes
    reason: str
    state: str

    def query_items(self) -> dict[str, str]:
        """The query as the handler takes it."""
        return decode(self.query, dict[str, str])

    def header_items(self) -> dict[str, str]:
        """The routing headers as the handler takes them."""
        return decode(self.headers, dict[str, str])


_COLUMNS = ", ".join(Held.__struct_fields__)


async def hold(tx: Tx, call: Call, reason: str) -> UUID:
    """Keep a message that could not be processed, with what a replay needs."""
    routing = {name: call.headers[name] for name in _KEPT_HEADERS if name in call.headers}
    held = Held(
        id=new_id(), partner_id=call.partner.id, at=tx.now, version=call.dialect.version,
        module=call.module, method=call.method, path=call.path,
        query=encode(dict(call.query)).decode(), headers=encode(routing), body=call.body,
        reason=reason, state="held",
    )  # fmt: skip
    await _keep(tx, held)
    return held.id


async def hold_object(
    tx: Tx, partner_id: UUID, version: str, path: str, body: bytes, *, reason: str
) -> UUID:
    """Keep one object of a pulled list that could not be processed (T-B14).

    ``path`` with its query is where its owner would have PUT it.
    """
    split = urlsplit(path)
    held = Held(
        id=new_id(), partner_id=partner_id, at=tx.now, version=version,
        module=split.path.split("/")[2], method="PUT", path=split.path,
        query=encode(dict(parse_qsl(split.query))).decode(), headers=b"{}", body=body,
        reason=reason, state="held",
    )  # fmt: skip
    await _keep(tx, held)
    return held.id


async def _keep(tx: Tx, held: Held) -> None:
    await tx.run(
        f"""INSERT INTO ocpi.quarantine (tenant_id, {_COLUMNS})
            VALUES ({", ".join(["%s"] * (1 + len(Held.__struct_fields__)))})""",
        tx.tenant, held.id, held.partner_id, held.at, held.version, held.module, held.method,
        held.path, held.query, held.headers, held.body, held.reason.replace("\0", "")[:1000],
        held.state,
    )  # fmt: skip


async def held_messages(tx: Tx, *, limit: int = 100) -> list[Held]:
    """What waits in quarantine, oldest first."""
    return await tx.all(
        Held,
        f"SELECT {_COLUMNS} FROM ocpi.quarantine WHERE state = 'held' ORDER BY id LIMIT %s",
        limit,
    )


async def held_message(tx: Tx, held_id: UUID) -> Held:
    """One held message, locked; ``NotFound`` when it is not held (any more)."""
    found = await tx.one(
        Held,
        f"SELECT {_COLUMNS} FROM ocpi.quarantine WHERE id = %s AND state = 'held' FOR UPDATE",
        held_id,
    )
    if found is None:
        raise NotFound("held message", str(held_id))
    return found


async def release(tx: Tx, held_id: UUID, state: str) -> None:
    """End the quarantine of a message: ``replayed`` or ``dropped``."""
    await tx.run(
        "UPDATE ocpi.quarantine SET state = %s, done_at = %s WHERE id = %s",
        state, tx.now, held_id,
    )  # fmt: skip
