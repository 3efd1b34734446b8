"""Issuing, crediting and reading CDRs. Record, posting and event are one commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from hub.charging.cost import note_price
from hub.charging.events import SessionClosed
from hub.kernel import InvalidValue, NotFound, decode, encode
from hub.ledger import post_many, reverse
from hub.runtime import Tx, job
from hub.settlement.billing import HeldBack, billable_of, closed_session, periods_of
from hub.settlement.building import cdr_of, credit_of
from hub.settlement.events import CdrIssued
from hub.settlement.model import Cdr, Held
from hub.settlement.postings import entry_of, receivable
from hub.tariffs import Priced, load_tariff, price

NOTHING_CHARGED = "nothing was charged"


@job("settlement.issue_cdr", SessionClosed, key=lambda closed: str(closed.session_id))
async def issue_cdr(tx: Tx, closed: SessionClosed) -> None:
    """Price a closed session, store its CDR, post it, tell of it; once per session.

    A session that cannot be billed as it stands is held with the reason and billed when it is
    closed again, complete.
    """
    if await _cdr_of_session(tx, str(closed.session_id)):
        return
    try:
        session = await closed_session(tx, closed.session_id)
        if session.state == "INVALID":
            return  # OCPI 2.2.1 mod_sessions SessionStatus: never billed, so nothing to look at
        billable = await billable_of(tx, session)
        tariff = await load_tariff(tx, session.tariff_id or "", session.tariff_version)
        priced = price(tariff, await periods_of(tx, session), time_zone=session.time_zone)
        if priced.energy_wh != session.energy_wh:
            raise HeldBack(f"periods have {priced.energy_wh} Wh, the session {session.energy_wh}")
    except (HeldBack, InvalidValue) as held:
        # ``InvalidValue``: quantities or an hour that no tariff can price, however often it tries.
        await _hold(tx, closed.session_id, str(held))
        return
    cdr = cdr_of(billable, tariff, priced, tx.now)
    await store_cdrs(tx, [(cdr, priced)])
    await note_price(tx, session.id, cdr.total_cost.excl_vat, cdr.total_cost.incl_vat)
    await tx.run(
        "UPDATE settlement.held SET resolved_at = %s WHERE tenant_id = %s AND session_id = %s",
        tx.now, tx.tenant, closed.session_id,
    )  # fmt: skip
    tx.emit(CdrIssued(cdr_id=UUID(cdr.id), partner_id=cdr.partner_id))


async def store_cdrs(tx: Tx, priced_cdrs: Sequence[tuple[Cdr, Priced]]) -> None:
    """Post and store new CDRs with two statements; a session that has one already fails all."""
    entries = [entry_of(cdr, priced) for cdr, priced in priced_cdrs]
    posted = iter(await post_many(tx, [entry for entry in entries if entry]))
    rows = []
    for (cdr, priced), entry in zip(priced_cdrs, entries, strict=True):
        txn_id = next(posted).id if entry else None
        rows.append(_row(tx, cdr, priced.total_incl.minor(), txn_id, None))
    await tx.run_many(_INSERT, rows)


async def credit_cdr(tx: Tx, cdr_id: UUID, reason: str) -> Cdr:
    """Credit a CDR in whole: a credit CDR, the reversing entry and the event, in one commit.

    A CDR is credited once; asking again answers the credit that exists. Raises ``NotFound`` for
    a CDR that is not ours or is a credit itself.
    """
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", f"settlement.credit:{cdr_id}"
    )
    original = await tx.row(
        "SELECT body, txn_id, minor_incl FROM settlement.cdr WHERE id = %s AND NOT credit", cdr_id
    )
    if original is None:
        raise NotFound("CDR to credit", str(cdr_id))
    body, txn_id, minor = original
    before = await tx.value("SELECT body FROM settlement.cdr WHERE credits_id = %s", cdr_id)
    if before is not None:
        return decode(before, Cdr)
    credit = credit_of(decode(body, Cdr), reason, tx.now)
    reversal = (await reverse(tx, txn_id, f"credit CDR {credit.id}")).id if txn_id else None
    await tx.run_many(_INSERT, [_row(tx, credit, -minor, reversal, cdr_id)])
    tx.emit(CdrIssued(cdr_id=UUID(credit.id), partner_id=credit.partner_id))
    return credit


async def cdr(tx: Tx, cdr_id: UUID) -> Cdr:
    """One CDR; raises ``NotFound``."""
    body = await tx.value("SELECT body FROM settlement.cdr WHERE id = %s", cdr_id)
    if body is None:
        raise NotFound("CDR", str(cdr_id))
    return decode(body, Cdr)


async def cdrs(
    tx: Tx, *, after: tuple[datetime, UUID] | None = None, limit: int = 50,
    partner_id: UUID | None = None, date_from: datetime | None = None,
    date_to: datetime | None = None,
) -> list[Cdr]:  # fmt: skip
    """A page of CDRs in order of issue, after (last_updated, id) of the last one seen.

    ``partner_id`` keeps one eMSP's; ``date_from`` (inclusive) and ``date_to`` (exclusive) bound
    ``last_updated``, which is when it was issued.
    """
    at, last = after or (None, None)
    rows = await tx.rows(
        """SELECT body FROM settlement.cdr
           WHERE (%s::timestamptz IS NULL OR (issued_at, id) > (%s, %s))
             AND (%s::uuid IS NULL OR partner_id = %s)
             AND (%s::timestamptz IS NULL OR issued_at >= %s)
             AND (%s::timestamptz IS NULL OR issued_at < %s)
           ORDER BY issued_at, id LIMIT %s""",
        at, at, last, partner_id, partner_id, date_from, date_from, date_to, date_to, limit,
    )  # fmt: skip
    return [decode(body, Cdr) for (body,) in rows]


async def held_sessions(
    tx: Tx, limit: int = 100, *, after: tuple[datetime, UUID] | None = None
) -> list[Held]:
    """A page of the closed sessions that wait for somebody, oldest first, by (time, session)."""
    at, session_id = after or (None, None)
    return await tx.all(
        Held,
        """SELECT session_id, reason, held_at FROM settlement.held
           WHERE resolved_at IS NULL
             AND (%s::timestamptz IS NULL OR (held_at, session_id) > (%s, %s))
           ORDER BY held_at, session_id LIMIT %s""",
        at, at, session_id, limit,
    )  # fmt: skip


_INSERT = """
INSERT INTO settlement.cdr (id, tenant_id, session_id, partner_id, currency, started_at, ended_at,
  energy_wh, total_excl, total_incl, minor_incl, account, txn_id, no_posting_reason, credit,
  credits_id, issued_at, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def _row(
    tx: Tx, cdr: Cdr, minor: int, txn_id: UUID | None, credits_id: UUID | None
) -> tuple[Any, ...]:
    return (
        UUID(cdr.id), tx.tenant, cdr.session_id, cdr.partner_id, cdr.currency,
        cdr.start_date_time, cdr.end_date_time, cdr.total_energy * 1000, cdr.total_cost.excl_vat,
        cdr.total_cost.incl_vat, minor, receivable(cdr), txn_id,
        None if txn_id else NOTHING_CHARGED, cdr.credit, credits_id, tx.now, encode(cdr),
    )  # fmt: skip


async def _cdr_of_session(tx: Tx, session_id: str) -> bool:
    found = await tx.value(
        "SELECT 1 FROM settlement.cdr WHERE tenant_id = %s AND session_id = %s AND NOT credit",
        tx.tenant, session_id,
    )  # fmt: skip
    return found is not None


async def _hold(tx: Tx, session_id: UUID, reason: str) -> None:
    await tx.run(
        """INSERT INTO settlement.held (tenant_id, session_id, reason, held_at)
           VALUES (%s, %s, %s, %s)
           ON CONFLICT (tenant_id, session_id)
           DO UPDATE SET reason = excluded.reason, resolved_at = NULL""",
        tx.tenant, session_id, reason, tx.now,
    )  # fmt: skip
