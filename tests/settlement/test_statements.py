"""Statements: a fixed list of CDRs that sums to them and to the receivable in the books."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import psycopg
import pytest

from hub.kernel import InvalidValue, NotFound, decode, new_id
from hub.ledger import balance
from hub.settlement import (
    Statement,
    close_statement,
    credit_cdr,
    prove,
    statement,
    statement_csv,
    statement_json,
)
from hub.settlement.statements import StatementMismatch
from tests.charging.field import NOON
from tests.settlement.conftest import Settled

START, END = NOON - timedelta(days=1), NOON + timedelta(days=1)


async def a_month(field: Settled) -> UUID:
    """Three sessions of a partner, one of them credited, and one of our own driver."""
    partner = await field.roaming_card("ROAM1")
    await field.place()
    for wh in (5000, 7500, 333):
        await field.charge(wh, 21, tag="ROAM1")
    await field.charge(4000, 10)
    made = await field.bill()
    async with field.database.tx() as tx:
        wrong = next(c for c in made if c.total_energy == Decimal("7.5"))
        await credit_cdr(tx, UUID(wrong.id), "wrong")
    return partner


async def test_a_statement_sums_to_its_cdrs_and_to_the_receivable(field: Settled) -> None:
    partner = await a_month(field)
    async with field.database.tx() as tx:
        made = await close_statement(tx, partner, START, END)
        (total,) = made.totals
        assert (total.cdrs, total.credits, len(made.lines)) == (3, 1, 4)
        assert total.energy_kwh == Decimal("5.333")
        assert total.incl_vat == sum(line.incl_vat for line in made.lines)
        assert total.excl_vat + total.vat == total.incl_vat
        owed = await balance(tx, "ar.emsp.DE-EMS")
        assert owed.posted == total.incl_vat * 100
        assert all(proof.ok for proof in await prove(tx))
        assert await statement(tx, made.id) == made
        with pytest.raises(NotFound):
            await statement(tx, new_id())


async def test_our_own_drivers_have_a_statement_of_their_own(field: Settled) -> None:
    await a_month(field)
    async with field.database.tx() as tx:
        made = await close_statement(tx, None, START, END)
        assert [line.account for line in made.lines] == ["ar.driver.NL-HUB-CARD1"]


async def test_a_cdr_is_on_one_statement_and_a_closed_one_stays_as_it_is(field: Settled) -> None:
    partner = await a_month(field)
    async with field.database.tx() as tx:
        first = await close_statement(tx, partner, START, END)
    await field.charge(900, 5, tag="ROAM1")
    await field.bill()
    async with field.database.tx() as tx:
        assert await close_statement(tx, partner, START, END) == first
        later = await close_statement(tx, partner, START, END + timedelta(days=1))
        assert [line.energy_kwh for line in later.lines] == [Decimal("0.9")]
        with pytest.raises(InvalidValue):
            await close_statement(tx, partner, END, START)


async def test_an_empty_period_has_an_empty_statement(field: Settled) -> None:
    async with field.database.tx() as tx:
        made = await close_statement(tx, None, START, END)
    assert (made.lines, made.totals) == ((), ())


async def test_a_statement_is_refused_when_the_books_say_another_amount(
    field: Settled, database_url: str
) -> None:
    partner = await a_month(field)
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        await owner.execute("ALTER TABLE ledger.leg DISABLE TRIGGER USER")
        await owner.execute(
            "UPDATE ledger.leg SET amount = amount + 1 WHERE account_id ="
            " (SELECT id FROM ledger.account WHERE code = 'ar.emsp.DE-EMS')"
        )
    async with field.database.tx() as tx:
        with pytest.raises(StatementMismatch, match="receivable"):
            await close_statement(tx, partner, START, END)


async def test_a_statement_renders_as_json_and_as_csv_that_no_spreadsheet_runs(
    field: Settled,
) -> None:
    partner = await a_month(field)
    async with field.database.tx() as tx:
        made = await close_statement(tx, partner, START, END)
    assert decode(statement_json(made), Statement) == made
    evil = msgspec.structs.replace(made.lines[0], session_id="=1+1")
    text = statement_csv(msgspec.structs.replace(made, lines=(evil, *made.lines[1:])))
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert rows[0]["session_id"] == "'=1+1"
    assert sorted(r["kind"] for r in rows[:-1]) == ["cdr", "cdr", "cdr", "credit"]
    assert rows[-1]["kind"] == "total"
    assert sum(Decimal(r["incl_vat"]) for r in rows[:-1]) == Decimal(rows[-1]["incl_vat"])


async def test_crediting_and_closing_all_at_once_is_done_once(field: Settled) -> None:
    await field.charge(10_000, 30)
    (made,) = await field.bill()
    start, end = NOON - timedelta(days=1), NOON + timedelta(days=1)

    async def credited() -> str:
        async with field.database.tx() as tx:
            return (await credit_cdr(tx, UUID(made.id), "wrong meter")).id

    async def closed() -> UUID:
        async with field.database.tx() as tx:
            return (await close_statement(tx, None, start, end)).id

    assert len(set(await asyncio.gather(*(credited() for _ in range(4))))) == 1
    assert len(set(await asyncio.gather(*(closed() for _ in range(4))))) == 1
