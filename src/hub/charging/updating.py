"""While a transaction runs: 2.x events and meter values, in any order, each kept once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec.structs import replace

from hub.charging.closing import names_nothing, reconsider
from hub.charging.cost import running_price
from hub.charging.energy import Sample, samples
from hub.charging.events import SessionOpened, SessionUpdated
from hub.charging.folding import (
    activated,
    flagged,
    in_state,
    metered,
    placed,
    states_of,
    with_token,
)
from hub.charging.messages import (
    EndAnswer,
    MetersSampled,
    TokenAnswer,
    TransactionUpdated,
)
from hub.charging.model import Authorization, Session
from hub.charging.placing import at_place, fresh_session, place_of
from hub.charging.store import (
    EventRow,
    Evidence,
    Placed,
    insert_readings,
    insert_session,
    lock_session,
    lock_sessions,
    update_progress,
    update_row,
)
from hub.charging.times import business_time
from hub.runtime import Tx

TELL_EVERY: Final = timedelta(seconds=10)
"""A partner hears of a running session at most this often, between its start and its end."""


_SAME_TIME: Final = timedelta(seconds=2)


async def update_session(
    tx: Tx, updated: TransactionUpdated, authorization: Authorization | None
) -> EndAnswer:
    """Take a 2.x Updated event: token, EVSE, state or readings, early, late or again.

    One that overtakes its Started opens the session; one after the Ended is kept and does not
    wake the session up.
    """
    key = f"ref|{updated.transaction.ref}"
    session = await lock_session(tx, _BY["ref"], updated.station.id, key)
    if session is None:
        return await _opened_early(tx, updated, authorization, key)
    was = session
    session = await at_place(tx, was, _fold(session, updated, authorization))
    if session.open:
        session = await running_price(tx, replace(session, suspect_since=None))
    else:
        session = await reconsider(tx, session, updated.seq)
    session = _announce(tx, was, session)
    await update_row(tx, was, replace(session, last_updated=tx.now), _evidence(updated))
    return _answer(updated, session, authorization)


async def record_updates(tx: Tx, updates: Sequence[TransactionUpdated]) -> None:
    """Take Updated events of one 2.x transaction that nobody waits for, in order.

    The same as ``update_session`` for each, with two statements for all of them while the
    session runs.
    """
    first = updates[0]
    key = f"ref|{first.transaction.ref}"
    was = await lock_session(tx, _BY["ref"], first.station.id, key)
    if was is None or not was.open or len(updates) == 1:
        for one in updates:
            await update_session(tx, one, None)
        return
    session = was
    for one in updates:
        session = _fold(session, one, None)
    session = await at_place(tx, was, session)
    evidence = [_evidence(one) for one in updates]
    session = await running_price(
        tx, replace(session, suspect_since=None),
        samples=[sample for one in updates for sample in samples(one.readings)],
        states=[state for one in evidence for state in one.states],
    )  # fmt: skip
    session = replace(_announce(tx, was, session), last_updated=tx.now)
    await update_row(tx, was, session, *evidence)


async def _opened_early(
    tx: Tx, updated: TransactionUpdated, authorization: Authorization | None, key: str
) -> EndAnswer:
    place = await place_of(tx, updated.station.id, updated.evse, key)
    session = fresh_session(tx, updated, key, place)
    session = flagged(_fold(session, updated, authorization), "start_missing")
    if await insert_session(tx, session, _evidence(updated)) is None:
        return await update_session(tx, updated, authorization)
    if session.state == "ACTIVE":
        tx.emit(SessionOpened(session_id=session.id, partner_id=session.partner_id))
    return _answer(updated, session, authorization)


def _fold(
    session: Session, updated: TransactionUpdated, authorization: Authorization | None
) -> Session:
    at = business_time(updated.at, updated.received_at)
    session = placed(session, updated.evse, updated.connector)
    if updated.token is not None:
        session = with_token(session, updated.token.uid, authorization)
    if session.open:
        session = activated(session, authorization, at)
    elif session.end_seq is not None and (updated.seq or 0) > session.end_seq:
        session = flagged(session, "after_end")
    session = in_state(session, updated.charging_state, at)
    if session.open or session.held:
        session = metered(session, samples(updated.readings))
    return replace(
        session,
        seq=max(updated.seq or 0, session.seq or 0),
        remote_start_id=updated.remote_start_id or session.remote_start_id,
    )


def _evidence(updated: TransactionUpdated) -> Evidence:
    at = business_time(updated.at, updated.received_at)
    event = None if updated.seq is None else EventRow(
        seq=updated.seq, kind="Updated", at=updated.at, received_at=updated.received_at,
        trigger=updated.trigger, offline=updated.offline,
    )  # fmt: skip
    return Evidence(
        received_at=updated.received_at, readings=updated.readings, event=event,
        states=states_of(updated.charging_state, at),
    )  # fmt: skip


def _announce(tx: Tx, was: Session, session: Session) -> Session:
    if session.state == "ACTIVE" and was.state == "PENDING":
        tx.emit(SessionOpened(session_id=session.id, partner_id=session.partner_id))
        return replace(session, told_at=tx.now)
    return tell(tx, session) if session.open else session


def tell(tx: Tx, session: Session) -> Session:
    """Tell a roaming session's progress to the rooms above, not more often than ``TELL_EVERY``."""
    if session.partner_id is None or session.state != "ACTIVE":
        return session
    if session.told_at is not None and tx.now - session.told_at < TELL_EVERY:
        return session
    tx.emit(SessionUpdated(session_id=session.id, partner_id=session.partner_id, at=tx.now))
    return replace(session, told_at=tx.now)


def _answer(
    updated: TransactionUpdated, session: Session, authorization: Authorization | None
) -> EndAnswer:
    answer = None
    if updated.token is not None:
        answer = authorization.answer if authorization else session.token_answer
        answer = answer or TokenAnswer(status="Invalid")
    return EndAnswer(token=answer, total_cost=session.price_incl)


async def record_meters(tx: Tx, sampled: Sequence[MetersSampled]) -> int:
    """Store meter values of any number of stations of the tenant; returns how many were new.

    Two or three statements for the whole batch. Each reading goes to the session that the message
    names, to the EVSE's open session when it names none or a placeholder, else to the EVSE alone.
    """
    found = await _sessions_of(tx, sampled)
    only = _only(found, sampled)
    if only is not None:
        return await _record_of(tx, only, sampled)
    placed_readings: list[Placed] = []
    gained: dict[UUID, list[Sample]] = defaultdict(list)
    for message in sampled:
        session = _session_for(found, message)
        placed_readings.extend(
            Placed(session.id if session else None, message.station.id, message.evse,
                   message.received_at, reading)
            for reading in message.readings
        )  # fmt: skip
        if session is not None and session.open:
            gained[session.id].extend(samples(message.readings))
    new = await insert_readings(tx, placed_readings)
    await _advance(tx, found, gained)
    return new


def _only(found: Sequence[Session], sampled: Sequence[MetersSampled]) -> Session | None:
    """The running session to which the whole batch belongs, if there is one."""
    if len(found) != 1 or not found[0].open:
        return None
    (one,) = found
    belong = all(m.evse == one.evse and _session_for(found, m) is one for m in sampled)
    return one if belong else None


async def _record_of(tx: Tx, was: Session, sampled: Sequence[MetersSampled]) -> int:
    found = sorted((s for m in sampled for s in samples(m.readings)), key=lambda s: s.at)
    session = await running_price(tx, metered(was, found), samples=found)
    session = replace(tell(tx, session), suspect_since=None, last_updated=tx.now)
    evidence = [Evidence(received_at=m.received_at, readings=m.readings) for m in sampled]
    return await update_row(tx, was, session, *evidence)


async def _sessions_of(tx: Tx, sampled: Sequence[MetersSampled]) -> list[Session]:
    wanted = {(m.station.id, _names_by(m), _name_of(m)) for m in sampled}
    if len(wanted) == 1:
        # A station's own batch nearly always: a plain key lookup, whatever the planner knows.
        ((station, kind, name),) = wanted
        if kind == "loose":
            return await lock_sessions(tx, _BY[kind], station, name)
        one = await lock_session(tx, _BY[kind], station, name)
        return [] if one is None else [one]
    of_kind: dict[str, list[tuple[str, object]]] = {kind: [] for kind in _BY}
    for station, kind, name in sorted(wanted, key=repr):
        of_kind[kind].append((station, name))
    keys = [column for found in of_kind.values() for column in _columns_of(found)]
    return await lock_sessions(tx, _BY_MANY, *keys)


_BY: Final = {
    "number": "s.station_id = %s AND s.number = %s",
    "ref": "s.station_id = %s AND s.natural_key = %s",
    "loose": """s.station_id = %s AND s.evse = %s AND s.ref IS NULL
      AND s.state IN ('PENDING', 'ACTIVE', 'RESERVATION')""",
}

# One key at a time (OFFSET 0 keeps it so): a join would read all sessions of the tenant whenever
# statistics are missing.
_BY_MANY: Final = """s.id = ANY(ARRAY(
  SELECT found.id FROM unnest(%s::text[], %s::bigint[]) AS n (station_id, name),
    LATERAL (SELECT o.id FROM charging.session o
             WHERE o.number = n.name AND o.station_id = n.station_id OFFSET 0) AS found
  UNION ALL SELECT found.id FROM unnest(%s::text[], %s::text[]) AS n (station_id, name),
    LATERAL (SELECT o.id FROM charging.session o
             WHERE o.station_id = n.station_id AND o.natural_key = n.name OFFSET 0) AS found
  UNION ALL SELECT found.id FROM unnest(%s::text[], %s::int[]) AS n (station_id, name),
    LATERAL (SELECT o.id FROM charging.session o
             WHERE o.station_id = n.station_id AND o.evse = n.name AND o.ref IS NULL
               AND o.state IN ('PENDING', 'ACTIVE', 'RESERVATION') OFFSET 0) AS found))"""


def _columns_of(keys: Sequence[tuple[str, object]]) -> tuple[list[object], list[object]]:
    return [station for station, _ in keys], [name for _, name in keys]


def _name_of(message: MetersSampled) -> int | str:
    transaction = message.transaction
    if transaction is None or _names_by(message) == "loose":
        return message.evse
    return f"ref|{transaction.ref}" if transaction.ref is not None else transaction.number or 0


def _names_by(message: MetersSampled) -> Literal["number", "ref", "loose"]:
    transaction = message.transaction
    if transaction is not None and transaction.ref is not None:
        return "ref"
    if transaction is None or names_nothing(transaction.number):
        return "loose"
    return "number"


def _session_for(found: Sequence[Session], message: MetersSampled) -> Session | None:
    of_station = [one for one in found if one.station_id == message.station.id]
    kind, transaction = _names_by(message), message.transaction
    if kind != "loose" and transaction is not None:
        wanted = transaction.ref if kind == "ref" else transaction.number
        return next(
            (o for o in of_station if wanted == (o.ref if kind == "ref" else o.number)), None
        )
    first = min((business_time(r.at, message.received_at) for r in message.readings), default=None)
    return next(
        (
            one for one in of_station
            if one.open and one.ref is None and one.evse == message.evse
            and first is not None and first >= one.started_at - _SAME_TIME
        ),
        None,
    )  # fmt: skip


async def _advance(tx: Tx, found: Sequence[Session], gained: dict[UUID, list[Sample]]) -> None:
    changed: list[Session] = []
    for session in found:
        if session.id in gained:
            grown = metered(session, sorted(gained[session.id], key=lambda s: s.at))
            changed.append(tell(tx, await running_price(tx, grown)))
    await update_progress(tx, changed)
