"""Each proof fails when the rows behind it are falsified, and only then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hub.kernel import new_id
from hub.ledger import (
    Entry,
    Leg,
    fold_everywhere,
    post,
    post_across,
    reserve,
    resolve,
    reverse,
    verify,
)
from hub.runtime import PLATFORM, Database

AT = datetime(2026, 3, 14, tzinfo=UTC)


def entry(idem: str, *legs: Leg) -> Entry:
    return Entry(
        idem=idem, kind="test", currency="EUR", legs=legs, effective_at=AT, ref_type="", ref_id=""
    )


async def a_busy_book(database: Database) -> None:
    """Two books with every kind of transaction in them, one folded, one with a tail."""
    other = new_id()
    async with database.system_tx() as tx:
        await tx.run(
            "INSERT INTO runtime.tenant (id, name, currency) VALUES (%s, 'Other', 'EUR')", other
        )
    async with database.tx() as tx:
        sold = entry("a", Leg("ar.driver.x", 120), Leg("revenue.energy", -100),
                     Leg("tax.output.DE.20", -20))  # fmt: skip
        posted = await post(tx, sold)
        await post(tx, entry("b", Leg("psp.clearing.s", 900), Leg("wallet.ann", -900)))
        await post(tx, entry("c", Leg("wallet.ann", 50), Leg("revenue.time", -50)))
        await reverse(tx, posted.id, "wrong")
        held = entry("h", Leg("wallet.ann", 100), Leg("revenue.energy", -100))
        pending = await reserve(tx, held, AT + timedelta(days=900))
        await reserve(
            tx, entry("h2", Leg("wallet.ann", 10), Leg("revenue.energy", -10)), AT + timedelta(1)
        )
        await resolve(tx, pending.id, 60)
    folded = 0
    while folded < 6:  # another database of this server may hold the horizon for a moment
        async with database.system_tx() as tx:
            folded += await fold_everywhere(tx)
    async with database.system_tx() as tx:
        await post_across(tx, "ev", {
            PLATFORM: entry("e", Leg(f"ic.{other}", 7), Leg("revenue.hub_fee", -7)),
            other: entry("e", Leg("cogs.roaming", 7), Leg(f"ic.{PLATFORM}", -7)),
        })  # fmt: skip


LEG = "FROM ledger.account a WHERE a.id = l.account_id AND a.code ="
CASES = {
    "every transaction balances": f"UPDATE ledger.leg l SET amount = 101 {LEG} 'psp.clearing.s'",
    "all legs of a currency sum to zero": f"UPDATE ledger.leg l SET amount = 101 {LEG} 'psp.clearing.s'",
    "every leg has its transaction and its account": "DELETE FROM ledger.txn WHERE idem = 'b'",
    "balances are the sums of their legs": "UPDATE ledger.account SET balance = balance + 1 WHERE code = 'revenue.energy'",
    "versions have no gap": f"UPDATE ledger.leg l SET account_version = 9 {LEG} 'wallet.ann' AND l.account_version = 2",
    "pending amounts are resolved once": "DELETE FROM ledger.txn WHERE resolves_txn_id IS NOT NULL",
    "reversals are exact": "UPDATE ledger.leg l SET amount = amount * 2 FROM ledger.txn t WHERE t.id = l.txn_id AND t.reverses_txn_id IS NOT NULL",
    "no posting entered a month before its own": "UPDATE ledger.txn SET period = '2020-01-01' WHERE idem = 'a'",
    "intercompany accounts mirror each other": f"UPDATE ledger.leg l SET amount = amount * 2 {LEG} 'ic.{PLATFORM}'",
}
MORE = [
    ("balances are the sums of their legs", "UPDATE ledger.account SET fold_xid = '0'::xid8 WHERE code = 'revenue.energy'"),
    ("balances are the sums of their legs", "UPDATE ledger.account SET balance = balance - 1 WHERE code = 'wallet.ann'"),
    ("versions have no gap", "UPDATE ledger.account SET version = version + 1 WHERE code = 'wallet.ann'"),
    ("versions have no gap", f"UPDATE ledger.leg l SET balance_after = 1 {LEG} 'wallet.ann' AND l.account_version = 2"),
    ("pending amounts are resolved once", "DELETE FROM ledger.open_pending"),
    ("pending amounts are resolved once", "UPDATE ledger.account SET pending_dr = 11 WHERE code = 'wallet.ann'"),
    ("pending amounts are resolved once", "DROP INDEX ledger.txn_resolved_once; INSERT INTO ledger.txn SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(), 'idem', 'again'))).* FROM ledger.txn t WHERE resolves_txn_id IS NOT NULL"),
    ("every leg has its transaction and its account", "DELETE FROM ledger.leg l USING ledger.txn t WHERE t.id = l.txn_id AND t.idem = 'b'"),
    ("reversals are exact", "DROP INDEX ledger.txn_reversed_once; INSERT INTO ledger.txn SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(), 'idem', 'again'))).* FROM ledger.txn t WHERE reverses_txn_id IS NOT NULL"),
]  # fmt: skip


@pytest.mark.parametrize(("proof", "sql"), [*CASES.items(), *MORE])
async def test_a_proof_fails_when_its_rows_are_falsified(
    database: Database, database_url: str, proof: str, sql: str
) -> None:
    await a_busy_book(database)
    async with database.system_tx() as tx:
        before = await verify(tx)
    assert [p for p in before if not p.ok] == []
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        await owner.execute("ALTER TABLE ledger.txn DISABLE TRIGGER USER")
        await owner.execute("ALTER TABLE ledger.leg DISABLE TRIGGER USER")
        for statement in sql.split("; "):
            assert (await owner.execute(statement)).rowcount != 0
    async with database.system_tx() as tx:
        after = {p.name: p for p in await verify(tx)}
    assert not after[proof].ok
    assert after[proof].detail


async def test_every_proof_has_a_case_that_breaks_it(database: Database) -> None:
    async with database.tx() as tx:
        assert {p.name for p in await verify(tx)} == set(CASES)
