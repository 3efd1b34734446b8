"""A transaction ends: once, on the station's registers, whatever was lost or repeated.

What cannot be attributed is parked for a person and still answered; another station's
transaction is never touched.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from hub.charging.cost import priced
from hub.charging.energy import Sample, begin_of, final_energy, samples
from hub.charging.events import SessionClosed, SessionUpdated
from hub.charging.exceptions import park, settle_exceptions
from hub.charging.folding import (
    concluded,
    flagged,
    metered,
    placed,
    progress_of,
    stop_register,
    unflagged,
    with_token,
)
from hub.charging.messages import EndAnswer, TokenAnswer, TransactionEnded
from hub.charging.model import Session, fold_uid
from hub.charging.placing import at_place, fresh_session, place_of, register_text
from hub.charging.store import (
    EventRow,
    Evidence,
    insert_session,
    lock_session,
    lock_sessions,
    samples_of,
    update_row,
)
from hub.charging.times import ended_time
from hub.runtime import Tx

_MAX_NUMBER = 2**31 - 1

# What a recomputed end decides anew.
_END_FLAGS = (
    "no_meter", "no_stop_meter", "no_start_meter", "register_reset", "implausible_energy",
    "unauthorised_energy", "event_gap",
)  # fmt: skip


async def close_session(tx: Tx, ended: TransactionEnded) -> EndAnswer:
    """End the session of a transaction on its stop register; always answers (OCPP 1.6 §4.10).

    Repeated ends change nothing; one that contradicts the first is flagged and listed. An end
    without its start makes a session that is held until the start arrives or a person decides;
    an end that names nothing of this station is listed as an orphan.
    """
    session = await _session_of(tx, ended)
    if session is None:
        session = await _end_without_start(tx, ended)
        return await _answer(tx, ended, session)
    if session.open:
        session = await _end(tx, session, ended)
    elif "abandoned" in session.flags:
        session = await _end_after_estimate(tx, session, ended)
    else:
        session = await _ended_again(tx, session, ended)
    return await _answer(tx, ended, session)


def names_nothing(number: int | None) -> bool:
    """Whether a 1.6 transaction id is one that no central system gives (-1, 0, overflown)."""
    return number is None or not 1 <= number <= _MAX_NUMBER


async def _session_of(tx: Tx, ended: TransactionEnded) -> Session | None:
    station, number, ref = ended.station.id, ended.transaction.number, ended.transaction.ref
    if ref is not None:
        return await lock_session(
            tx, "s.station_id = %s AND s.natural_key = %s", station, f"ref|{ref}"
        )
    if names_nothing(number):
        return await _unnamed(tx, ended)
    return await lock_session(tx, "s.station_id = %s AND s.number = %s", station, number)


async def _unnamed(tx: Tx, ended: TransactionEnded) -> Session | None:
    """The session that an end without a usable id means: repeated, of its tag, or the only one."""
    again = await lock_session(
        tx, "s.station_id = %s AND s.stop_raw = %s AND s.meter_stop IS NOT DISTINCT FROM %s",
        ended.station.id, ended.at, ended.meter_stop,
    )  # fmt: skip
    if again is not None:
        return again
    found = await lock_sessions(
        tx, "s.station_id = %s AND s.ref IS NULL AND s.state IN ('PENDING', 'ACTIVE')",
        ended.station.id,
    )  # fmt: skip
    return meant(found, ended)


def meant(found: list[Session], ended: TransactionEnded) -> Session | None:
    """Which of a station's open 1.6 sessions an end without a usable id means, if one is clear.

    A refused session goes first: stations end those with -1 while the accepted one goes on.
    """
    fitting = [
        one for one in found
        if ended.meter_stop is None or one.meter_start is None
        or one.meter_start <= ended.meter_stop
    ]  # fmt: skip
    if ended.evse is not None:
        fitting = [one for one in fitting if one.evse == ended.evse]
    if ended.token is not None:
        key = fold_uid(ended.token.uid)
        fitting = [one for one in fitting if one.uid_key == key]
    refused = [one for one in fitting if one.auth_status != "Accepted"]
    for choice in (refused, fitting):
        if len(choice) == 1:
            return choice[0]
    return None


async def _end(tx: Tx, session: Session, ended: TransactionEnded) -> Session:
    was = session
    session = await _with_end(tx, session, ended)
    await _write_end(tx, was, session, ended)
    return session


async def _with_end(tx: Tx, session: Session, ended: TransactionEnded) -> Session:
    was = session
    session = placed(session, ended.evse, ended.connector)
    session = await at_place(tx, was, session)
    if ended.token is not None and session.uid is None:
        session = with_token(session, ended.token.uid, None)
    found = samples(ended.readings)
    # A lone sample of the end says nothing about the begin.
    session = metered(session, found, begins=len(found) > 1)
    stop, _ = stop_register(ended.meter_stop, found)
    at = ended_time(
        ended.at, ended.received_at, start_raw=session.start_raw, started_at=session.started_at
    )
    session = replace(
        session, ended_at=at, stop_raw=ended.at, closed_at=session.closed_at or tx.now,
        meter_stop=stop, stop_reason=ended.reason or session.stop_reason or "Local",
        end_seq=ended.seq, last_updated=tx.now,
    )  # fmt: skip
    session = await _final(tx, session, _missing_events(await _gap(tx, session, ended)), found)
    # 2.x is told the total in the answer; a 1.6 station is not waiting for a price.
    return session if session.ref is None else await priced(tx, session, samples=found)


def _missing_events(gap: bool) -> frozenset[str]:
    return frozenset({"event_gap"}) if gap else frozenset()


async def _gap(tx: Tx, session: Session, ended: TransactionEnded) -> bool:
    """Whether events of a 2.x transaction are missing that could still tell its end register."""
    if ended.seq is None or session.meter_stop is not None:
        return False
    return await _misses_events(tx, session, ended.seq)


async def _misses_events(
    tx: Tx, session: Session, end_seq: int, arriving: int | None = None
) -> bool:
    rows = await tx.rows(
        "SELECT seq FROM charging.transaction_event WHERE session_id = %s AND seq < %s",
        session.id, end_seq,
    )  # fmt: skip
    stored = {row[0] for row in rows}
    if arriving is not None and arriving < end_seq:
        stored.add(arriving)
    return len(stored) < end_seq - min(stored, default=end_seq)


async def _final(tx: Tx, session: Session, more: frozenset[str], found: list[Sample]) -> Session:
    """``session`` with its final energy and whether it must be held, from all that is known."""
    progress = progress_of(session)
    if session.meter_stop is not None and (session.meter_start or 0) > session.meter_stop:
        found = sorted([*await samples_of(tx, session.id), *found], key=lambda s: s.at)
    result = final_energy(progress, session.meter_stop, found)
    session = replace(unflagged(session, *_END_FLAGS), held=False, estimated=False)
    session = concluded(session, result)
    session = flagged(session, *more)
    if "start_missing" in session.flags or more:
        session = replace(session, held=True)
    return session


async def _write_end(tx: Tx, was: Session, session: Session, ended: TransactionEnded) -> None:
    await update_row(tx, was, session, _evidence(ended))
    await _announce_end(tx, session)


async def _announce_end(tx: Tx, session: Session) -> None:
    """Tell the rooms above, or list the session when it is held; list what is remarkable."""
    if session.held:
        await park(
            tx, "held_session", session.station_id, str(session.id), session_id=session.id,
            detail=f"ended, but {', '.join(session.flags)}: settle it as it stands or wait",
        )  # fmt: skip
        return
    if session.ended_at is not None:
        tx.emit(
            SessionClosed(session_id=session.id, partner_id=session.partner_id, at=session.ended_at)
        )
    if "unauthorised_energy" in session.flags:
        await park(
            tx, "unauthorised_energy", session.station_id, str(session.id), session_id=session.id,
            detail=f"{session.energy_wh} Wh, identifier {session.auth_status or 'none'}",
        )  # fmt: skip


def _evidence(ended: TransactionEnded) -> Evidence:
    event = None if ended.seq is None else EventRow(
        seq=ended.seq, kind="Ended", at=ended.at, received_at=ended.received_at,
        trigger=ended.trigger, offline=ended.offline,
    )  # fmt: skip
    return Evidence(received_at=ended.received_at, readings=ended.readings, event=event)


async def _ended_again(tx: Tx, session: Session, ended: TransactionEnded) -> Session:
    """A second end: the first one stands; what contradicts it is flagged and listed."""
    stop, _ = stop_register(ended.meter_stop, samples(ended.readings))
    was = session
    differs = stop is not None and session.meter_stop is not None and stop != session.meter_stop
    if session.held and session.meter_stop is None and stop is not None:
        return await _end(tx, session, ended)
    if differs:
        session = flagged(session, "stop_conflict")
        await park(
            tx, "stop_conflict", session.station_id, f"{session.id}|{register_text(stop)}",
            session_id=session.id, message=ended,
            detail=f"ended at {session.meter_stop} Wh, a later stop says {stop} Wh: first kept",
        )  # fmt: skip
    await update_row(tx, was, session, _evidence(ended))
    return session


async def _end_after_estimate(tx: Tx, session: Session, ended: TransactionEnded) -> Session:
    """The true end of a session that was closed on an estimate: the registers win."""
    was, estimate = session, session.energy_wh
    session = unflagged(replace(session, estimated=False, stop_reason=None), "abandoned")
    session = flagged(await _with_end(tx, session, ended), "corrected")
    await update_row(tx, was, session, _evidence(ended))
    if session.energy_wh != estimate:
        await park(
            tx,
            "late_stop",
            session.station_id,
            str(session.id),
            session_id=session.id,
            message=ended,
            detail=f"closed on {estimate} Wh, the stop that came later proves "
            f"{session.energy_wh} Wh: credit and bill anew if it was billed",
        )
    if session.partner_id is not None:
        tx.emit(SessionUpdated(session_id=session.id, partner_id=session.partner_id, at=tx.now))
    return session


async def _end_without_start(tx: Tx, ended: TransactionEnded) -> Session | None:
    """An end that names no session of this station: keep what it proves, or park it."""
    begin = begin_of(samples(ended.readings))
    number, ref = ended.transaction.number, ended.transaction.ref
    foreign = ref is None and not names_nothing(number) and await _is_foreign(tx, ended)
    # The energy of an own transaction can be told when the message carries both registers.
    if foreign or (ref is None and begin is None):
        await park(
            tx, "foreign_stop" if foreign else "orphan_stop", ended.station.id,
            f"{number}|{ended.at.isoformat()}|{register_text(ended.meter_stop)}", message=ended,
            detail=f"stop of transaction {number} that this station never started"
            + (": it is another station's (security)" if foreign else ""),
        )  # fmt: skip
        return None
    key = f"ref|{ref}" if ref is not None else (
        f"stop|{number}|{ended.at.isoformat()}|{register_text(ended.meter_stop)}"
    )  # fmt: skip
    place = await place_of(tx, ended.station.id, ended.evse, key)
    if place.existing is not None:
        return await lock_session(tx, "s.id = %s", place.existing)
    session = fresh_session(tx, ended, key, place)
    return await _insert_ended(tx, _begun_at(session, begin), ended)


def _begun_at(session: Session, begin: Sample | None) -> Session:
    started_at = min(begin.at, session.started_at) if begin is not None else session.started_at
    return flagged(replace(session, started_at=started_at), "incomplete", "start_missing")


async def _insert_ended(tx: Tx, session: Session, ended: TransactionEnded) -> Session | None:
    session = await _with_end(tx, await _adopted(tx, session, ended), ended)
    number = await insert_session(tx, session, _evidence(ended))
    if number is None:
        return await lock_session(
            tx, "s.station_id = %s AND s.natural_key = %s", session.station_id, session.natural_key
        )
    await _announce_end(tx, session)
    return session


async def _adopted(tx: Tx, session: Session, ended: TransactionEnded) -> Session:
    """``session`` with the token that its identifier stands for, if exactly one token has it."""
    if ended.token is None:
        return session
    session = with_token(session, ended.token.uid, None)
    rows = await tx.rows(
        """SELECT uid, type, contract_id, country_code, party_id, partner_id, group_id
           FROM charging.token WHERE tenant_id = %s AND uid_key = %s""",
        tx.tenant, session.uid_key,
    )  # fmt: skip
    if len(rows) != 1:
        return session
    uid, kind, contract, country, party, partner, group = rows[0]
    return replace(
        session, token_uid=uid, token_type=kind, contract_id=contract, token_country_code=country,
        token_party_id=party, partner_id=partner, group_id=group,
    )  # fmt: skip


async def _is_foreign(tx: Tx, ended: TransactionEnded) -> bool:
    return bool(
        await tx.value(
            "SELECT 1 FROM charging.session WHERE number = %s AND station_id <> %s LIMIT 1",
            ended.transaction.number, ended.station.id,
        )
    )  # fmt: skip


async def reconsider(tx: Tx, session: Session, arriving: int | None) -> Session:
    """An ended session after a late message: a held one may be complete now and is settled then.

    The caller stores the session and the message, whose number is ``arriving``.
    """
    if session.open or not session.held:
        return session
    gap = (
        session.end_seq is not None
        and session.meter_stop is None
        and await _misses_events(tx, session, session.end_seq, arriving)
    )
    found = await samples_of(tx, session.id)
    session = await _final(tx, session, _missing_events(gap), found)
    session = await priced(tx, session)
    if not session.held and session.ended_at is not None:
        session = unflagged(session, "incomplete")
        await settle_exceptions(tx, session.id, "held_session", "what was missing has arrived")
        await _announce_end(tx, session)
    return session


async def close_abandoned_session(tx: Tx, session_id: UUID) -> bool:
    """End a session whose station will not: with what its meter last showed, as an estimate.

    ``False`` when it has ended already.
    """
    session = await lock_session(tx, "s.id = %s", session_id)
    if session is None or not session.open:
        return False
    was = session
    at = max(session.started_at, session.meter_seen_at or session.suspect_since or tx.now)
    session = replace(
        session, ended_at=at, closed_at=tx.now, stop_reason="PowerLoss", estimated=True,
        last_updated=tx.now,
    )  # fmt: skip
    session = concluded(session, final_energy(progress_of(session), None, ()))
    session = await priced(tx, flagged(session, "abandoned"))
    await update_row(tx, was, session, Evidence(received_at=tx.now))
    await _announce_end(tx, session)
    return True


async def _answer(tx: Tx, ended: TransactionEnded, session: Session | None) -> EndAnswer:
    cost = session.price_incl if session is not None and session.ref is not None else None
    if ended.token is None:
        return EndAnswer(total_cost=cost)
    key = fold_uid(ended.token.uid)
    if session is not None and session.uid_key == key and session.token_answer is not None:
        return EndAnswer(token=session.token_answer, total_cost=cost)
    return EndAnswer(token=await _stopping_token(tx, key), total_cost=cost)


async def _stopping_token(tx: Tx, key: str) -> TokenAnswer:
    """What to tell about an identifier that stops: whether any token of it is valid."""
    rows: list[tuple[bool, datetime | None, str | None]] = await tx.rows(
        """SELECT valid, expires_at, group_id FROM charging.token
           WHERE tenant_id = %s AND uid_key = %s ORDER BY valid DESC""",
        tx.tenant,
        key,
    )
    for valid, expires_at, group in rows:
        if expires_at is not None and expires_at <= tx.now:
            return TokenAnswer(status="Expired", expires_at=expires_at, group=group)
        return TokenAnswer(status="Accepted" if valid else "Blocked", group=group)
    return TokenAnswer(status="Invalid")
