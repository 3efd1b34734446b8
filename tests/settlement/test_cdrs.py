"""From closed session to CDR and books: once, exact, immutable, credited in whole."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from hub.charging import exceptions, resolve_exception
from hub.charging.events import SessionClosed
from hub.charging.messages import Transaction
from hub.kernel import NotFound, new_id
from hub.ledger import accounts, balance, transactions, verify
from hub.runtime import Tx
from hub.settlement import cdr, cdrs, credit_cdr, held_sessions, prove
from tests.charging.field import minute
from tests.settlement.conftest import Settled


async def assert_proven(tx: Tx) -> None:
    assert [p for p in [*await verify(tx), *await prove(tx)] if not p.ok] == []


async def test_a_closed_session_is_priced_stored_posted_and_told_in_one_commit(
    field: Settled,
) -> None:
    await field.charge(10_001, 90)
    (made,) = await field.bill()
    # 0.50 + 10.001 kWh x 0.333 + 1.5 h x 0.777, VAT 9 % on the first, 21 % on the others.
    excl = (
        Decimal("0.50") + Decimal("10.001") * Decimal("0.333") + Decimal("1.5") * Decimal("0.777")
    )
    incl = Decimal("0.50") * Decimal("1.09") + (excl - Decimal("0.50")) * Decimal("1.21")
    cents = Decimal("0.01")
    assert made.total_cost.excl_vat == excl.quantize(cents) == Decimal("5.00")
    assert made.total_cost.incl_vat == incl.quantize(cents) == Decimal("5.98")
    assert (made.total_energy, made.total_time) == (Decimal("10.001"), Decimal("1.5"))
    assert (made.total_fixed_cost.excl_vat, made.total_energy_cost.excl_vat) == (
        Decimal("0.5"), Decimal("3.3303")
    )  # fmt: skip
    session = await field.only()
    assert (made.session_id, made.cdr_token.uid) == (str(session.id), "CARD1")
    assert (session.price_excl, session.price_incl) == (Decimal("5.00"), Decimal("5.98"))
    assert (made.start_date_time, made.end_date_time) == (session.started_at, session.ended_at)
    async with field.database.tx() as tx:
        (posted,) = await transactions(tx)
        legs = {leg.account: leg.amount for leg in posted.legs}
        # Revenue 50 + 333 + 117 is the net total: nothing is left for rounding.
        assert legs == {
            "ar.driver.NL-HUB-CARD1": 598, "revenue.start": -50, "revenue.energy": -333,
            "revenue.time": -117, "tax.output.NL.9": -4, "tax.output.NL.21": -94,
        }  # fmt: skip
        assert posted.effective_at == session.ended_at
        await assert_proven(tx)
    assert [(e.cdr_id, e.partner_id) for e in field.told] == [(UUID(made.id), None)]


async def test_a_session_has_one_cdr_however_often_it_is_closed(field: Settled) -> None:
    await field.charge(5000, 30)
    await field.bill()
    session = await field.only()
    for _ in range(2):
        async with field.database.tx() as tx:
            tx.emit(SessionClosed(session_id=session.id, partner_id=None, at=tx.now))
    assert len(await field.bill()) == len(field.told) == 1
    async with field.database.tx() as tx:
        assert len(await transactions(tx)) == 1


async def test_a_roaming_session_is_owed_by_its_emsp_and_told_to_its_platform(
    field: Settled,
) -> None:
    partner = await field.roaming_card("ROAM1")
    await field.place()
    await field.charge(5000, 30, tag="ROAM1")
    (made,) = await field.bill()
    assert [e.partner_id for e in field.told] == [made.partner_id] == [partner]
    assert (made.cdr_location.id, made.cdr_location.city) == ("LOC1", "Utrecht")
    assert (made.cdr_location.evse_uid, made.cdr_location.connector_standard) == (
        "EVSE1", "IEC_62196_T2"
    )  # fmt: skip
    assert (made.cdr_token.country_code, made.cdr_token.party_id) == ("DE", "EMS")
    async with field.database.tx() as tx:
        owed = (await balance(tx, "ar.emsp.DE-EMS")).posted
        assert owed == made.total_cost.incl_vat * 100
        await assert_proven(tx)


async def test_a_roaming_session_without_a_place_is_held_until_it_can_be_billed(
    field: Settled,
) -> None:
    await field.roaming_card("ROAM1")
    await field.charge(5000, 30, tag="ROAM1")
    assert await field.bill() == []
    async with field.database.tx() as tx:
        (held,) = await held_sessions(tx)
        assert "location" in held.reason


@pytest.mark.parametrize("rule", ["CD-6"])
async def test_a_cdr_has_all_that_the_standard_requires(field: Settled, rule: str) -> None:
    await field.charge(5000, 30)
    (made,) = await field.bill()
    assert len(made.id) <= 36
    assert made.charging_periods
    assert made.charging_periods[0].start_date_time == made.start_date_time
    energy = [d.volume for p in made.charging_periods for d in p.dimensions if d.type == "ENERGY"]
    assert sum(energy) == made.total_energy == 5
    assert made.tariffs[0].id == "t"
    assert (made.country_code, made.party_id, made.currency) == ("NL", "HUB", "EUR")
    assert made.auth_method in ("AUTH_REQUEST", "COMMAND", "WHITELIST")
    assert made.last_updated.utcoffset() == timedelta(0)
    parts = (
        made.total_fixed_cost, made.total_energy_cost, made.total_time_cost,
        made.total_parking_cost, made.total_reservation_cost,
    )  # fmt: skip
    assert round(sum(p.excl_vat for p in parts), 2) == made.total_cost.excl_vat


@pytest.mark.parametrize("wh", [2_147_482_647, 10**14])
async def test_energy_beyond_the_evses_power_is_billed_only_after_a_person_has_looked(
    field: Settled, wh: int
) -> None:
    await field.charge(wh, 10)
    assert await field.bill() == []
    async with field.database.tx() as tx:
        (listed,) = await exceptions(tx)
        assert (listed.kind, "implausible_energy" in listed.detail) == ("held_session", True)
        await resolve_exception(tx, listed.id, "the meter is right")
    billed = [made.total_energy for made in await field.bill()]
    async with field.database.tx() as tx:
        held = [one.reason for one in await held_sessions(tx)]
        await assert_proven(tx)
    if wh < 10**12:
        assert (billed, held) == ([Decimal(wh) / 1000], [])
    else:
        assert billed == []
        assert "not a quantity" in held[0]


async def test_a_session_that_is_not_complete_is_held_with_the_reason(field: Settled) -> None:
    """CD-6: what has no trustworthy energy must not be billed."""
    await field.stop(None, 9000, at=minute(5), transaction=Transaction(ref="lost-start"))
    assert await field.bill() == []
    async with field.database.tx() as tx:
        session = await field.only()
        tx.emit(SessionClosed(session_id=session.id, partner_id=None, at=tx.now))
    assert await field.bill() == []
    async with field.database.tx() as tx:
        (held,) = await held_sessions(tx)
        assert held.session_id == session.id
        assert held.reason
        assert await transactions(tx) == []


async def test_a_session_that_costs_nothing_has_a_cdr_and_says_why_nothing_was_posted(
    field: Settled,
) -> None:
    await field.tariff(
        '{"id": "free", "currency": "EUR", "elements": [{"price_components":'
        ' [{"type": "ENERGY", "price": 0, "vat": 21, "step_size": 1}]}]}'
    )
    await field.charge(5000, 30)
    (made,) = await field.bill()
    assert made.total_cost.incl_vat == 0
    async with field.database.tx() as tx:
        assert await transactions(tx) == []
        reason = await tx.value("SELECT no_posting_reason FROM settlement.v_cdr")
        assert reason == "nothing was charged"
        assert (await credit_cdr(tx, UUID(made.id), "goodwill")).credit
        await assert_proven(tx)


@pytest.mark.parametrize("rule", ["CD-2"])
async def test_a_credit_negates_only_the_total_and_reverses_the_posting(
    field: Settled, rule: str
) -> None:
    await field.charge(5000, 30)
    (original,) = await field.bill()
    async with field.database.tx() as tx:
        credit = await credit_cdr(tx, UUID(original.id), "wrong tariff")
        assert (await credit_cdr(tx, UUID(original.id), "again")).id == credit.id
        with pytest.raises(NotFound):
            await credit_cdr(tx, UUID(credit.id), "a credit of a credit")
        with pytest.raises(NotFound):
            await credit_cdr(tx, new_id(), "unknown")
    assert len(credit.id) <= 36
    assert credit.total_cost == -original.total_cost
    same = replace(
        credit, id=original.id, credit=False, credit_reference_id=None, remark=original.remark,
        total_cost=original.total_cost, last_updated=original.last_updated,
    )  # fmt: skip
    assert same == original
    assert credit.credit_reference_id == original.id
    async with field.database.tx() as tx:
        assert (await balance(tx, "ar.driver.NL-HUB-CARD1")).posted == 0
        assert all(account.balance == 0 for account in await accounts(tx))
        await assert_proven(tx)
    await field.bill()
    assert [e.cdr_id for e in field.told] == [UUID(original.id), UUID(credit.id)]


async def test_cdrs_are_paged_in_order_of_issue(field: Settled) -> None:
    for n in range(5):
        await field.charge(1000 + n, 10)
        await field.bill()
    async with field.database.tx() as tx:
        first = await cdrs(tx, limit=3)
        last = first[-1]
        rest = await cdrs(tx, after=(last.last_updated, UUID(last.id)))
        assert [c.total_energy for c in [*first, *rest]] == [
            Decimal(1000 + n) / 1000 for n in range(5)
        ]
        assert await cdrs(tx, partner_id=new_id()) == []
        assert len(await cdrs(tx, date_from=last.last_updated)) == 3
        assert await cdr(tx, UUID(last.id)) == last
        with pytest.raises(NotFound):
            await cdr(tx, new_id())


@pytest.mark.parametrize("table", ["cdr", "statement", "statement_line"])
async def test_what_was_issued_is_never_changed_even_by_the_owner(
    field: Settled, database_url: str, table: str
) -> None:
    await field.charge(5000, 30)
    await field.bill()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with field.database.tx() as tx:
            await tx.run(f"DELETE FROM settlement.{table}")
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        for sql in (f"DELETE FROM settlement.{table}", f"TRUNCATE settlement.{table}",
                    f"UPDATE settlement.{table} SET tenant_id = tenant_id"):  # fmt: skip
            with pytest.raises(psycopg.Error) as refused:
                await owner.execute(sql)
            assert refused.value.sqlstate == "HS001"
            await owner.rollback()


BROKEN = [
    ("every CDR has exactly one transaction", "UPDATE settlement.cdr SET txn_id = gen_random_uuid() WHERE NOT credit"),
    ("every CDR has exactly one transaction", "UPDATE settlement.cdr SET txn_id = NULL, no_posting_reason = 'x' WHERE NOT credit"),
    ("every CDR has exactly one transaction", "DELETE FROM settlement.cdr WHERE credit"),
    ("the receivable of every CDR is its total", "UPDATE settlement.cdr SET minor_incl = minor_incl + 1 WHERE NOT credit"),
    ("the receivable of every CDR is its total", "UPDATE ledger.account SET code = code || 'x' WHERE code LIKE 'ar.%'"),
    ("a credit negates its CDR", "UPDATE settlement.cdr SET credits_id = gen_random_uuid() WHERE credit"),
    ("every statement line is a CDR of its partner", "INSERT INTO settlement.statement_line SELECT tenant_id, id, gen_random_uuid() FROM settlement.cdr"),
]  # fmt: skip


@pytest.mark.parametrize(("proof", "sql"), BROKEN)
async def test_a_proof_of_settlement_fails_when_its_rows_are_falsified(
    field: Settled, database_url: str, proof: str, sql: str
) -> None:
    await field.charge(5000, 30)
    (made,) = await field.bill()
    async with field.database.tx() as tx:
        await credit_cdr(tx, UUID(made.id), "wrong")
        await assert_proven(tx)
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        for table in ("cdr", "statement_line"):
            await owner.execute(f"ALTER TABLE settlement.{table} DISABLE TRIGGER USER")
        assert (await owner.execute(sql)).rowcount > 0
    async with field.database.tx() as tx:
        assert proof in [p.name for p in await prove(tx) if not p.ok]


async def test_every_proof_of_settlement_has_a_case_that_breaks_it(field: Settled) -> None:
    async with field.database.tx() as tx:
        assert {p.name for p in await prove(tx)} == {name for name, _ in BROKEN}
