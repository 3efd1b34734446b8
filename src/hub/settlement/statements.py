"""Closing a period with one partner, or with our own drivers: a fixed list of CDRs that sums.

Membership is by list, not by date: a CDR is on one statement at most, and stays there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from hub.kernel import HubError, InvalidValue, Money, NotFound, decode, encode, new_id
from hub.runtime import Tx
from hub.settlement.model import Statement, StatementLine, StatementTotal


class StatementMismatch(HubError):
    """The CDRs of a statement and the receivable in the books are not the same amount."""

    code = "statement_mismatch"
    status = 409

    def __init__(self, currency: str, stated: int, booked: int) -> None:
        super().__init__(currency, stated, booked)
        self.currency = currency
        self.stated = stated
        self.booked = booked

    def __str__(self) -> str:
        return (
            f"CDRs sum to {self.stated} minor units of {self.currency}, the ledger's receivable "
            f"to {self.booked}: run the ledger's and settlement's proofs before closing"
        )


async def close_statement(
    tx: Tx, partner_id: UUID | None, start: datetime, end: datetime
) -> Statement:
    """Put the CDRs issued in [start, end), and on no statement yet, on a statement for ever.

    ``partner_id`` None: those of our own drivers. The same period again answers the statement
    that exists. Raises ``StatementMismatch`` when CDRs and ledger differ, ``InvalidValue``.
    """
    if end <= start:
        raise InvalidValue("end", "must lie after the start")
    # One at a time per partner: a CDR is on one statement, and a repetition finds the first.
    await tx.run(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        f"settlement.statement:{tx.tenant}:{partner_id}",
    )
    body = await tx.value(
        """SELECT body FROM settlement.statement WHERE tenant_id = %s
           AND partner_id IS NOT DISTINCT FROM %s AND starts_at = %s AND ends_at = %s""",
        tx.tenant, partner_id, start, end,
    )  # fmt: skip
    if body is not None:
        return decode(body, Statement)
    lines = await _open_lines(tx, partner_id, start, end)
    made = Statement(
        id=new_id(), partner_id=partner_id, start=start, end=end, closed_at=tx.now,
        totals=totals_of(lines), lines=tuple(lines),
    )  # fmt: skip
    await _compare_with_ledger(tx, made)
    await _store(tx, made)
    return made


async def statement(tx: Tx, statement_id: UUID) -> Statement:
    """One statement; raises ``NotFound``."""
    body = await tx.value("SELECT body FROM settlement.statement WHERE id = %s", statement_id)
    if body is None:
        raise NotFound("statement", str(statement_id))
    return decode(body, Statement)


async def statements(tx: Tx, before: UUID | None = None, limit: int = 50) -> list[Statement]:
    """A page of all statements, newest first, older than ``before``; empty ones included."""
    rows = await tx.rows(
        """SELECT body FROM settlement.statement WHERE %s::uuid IS NULL OR id < %s
           ORDER BY id DESC LIMIT %s""",
        before, before, limit,
    )  # fmt: skip
    return [decode(body, Statement) for (body,) in rows]


def totals_of(lines: Sequence[StatementLine]) -> tuple[StatementTotal, ...]:
    """The sums of ``lines`` by currency; pure."""
    sums = []
    for currency in sorted({line.currency for line in lines}):
        mine = [line for line in lines if line.currency == currency]
        sums.append(
            StatementTotal(
                currency=currency,
                cdrs=sum(not line.credit for line in mine),
                credits=sum(line.credit for line in mine),
                energy_kwh=_sum(-g.energy_kwh if g.credit else g.energy_kwh for g in mine),
                excl_vat=_sum(line.excl_vat for line in mine),
                vat=_sum(line.vat for line in mine),
                incl_vat=_sum(line.incl_vat for line in mine),
            )
        )
    return tuple(sums)


def _sum(amounts: object) -> Decimal:
    return sum(amounts, Decimal(0))  # type: ignore[call-overload, no-any-return]


async def _open_lines(
    tx: Tx, partner_id: UUID | None, start: datetime, end: datetime
) -> list[StatementLine]:
    return await tx.all(
        StatementLine,
        """SELECT c.id AS cdr_id, c.session_id, c.started_at AS start_date_time,
             c.ended_at AS end_date_time, c.energy_wh / 1000 AS energy_kwh, c.currency,
             c.total_excl AS excl_vat, c.total_incl - c.total_excl AS vat,
             c.total_incl AS incl_vat, c.credit, c.account
           FROM settlement.cdr c
           WHERE c.tenant_id = %s AND c.partner_id IS NOT DISTINCT FROM %s
             AND c.issued_at >= %s AND c.issued_at < %s
             AND NOT EXISTS (SELECT FROM settlement.statement_line l WHERE l.cdr_id = c.id)
           ORDER BY c.ended_at, c.id""",
        tx.tenant, partner_id, start, end,
    )  # fmt: skip


async def _compare_with_ledger(tx: Tx, made: Statement) -> None:
    rows = await tx.rows(
        """SELECT c.currency, coalesce(sum(l.amount), 0)
           FROM settlement.cdr c
           LEFT JOIN ledger.v_leg l ON l.txn_id = c.txn_id AND l.account = c.account
           WHERE c.id = ANY(%s) GROUP BY c.currency""",
        [line.cdr_id for line in made.lines],
    )
    booked = {currency: int(amount) for currency, amount in rows}
    for total in made.totals:
        stated = Money(total.incl_vat, total.currency).minor()
        if stated != booked.get(total.currency, 0):
            raise StatementMismatch(total.currency, stated, booked.get(total.currency, 0))


async def _store(tx: Tx, made: Statement) -> None:
    await tx.run(
        """INSERT INTO settlement.statement
             (id, tenant_id, partner_id, starts_at, ends_at, closed_at, body)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        made.id, tx.tenant, made.partner_id, made.start, made.end, made.closed_at, encode(made),
    )  # fmt: skip
    await tx.run(
        """INSERT INTO settlement.statement_line (tenant_id, cdr_id, statement_id)
           SELECT %s, unnest(%s::uuid[]), %s""",
        tx.tenant, [line.cdr_id for line in made.lines], made.id,
    )  # fmt: skip
