"""What a person must look at: orphaned stops, conflicts, held sessions. Each is kept once."""

from __future__ import annotations

from uuid import UUID

import msgspec

from hub.charging.events import SessionClosed
from hub.charging.model import SessionException
from hub.kernel import Conflict, NotFound, encode, new_id
from hub.runtime import Tx

_COLUMNS = ", ".join(SessionException.__struct_fields__)


async def park(
    tx: Tx, kind: str, station_id: str, key: str, *, detail: str,
    session_id: UUID | None = None, message: msgspec.Struct | None = None,
) -> None:  # fmt: skip
    """Put something on the list; the same (kind, station, key) is listed once."""
    await tx.run(
        """INSERT INTO charging.exception
             (id, tenant_id, kind, station_id, session_id, key, detail, message, at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (tenant_id, kind, station_id, key) DO NOTHING""",
        new_id(), tx.tenant, kind, station_id, session_id, key, detail,
        b"{}" if message is None else encode(message), tx.now,
    )  # fmt: skip


async def settle_exceptions(tx: Tx, session_id: UUID, kind: str, resolution: str) -> None:
    """Close a session's exceptions of one kind, because what was missing has arrived."""
    await tx.run(
        """UPDATE charging.exception SET resolved_at = %s, resolution = %s, resolved_by = %s
           WHERE session_id = %s AND kind = %s AND resolved_at IS NULL""",
        tx.now, resolution, tx.actor, session_id, kind,
    )  # fmt: skip


async def exceptions(
    tx: Tx, *, before: UUID | None = None, limit: int = 50, resolved: bool | None = False
) -> list[SessionException]:
    """A page of the list, newest first; ``resolved`` ``None`` shows all."""
    return await tx.all(
        SessionException,
        f"""SELECT {_COLUMNS} FROM charging.exception
            WHERE (%s::uuid IS NULL OR id < %s)
              AND (%s::boolean IS NULL OR (resolved_at IS NOT NULL) = %s)
            ORDER BY id DESC LIMIT %s""",
        before, before, resolved, resolved, limit,
    )  # fmt: skip


async def resolve_exception(tx: Tx, exception_id: UUID, resolution: str) -> None:
    """A person has looked. A session that was held is settled now, as it stands.

    Raises ``NotFound``, and ``Conflict`` when somebody resolved it before.
    """
    found = await tx.row(
        "SELECT session_id, resolved_at FROM charging.exception WHERE id = %s FOR UPDATE",
        exception_id,
    )
    if found is None:
        raise NotFound("exception", str(exception_id))
    if found[1] is not None:
        raise Conflict(f"exception {exception_id} was resolved already")
    await tx.run(
        """UPDATE charging.exception SET resolved_at = %s, resolution = %s, resolved_by = %s
           WHERE id = %s""",
        tx.now, resolution, tx.actor, exception_id,
    )  # fmt: skip
    if found[0] is not None:
        await _release(tx, found[0])


async def _release(tx: Tx, session_id: UUID) -> None:
    released = await tx.row(
        """UPDATE charging.session s SET held = false, last_updated = %s
           WHERE id = %s AND held AND NOT EXISTS (
             SELECT 1 FROM charging.exception e
             WHERE e.session_id = s.id AND e.resolved_at IS NULL)
           RETURNING partner_id, ended_at""",
        tx.now, session_id,
    )  # fmt: skip
    if released is not None:
        tx.emit(SessionClosed(session_id=session_id, partner_id=released[0], at=released[1]))
