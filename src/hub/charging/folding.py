"""How messages change a session: pure, and the same whatever their order and repetition.

Folding a message twice changes nothing; a late one fills in what was missing. 2.x transactions
need no more than this, since the station's own reference names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from hub.charging.energy import (
    Progress,
    Result,
    Sample,
    advanced,
    begin_of,
    begun,
    ceiling_wh,
    end_of,
)
from hub.charging.model import Authorization, Session, fold_uid

_METER_FLAGS = frozenset({"session_relative", "meter_jump"})


def flagged(session: Session, *flags: str) -> Session:
    """``session`` with more flags, in a stable order."""
    return replace(session, flags=sorted({*session.flags, *flags}))


def unflagged(session: Session, *flags: str) -> Session:
    """``session`` without these flags."""
    return replace(session, flags=[flag for flag in session.flags if flag not in flags])


def with_token(session: Session, uid: str, authorization: Authorization | None) -> Session:
    """``session`` with the identifier that was presented and what was decided about it.

    An accepted identifier is not replaced by a later one (a stop by another card of the group).
    """
    if session.auth_status == "Accepted":
        return session
    if authorization is None:
        return replace(session, uid=uid, uid_key=fold_uid(uid)) if session.uid is None else session
    changed = replace(
        session,
        uid=uid,
        uid_key=fold_uid(uid),
        token_uid=authorization.token_uid,
        token_type=authorization.token_type,
        contract_id=authorization.contract_id,
        token_country_code=authorization.country_code,
        token_party_id=authorization.party_id,
        partner_id=authorization.partner_id,
        group_id=authorization.group,
        auth_status=authorization.status,
        auth_method=authorization.auth_method,
        authorization_id=authorization.id,
        authorization_reference=authorization.authorization_reference,
    )
    if authorization.accepted:
        return unflagged(changed, "refused_token")
    return flagged(changed, "refused_token")


def activated(session: Session, authorization: Authorization | None, at: datetime) -> Session:
    """``session`` after a message at ``at``, with the authorisation it brought, if any.

    It is PENDING until an identifier is accepted, and starts at that moment (OCPI SE-4).
    """
    accepted = authorization is not None and authorization.accepted
    if session.state == "PENDING" and accepted:
        return replace(session, state="ACTIVE", started_at=at)
    if session.state == "PENDING" or accepted:
        return replace(session, started_at=min(session.started_at, at))
    return session


def placed(session: Session, evse: int | None, connector: int | None) -> Session:
    """``session`` at its EVSE, which 2.x may name late and only once."""
    return replace(
        session,
        evse=evse if session.evse is None else session.evse,
        connector=connector if session.connector is None else session.connector,
    )


def in_state(session: Session, state: str | None, at: datetime) -> Session:
    """``session`` with its newest charging state."""
    known = session.charging_state_at
    if state is None or (known is not None and at < known):
        return session
    return replace(session, charging_state=state, charging_state_at=at)


def progress_of(session: Session) -> Progress:
    """What is known of a session's registers."""
    return Progress(
        start=session.meter_start, start_at=session.meter_start_at,
        sure=session.meter_start_sure, seen=session.meter_seen, seen_at=session.meter_seen_at,
        wh=session.energy_wh, flags=frozenset(session.flags) & _METER_FLAGS,
    )  # fmt: skip


def with_progress(session: Session, progress: Progress) -> Session:
    """``session`` with its registers as far as they are known."""
    return flagged(
        replace(
            session, meter_start=progress.start, meter_start_at=progress.start_at,
            meter_start_sure=progress.sure, meter_seen=progress.seen,
            meter_seen_at=progress.seen_at, energy_wh=progress.wh,
        ),
        *progress.flags,
    )  # fmt: skip


def metered(session: Session, found: Sequence[Sample], *, begins: bool = True) -> Session:
    """``session`` after samples: its begin register if they tell one, and how far it has come.

    ``begins``: the earliest sample may stand for the begin register until a better one comes.
    """
    if not found:
        return session
    progress = progress_of(session)
    begin = begin_of(found)
    if begin is not None:
        progress = begun(progress, begin, sure=True)
    elif begins:
        progress = begun(progress, found[0], sure=False)
    progress = advanced(progress, found, since=session.started_at, max_power_w=session.max_power_w)
    return with_progress(session, progress)


def started_at_meter(session: Session, at: datetime, meter_start: Decimal | None) -> Session:
    """``session`` with the begin register that the station stated in its start message."""
    if meter_start is None:
        return session
    return with_progress(session, begun(progress_of(session), Sample(at, meter_start), sure=True))


def stop_register(
    meter_stop: Decimal | None, found: Sequence[Sample]
) -> tuple[Decimal | None, bool]:
    """The end register of an end message, and whether the station stated it as such.

    In order: ``meter_stop``, a sample with context Transaction.End, the message's last sample.
    """
    if meter_stop is not None:
        return meter_stop, True
    end = end_of(found)
    if end is not None:
        return end.wh, True
    return (found[-1].wh, False) if found else (None, False)


def concluded(session: Session, result: Result) -> Session:
    """``session``, whose end is noted, with its final energy and state.

    Refused or missing identifiers: energy that flowed is honoured and flagged, a session without
    any is INVALID (OCPI: never billed). More energy than the EVSE can deliver is held for a
    person, before anybody is billed for a broken register.
    """
    wanted = session.auth_status == "Accepted"
    wh = result.wh
    changed = replace(
        session,
        state="COMPLETED" if wanted or wh > 0 else "INVALID",
        energy_wh=wh,
        estimated=session.estimated or result.estimated,
        held=session.held or result.held,
        suspect_since=None,
    )
    flags = set(result.flags)
    if not wanted and wh > 0:
        flags.add("unauthorised_energy")
    if changed.ended_at is not None and wh > ceiling_wh(
        changed.started_at, changed.ended_at, changed.max_power_w
    ):
        flags.add("implausible_energy")
        changed = replace(changed, held=True)
    return flagged(changed, *flags)


def states_of(session_state: str | None, at: datetime) -> list[tuple[datetime, str]]:
    """The state change that a message reports, as stored."""
    return [] if session_state is None else [(at, session_state)]
