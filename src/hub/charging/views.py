"""Sessions as lists: for the API, the console and partners. Single ones: ``store.session``."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from hub.charging.model import Session, fold_uid
from hub.charging.store import COLUMNS
from hub.runtime import Tx


async def sessions(
    tx: Tx, *, before: UUID | None = None, limit: int = 50, station: str | None = None,
    token: str | None = None, state: str | None = None,
) -> list[Session]:  # fmt: skip
    """A page of the tenant's sessions, newest first, from the one before ``before``.

    ``token`` is a uid, as read by the station or as its owner writes it, compared without case.
    """
    key = fold_uid(token) if token is not None else None
    return await tx.all(
        Session,
        f"""SELECT {COLUMNS} FROM charging.session s
            WHERE (%s::uuid IS NULL OR s.id < %s) AND (%s::text IS NULL OR s.station_id = %s)
              AND (%s::text IS NULL OR s.uid_key = %s OR upper(s.token_uid) = %s)
              AND (%s::text IS NULL OR s.state = %s)
            ORDER BY s.id DESC LIMIT %s""",
        before, before, station, station, key, key, key, state, state, limit,
    )  # fmt: skip


async def partner_sessions(
    tx: Tx, partner_id: UUID, *, date_from: datetime | None = None,
    date_to: datetime | None = None, after: tuple[datetime, UUID] | None = None, limit: int = 50,
) -> list[Session]:  # fmt: skip
    """A page of one eMSP's sessions in the order (last_updated, id) (OCPI SE-1).

    Changed in [date_from, date_to) if given; from the one after ``after``.
    """
    at, session_id = after or (None, None)
    return await tx.all(
        Session,
        f"""SELECT {COLUMNS} FROM charging.session s
            WHERE s.partner_id = %s AND (%s::timestamptz IS NULL OR s.last_updated >= %s)
              AND (%s::timestamptz IS NULL OR s.last_updated < %s)
              AND (%s::timestamptz IS NULL OR (s.last_updated, s.id) > (%s, %s))
            ORDER BY s.last_updated, s.id LIMIT %s""",
        partner_id, date_from, date_from, date_to, date_to, at, at, session_id, limit,
    )  # fmt: skip


async def count_partner_sessions(
    tx: Tx, partner_id: UUID, *, date_from: datetime | None = None, date_to: datetime | None = None
) -> int:
    """How many sessions ``partner_sessions`` has in all (X-Total-Count)."""
    return int(
        await tx.value(
            """SELECT count(*) FROM charging.session
               WHERE partner_id = %s AND (%s::timestamptz IS NULL OR last_updated >= %s)
                 AND (%s::timestamptz IS NULL OR last_updated < %s)""",
            partner_id, date_from, date_from, date_to, date_to,
        )
    )  # fmt: skip


async def open_sessions(tx: Tx, station_id: str) -> list[Session]:
    """The sessions that run at a station, oldest first."""
    return await tx.all(
        Session,
        f"""SELECT {COLUMNS} FROM charging.session s
            WHERE s.station_id = %s AND s.state IN ('PENDING', 'ACTIVE', 'RESERVATION')
            ORDER BY s.id""",
        station_id,
    )
