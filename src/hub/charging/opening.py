"""A transaction starts: one session per transaction, however often the station says so.

A start is known by its natural key: 2.x by the station's own reference; 1.6 by connector, tag,
timestamp and begin register as sent, since a repeated StartTransaction carries a new message id.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

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
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from hub.charging.model import Authorization, Session, fold_uid
from hub.charging.store import EventRow, Evidence, insert_session, lock_session, update_row
from hub.charging.times import business_time
from hub.kernel import new_id
from hub.runtime import Tx, correlation
from hub.stations import end_reservation

AnyMessage = TransactionStarted | TransactionUpdated | TransactionEnded


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session takes place, and what else stands in its way there."""

    currency: str
    evse_uid: str | None
    location_id: str | None
    time_zone: str
    connector_id: str | None
    tariff_id: str | None
    tariff_version: int | None
    max_electric_power: int | None
    existing: UUID | None
    blocking: list[UUID] | None


_PLACE = """
SELECT coalesce(f.currency, t.currency) AS currency,
  e.uid AS evse_uid, e.location_id, coalesce(e.time_zone, 'UTC') AS time_zone,
  e.connector_id, f.id AS tariff_id, f.version AS tariff_version, e.max_electric_power,
  (SELECT s.id FROM charging.session s
   WHERE s.station_id = %s AND s.natural_key = %s) AS existing,
  (SELECT array_agg(s.id ORDER BY s.id) FROM charging.session s
   WHERE s.station_id = %s AND s.evse = %s AND s.ref IS NULL
     AND s.state IN ('PENDING', 'ACTIVE', 'RESERVATION')) AS blocking
FROM runtime.tenant t
LEFT JOIN stations.v_evse e ON e.station_id = %s AND e.number = %s
LEFT JOIN LATERAL (
  SELECT v.id, v.version, v.currency FROM tariffs.v_tariff v
  WHERE v.tenant_id = t.id AND v.deleted_at IS NULL
    AND (v.is_default OR lower(v.id) = lower(e.tariff_id))
  ORDER BY lower(v.id) = lower(e.tariff_id) DESC NULLS LAST LIMIT 1) f ON true
WHERE t.id = %s
"""


def natural_key(started: TransactionStarted) -> str:
    """What makes a start the same start again, from the message as sent."""
    if started.transaction.ref is not None:
        return f"ref|{started.transaction.ref}"
    tag = fold_uid(started.token.uid) if started.token else ""
    meter = register_text(started.meter_start)
    return f"start|{started.evse}|{started.connector}|{tag}|{started.at.isoformat()}|{meter}"


async def place_of(tx: Tx, station_id: str, evse: int | None, key: str) -> Place:
    """The surroundings of a start, in one statement."""
    found = await tx.one(
        Place, _PLACE, station_id, key, station_id, evse, station_id, evse, tx.tenant
    )
    assert found is not None, "the tenant of a registered station exists"
    return found


def fresh_session(tx: Tx, message: AnyMessage, key: str, place: Place) -> Session:
    """A session that no message has told of before, PENDING, at its place, its tariff frozen."""
    at = business_time(message.at, message.received_at)
    return Session(
        id=new_id(), tenant_id=tx.tenant, station_id=message.station.id, number=0,
        natural_key=key, ref=message.transaction.ref, evse=message.evse,
        connector=message.connector, evse_uid=place.evse_uid, connector_id=place.connector_id,
        location_id=place.location_id, state="PENDING", started_at=at, start_raw=message.at,
        opened_at=tx.now, max_power_w=place.max_electric_power, tariff_id=place.tariff_id,
        tariff_version=place.tariff_version, currency=place.currency, time_zone=place.time_zone,
        trace=correlation(), last_updated=tx.now,
    )  # fmt: skip


async def open_session(
    tx: Tx, started: TransactionStarted, authorization: Authorization | None
) -> StartAnswer:
    """Open the session of a transaction, or find the one that this start has opened before.

    A repeated start gets its first answer again, also after its stop. A refused identifier gets a
    session and a number of its own all the same (OCPP 1.6 §5.11: the energy is honoured and
    flagged). An open 1.6 session on the same connector ends with what its meter last showed: its
    stop is lost (stations queue in order).
    """
    key = natural_key(started)
    place = await place_of(tx, started.station.id, started.evse, key)
    if place.existing is not None:
        return await _started_again(tx, started, authorization, key)
    if place.blocking and started.transaction.ref is None:
        await _end_blocking(tx, place.blocking)
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
    # Imported here: closing folds late messages with this module's functions.
    from hub.charging.closing import close_abandoned_session

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
    from hub.charging.closing import reconsider

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


async def at_place(tx: Tx, was: Session, session: Session) -> Session:
    """``session`` with what its EVSE decides, when a late message named the EVSE first."""
    if session.evse == was.evse or session.evse is None:
        return session
    place = await place_of(tx, session.station_id, session.evse, session.natural_key)
    return replace(
        session, evse_uid=place.evse_uid, connector_id=place.connector_id,
        location_id=place.location_id, time_zone=place.time_zone, tariff_id=place.tariff_id,
        tariff_version=place.tariff_version, currency=place.currency,
        max_power_w=place.max_electric_power,
    )  # fmt: skip


def register_text(value: Decimal | None) -> str:
    """A register as part of a key: the same number reads the same."""
    return "" if value is None else f"{value.normalize():f}"
