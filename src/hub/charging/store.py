"""Sessions, readings and transaction events in and out of Postgres; few statements each.

Only this module writes ``charging.session`` rows whole; every reading is kept exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal
from uuid import UUID

import msgspec

from hub.charging.energy import Sample, samples
from hub.charging.messages import Reading
from hub.charging.model import Session
from hub.kernel import NotFound
from hub.runtime import Tx

_FIXED = ("id", "tenant_id", "station_id", "number", "natural_key", "opened_at", "trace")
_FIELDS = tuple(Session.__struct_fields__)
_MUTABLE = tuple(name for name in _FIELDS if name not in _FIXED)
_INSERTED = tuple(name for name in _FIELDS if name != "number")
COLUMNS = ", ".join(f"s.{name}" for name in _FIELDS)


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A 2.x transaction event as it is remembered for order and gaps."""

    seq: int
    kind: Literal["Started", "Updated", "Ended"]
    at: datetime
    received_at: datetime
    trigger: str | None = None
    offline: bool = False


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived with a message and is stored beside its session."""

    received_at: datetime
    readings: Sequence[Reading] = ()
    event: EventRow | None = None
    states: Sequence[tuple[datetime, str]] = ()


# Readings and the rest ride on the session's own statement: one round trip for all of them.
# What is not there is left out: empty arrays cost as much as full ones, here and in Postgres.
_READING = """,
reading AS (
  INSERT INTO charging.reading (tenant_id, session_id, station_id, evse, received_at, at,
    measurand, phase, context, location, unit, value, signed)
  SELECT s.tenant_id, s.id, s.station_id, s.evse, r.*
  FROM s, unnest(%s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::numeric[], %s::text[]) AS r
  ON CONFLICT DO NOTHING RETURNING 1)"""
_EVENT = """,
event AS (
  INSERT INTO charging.transaction_event
    (tenant_id, session_id, seq, kind, at, received_at, trigger, offline)
  SELECT s.tenant_id, s.id, e.seq, e.kind, e.at, e.received_at, e.trigger, e.offline
  FROM s, unnest(%s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[],
    %s::boolean[]) AS e (seq, kind, at, received_at, trigger, offline)
  ON CONFLICT DO NOTHING)"""
_STATE = """,
state AS (
  INSERT INTO charging.state_change (tenant_id, station_id, evse, session_id, at, state)
  SELECT s.tenant_id, s.station_id, s.evse, s.id, c.at, c.state
  FROM s, unnest(%s::timestamptz[], %s::text[]) AS c (at, state)
  ON CONFLICT DO NOTHING)"""
_USED = """,
used AS (
  UPDATE charging."authorization" a SET session_id = %s
  WHERE a.id = %s AND a.session_id IS NULL AND EXISTS (SELECT 1 FROM s))"""

_RETURNING = "RETURNING id, tenant_id, station_id, evse, number"


# Statements of what is there: the driver keeps those of up to 50 parameters ready.
@lru_cache(maxsize=512)
def _insert_of(names: tuple[str, ...]) -> str:
    return f"""WITH s AS (
      INSERT INTO charging.session ({", ".join(names)}, number)
      VALUES ({", ".join(["%s"] * len(names))}, nextval('charging.transaction_number'))
      ON CONFLICT (station_id, natural_key) DO NOTHING {_RETURNING})"""


@lru_cache(maxsize=512)
def _update_of(names: tuple[str, ...]) -> str:
    sets = ", ".join(f"{name} = %s" for name in names)
    return f"WITH s AS (UPDATE charging.session SET {sets} WHERE id = %s {_RETURNING})"


def _columns_of(readings: Sequence[Reading]) -> list[list[object]]:
    return [
        [r.at for r in readings], [r.measurand for r in readings],
        [r.phase or "" for r in readings], [r.context for r in readings],
        [r.location for r in readings], [r.unit for r in readings],
        [r.value for r in readings], [r.signed for r in readings],
    ]  # fmt: skip


def _beside(
    session: Session, evidence: Sequence[Evidence], *, uses: bool
) -> tuple[str, list[object]]:
    """What rides on a session's statement for ``evidence``, and its parameters."""
    sql, params = "", list[object]()
    told = [(one.received_at, reading) for one in evidence for reading in one.readings]
    if told:
        sql += _READING
        params += [[at for at, _ in told], *_columns_of([reading for _, reading in told])]
    events = [one.event for one in evidence if one.event]
    if events:
        sql += _EVENT
        params += [
            [e.seq for e in events], [e.kind for e in events], [e.at for e in events],
            [e.received_at for e in events], [e.trigger for e in events],
            [e.offline for e in events],
        ]  # fmt: skip
    states = [state for one in evidence for state in one.states]
    if states:
        sql += _STATE
        params += [[at for at, _ in states], [state for _, state in states]]
    if uses and session.authorization_id is not None:
        sql += _USED
        params += [session.id, session.authorization_id]
    return sql, params


async def insert_session(tx: Tx, session: Session, evidence: Evidence) -> int | None:
    """Store a new session and its evidence; its number, or ``None`` when its key is taken."""
    beside, params = _beside(session, [evidence], uses=True)
    names = tuple(name for name in _INSERTED if getattr(session, name) is not None)
    sql = f"{_insert_of(names)}{beside} SELECT number FROM s"
    number = await tx.value(sql, *(getattr(session, name) for name in names), *params)
    return None if number is None else int(number)


async def update_row(tx: Tx, was: Session, session: Session, *evidence: Evidence) -> int:
    """Store what changed in a session since ``was`` was locked, and new evidence.

    Returns how many of its readings were new.
    """
    names = tuple(n for n in _MUTABLE if getattr(session, n) != getattr(was, n))
    uses = session.authorization_id != was.authorization_id
    beside, params = _beside(session, evidence, uses=uses)
    # Its time is written each time: a statement must change something to return its row.
    names = names or ("last_updated",)
    new = "(SELECT count(*) FROM reading)" if any(one.readings for one in evidence) else "0"
    found: int = await tx.value(
        f"{_update_of(names)}{beside} SELECT {new}",
        *(getattr(session, n) for n in names), session.id, *params,
    )  # fmt: skip
    # A stop often follows in the same transaction and asks for it by the same key.
    key = session.number if session.ref is None else session.natural_key
    tx.remember((session.station_id, key), session)
    return found


async def lock_session(tx: Tx, where: str, *params: object) -> Session | None:
    """The session that ``where`` names, locked until the transaction ends."""
    known = tx.recall(params)
    if isinstance(known, Session):
        return known
    return await tx.one(
        Session, f"SELECT {COLUMNS} FROM charging.session s WHERE {where} LIMIT 1 FOR UPDATE",
        *params,
    )  # fmt: skip


async def lock_sessions(tx: Tx, where: str, *params: object) -> list[Session]:
    """The sessions that ``where`` names, locked in one order so that batches cannot deadlock."""
    return await tx.all(
        Session,
        f"SELECT {COLUMNS} FROM charging.session s WHERE {where} ORDER BY s.id FOR UPDATE",
        *params,
    )


async def session(tx: Tx, session_id: UUID) -> Session:
    """One session; ``NotFound`` when the tenant has none of that id."""
    found = await tx.one(
        Session, f"SELECT {COLUMNS} FROM charging.session s WHERE s.id = %s", session_id
    )
    if found is None:
        raise NotFound("session", str(session_id))
    return found


async def readings(tx: Tx, session_id: UUID) -> list[Reading]:
    """Every reading of a session in order of its time."""
    rows = await tx.rows(
        """SELECT at, value, measurand, unit, context, nullif(phase, ''), location, signed
           FROM charging.reading WHERE session_id = %s ORDER BY at, value""",
        session_id,
    )
    return [
        Reading(at=r[0], value=r[1], measurand=r[2], unit=r[3], context=r[4], phase=r[5],
                location=r[6], signed=r[7])
        for r in rows
    ]  # fmt: skip


async def samples_of(tx: Tx, session_id: UUID) -> list[Sample]:
    """The import register over a session, from every stored reading."""
    return samples(await readings(tx, session_id))


_READINGS = """INSERT INTO charging.reading (tenant_id, session_id, station_id, evse, at,
    measurand, phase, context, location, unit, value, signed, received_at)
  SELECT %s, r.session_id, r.station_id, r.evse, r.at, r.measurand, r.phase, r.context,
    r.location, r.unit, r.value, r.signed, r.received_at
  FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::timestamptz[], %s::timestamptz[],
    %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::text[])
    AS r (session_id, station_id, evse, received_at, at, measurand, phase, context, location,
      unit, value, signed)
  ON CONFLICT DO NOTHING"""


class Placed(msgspec.Struct, frozen=True):
    """A reading with the session (if any) and the EVSE it belongs to."""

    session_id: UUID | None
    station_id: str
    evse: int
    received_at: datetime
    reading: Reading


async def insert_readings(tx: Tx, placed: Sequence[Placed]) -> int:
    """Store readings in one statement; returns how many were new."""
    if not placed:
        return 0
    return await tx.run(
        _READINGS, tx.tenant, [p.session_id for p in placed], [p.station_id for p in placed],
        [p.evse for p in placed], [p.received_at for p in placed],
        *_columns_of([p.reading for p in placed]),
    )  # fmt: skip


_PROGRESSES = (
    "energy_wh", "meter_start", "meter_start_at", "meter_start_sure", "meter_seen",
    "meter_seen_at", "flags", "price_excl", "price_incl", "priced_at", "told_at",
    "suspect_since", "last_updated",
)  # fmt: skip
_PROGRESS = f"""UPDATE charging.session
  SET {", ".join(f"{name} = %s" for name in _PROGRESSES)} WHERE id = %s"""


async def update_progress(tx: Tx, changed: Sequence[Session]) -> None:
    """Store what meter values change in sessions, many in one statement."""
    if not changed:
        return
    if len(changed) == 1:
        (one,) = changed
        values = msgspec.structs.replace(one, suspect_since=None, last_updated=tx.now)
        await tx.run(_PROGRESS, *(getattr(values, name) for name in _PROGRESSES), one.id)
        return
    await tx.run(
        """UPDATE charging.session s SET energy_wh = u.wh, meter_start = u.start,
             meter_start_at = u.start_at, meter_start_sure = u.sure, meter_seen = u.seen,
             meter_seen_at = u.seen_at, flags = string_to_array(u.flags, ','),
             price_excl = u.price_excl, price_incl = u.price_incl, priced_at = u.priced_at,
             told_at = u.told_at, suspect_since = NULL, last_updated = %s
           FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[], %s::timestamptz[],
             %s::boolean[], %s::numeric[], %s::timestamptz[], %s::text[], %s::numeric[],
             %s::numeric[], %s::timestamptz[], %s::timestamptz[])
             AS u (id, wh, start, start_at, sure, seen, seen_at, flags, price_excl, price_incl,
               priced_at, told_at)
           WHERE s.id = u.id""",
        tx.now, [s.id for s in changed], [s.energy_wh for s in changed],
        [s.meter_start for s in changed], [s.meter_start_at for s in changed],
        [s.meter_start_sure for s in changed], [s.meter_seen for s in changed],
        [s.meter_seen_at for s in changed], [",".join(s.flags) for s in changed],
        [s.price_excl for s in changed], [s.price_incl for s in changed],
        [s.priced_at for s in changed], [s.told_at for s in changed],
    )  # fmt: skip
