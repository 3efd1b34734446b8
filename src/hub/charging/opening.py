"""A transaction starts: one session per transaction, however often the station says so.

A start is known by its natural key: 2.x by the station's own reference; 1.6 by connector, tag,
timestamp and begin register as sent, since a repeated StartTransaction carries a new message id.
"""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from hub.charging.closing import close_abandoned_session, reconsider
from hub.charging.energy import samples
from hub.charging.events import SessionOpened, SessionUpdated
from hub.charging.folding import (
    activated,
    flagged,
    in_state,
    metered,
    placed,
    started_at_meter,
    states_of,
    unflagged,
    with_token,
)
from hub.charging.messages import (
    StartAnswer,
    TokenAnswer,
    TransactionStarted,
)
from hub.charging.model import Authorization, Session, fold_uid
from hub.charging.placing import at_place, fresh_session, place_of, register_text
from hub.charging.store import EventRow, Evidence, insert_session, lock_session, update_row
from hub.charging.times import business_time
from hub.charging.watch import doubt_overtaken
from hub.runtime import Tx
from hub.stations import end_reservation


def natural_key(started: TransactionStarted) -> str:
    """What makes a start the same start again, from the message as sent."""
    if started.transaction.ref is not None:
        return f"ref|{started.transaction.ref}"
    tag = fold_uid(started.token.uid) if started.token else ""
    meter = register_text(started.meter_start)
    return f"start|{started.evse}|{started.connector}|{tag}|{started.at.isoformat()}|{meter}"


async def open_session(
    tx: Tx, started: TransactionStarted, authorization: Authorization | None
) -> StartAnswer:
    """Open the session of a transaction, or find the one that this start has opened before.

    A repeated start gets its first answer again, also after its stop. A refused identifier gets a
    session and a number of its own all the same (OCPP 1.6 §5.11: the energy is honoured and
    flagged). An open 1.6 session on the same connector ends with what its meter last showed: its
    stop is lost (stations queue in order). A 2.x one is only doubted: its end may come later.
    """
    key = natural_key(started)
    place = await place_of(tx, started.station.id, started.evse, key)
    if place.existing is not None:
        return await _started_again(tx, started, authorization, key)
    if place.blocking and started.transaction.ref is None:
        await _end_blocking(tx, place.blocking)
    elif place.blocking:
        await doubt_overtaken(tx, place.blocking)
    session = fresh_session(tx, started, key, place)
    session = _fold(session, started, authorization)
    number = await insert_session(tx, session, _evidence(started))
    if number is None:
        return await _started_again(tx, started, authorization, key)
    if started.reservation is not None:
        await end_reservation(tx, started.station.id, started.reservation, "USED")
    if session.state == "ACTIVE":
        tx.emit(SessionOpened(session_id=session.id, partner_id=session.partner_id))
    return StartAnswer(number=number, token=_answer(started, session, authorization))


async def _end_blocking(tx: Tx, blocking: list[UUID]) -> None:
    for session_id in blocking:
        await close_abandoned_session(tx, session_id)


def _fold(
    session: Session, started: TransactionStarted, authorization: Authorization | None
) -> Session:
    at = business_time(started.at, started.received_at)
    if started.token is not None:
        session = with_token(session, started.token.uid, authorization)
    session = placed(session, started.evse, started.connector)
    if session.open:
        session = activated(session, authorization, at)
    elif "start_missing" in session.flags:
        session = replace(session, started_at=min(session.started_at, at))
    session = in_state(session, started.charging_state, at)
    session = started_at_meter(session, at, started.meter_start)
    session = metered(session, samples(started.readings))
    if at != started.at:
        session = flagged(session, "clock_wrong")
    if started.offline:
        session = flagged(session, "offline_start")
    return replace(
        unflagged(session, "start_missing"), start_raw=started.at,
        seq=max(started.seq or 0, session.seq or 0) if started.seq is not None else session.seq,
        reservation=started.reservation or session.reservation,
        remote_start_id=started.remote_start_id or session.remote_start_id,
    )  # fmt: skip


def _evidence(started: TransactionStarted) -> Evidence:
    at = business_time(started.at, started.received_at)
    event = None if started.seq is None else EventRow(
        seq=started.seq, kind="Started", at=started.at, received_at=started.received_at,
        trigger=started.trigger, offline=started.offline,
    )  # fmt: skip
    return Evidence(
        received_at=started.received_at, readings=started.readings, event=event,
        states=states_of(started.charging_state, at),
    )  # fmt: skip


def _answer(
    started: TransactionStarted, session: Session, authorization: Authorization | None
) -> TokenAnswer | None:
    if started.token is None:
        return None
    if session.token_answer is not None:
        return session.token_answer
    return authorization.answer if authorization else TokenAnswer(status="Invalid")


async def _started_again(
    tx: Tx, started: TransactionStarted, authorization: Authorization | None, key: str
) -> StartAnswer:
    session = await lock_session(
        tx, "s.station_id = %s AND s.natural_key = %s", started.station.id, key
    )
    assert session is not None, "its natural key is taken"
    if started.transaction.ref is None:
        return StartAnswer(number=session.number, token=session.token_answer)
    was = session
    session = _fold(session, started, authorization)
    session = await at_place(tx, was, session)
    session = await reconsider(tx, session, started.seq)
    if session != was:
        _tell(tx, was, session)
    await update_row(tx, was, replace(session, last_updated=tx.now), _evidence(started))
    return StartAnswer(number=session.number, token=_answer(started, session, authorization))


def _tell(tx: Tx, was: Session, now: Session) -> None:
    if now.state == "ACTIVE" and was.state == "PENDING":
        tx.emit(SessionOpened(session_id=now.id, partner_id=now.partner_id))
    elif now.partner_id is not None and now.open:
        tx.emit(SessionUpdated(session_id=now.id, partner_id=now.partner_id, at=tx.now))
