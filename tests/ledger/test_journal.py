"""Posting: balanced, once per key, immutable, two-phase, within limits, reversed exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from hub.kernel import new_id
from hub.ledger import (
    AlreadyResolved,
    AlreadyReversed,
    BeyondPending,
    Entry,
    IdempotencyMismatch,
    Leg,
    LimitReached,
    NotReversible,
    Unbalanced,
    UnknownAccount,
    accounts,
    balance,
    close_period,
    expire_due,
    fold,
    fold_everywhere,
    period_state,
    post,
    post_across,
    post_many,
    reserve,
    resolve,
    reverse,
    set_limits,
    transaction,
    transactions,
    verify,
    void,
)
from hub.runtime import PLATFORM, Database, Tx

AT = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
CDR = (Leg("ar.emsp.NLEMS", 2380), Leg("revenue.energy", -2000), Leg("tax.output.NL.19", -380))
TOP_UP = (Leg("psp.clearing.stripe", 5000), Leg("wallet.ann", -5000))


def entry(idem: str, legs: tuple[Leg, ...] = CDR, *, at: datetime = AT, kind: str = "cdr") -> Entry:
    return Entry(
        idem=idem, kind=kind, currency="EUR", legs=legs, effective_at=at, ref_type="cdr", ref_id="1"
    )


def hold(amount: int) -> tuple[Leg, ...]:
    return (Leg("wallet.ann", amount), Leg("revenue.energy", -amount))


async def assert_proven(tx: Tx) -> None:
    assert [p for p in await verify(tx) if not p.ok] == []


async def other_book(database: Database, name: str = "Other") -> UUID:
    book = new_id()
    async with database.system_tx() as tx:
        await tx.run(
            "INSERT INTO runtime.tenant (id, name, currency) VALUES (%s, %s, 'EUR')", book, name
        )
    return book


async def test_an_entry_moves_each_of_its_accounts(database: Database) -> None:
    async with database.tx() as tx:
        posted = await post(tx, entry("a"))
        assert posted.created
        assert (await balance(tx, "ar.emsp.NLEMS")).posted == 2380
        assert (await balance(tx, "revenue.energy")).available == 2000
        assert (await balance(tx, "tax.output.NL.19")).posted == -380
        assert (await transaction(tx, posted.id)).legs == CDR
    async with database.tx() as tx:
        await assert_proven(tx)
        (account,) = await accounts(tx, "ar.")
        assert (account.mode, account.version, account.balance) == ("s", 1, 2380)


async def test_the_same_key_posts_once_and_refuses_another_content(database: Database) -> None:
    async with database.tx() as tx:
        first = await post(tx, entry("a"))
    async with database.tx() as tx:
        again = await post(tx, entry("a"))
        assert (again.id, again.created) == (first.id, False)
        assert (await balance(tx, "ar.emsp.NLEMS")).posted == 2380
    with pytest.raises(IdempotencyMismatch, match="'a'"):
        async with database.tx() as tx:
            await post(tx, entry("a", TOP_UP))


async def test_a_batch_posts_new_entries_beside_repeated_ones(database: Database) -> None:
    async with database.tx() as tx:
        old = await post(tx, entry("b"))
    async with database.tx() as tx:
        posted = await post_many(tx, [entry(k) for k in "abca"])
        assert [p.created for p in posted] == [True, False, True, False]
        assert posted[1].id == old.id
        assert posted[0].id == posted[3].id
        assert (await balance(tx, "ar.emsp.NLEMS")).posted == 3 * 2380
        await assert_proven(tx)


@pytest.mark.parametrize(
    "legs",
    [
        pytest.param((Leg("suspense", 5), Leg("rounding", -4)), id="sum is not zero"),
        pytest.param((Leg("suspense", 0), Leg("rounding", 0)), id="zero legs"),
        pytest.param((), id="no legs"),
        pytest.param((Leg("suspense", 2**63), Leg("rounding", -(2**63))), id="beyond 64 bits"),
    ],
)
async def test_an_entry_that_does_not_balance_is_refused(
    database: Database, legs: tuple[Leg, ...]
) -> None:
    async with database.tx() as tx:
        with pytest.raises(Unbalanced):
            await post(tx, entry("a", legs))
        assert await transactions(tx) == []


@pytest.mark.parametrize("code", ["ar.driver", "revenue.nonsense", "tax.output.nl.19", "x", ""])
async def test_a_code_outside_the_chart_is_refused(database: Database, code: str) -> None:
    with pytest.raises(UnknownAccount):
        async with database.tx() as tx:
            await post(tx, entry("a", (Leg(code, 1), Leg("rounding", -1))))


async def test_the_application_cannot_write_behind_the_functions(database: Database) -> None:
    async with database.tx() as tx:
        await post(tx, entry("a"))
    for sql in (
        "UPDATE ledger.leg SET amount = 1", "DELETE FROM ledger.txn", "TRUNCATE ledger.leg",
        "UPDATE ledger.account SET balance = 0", "DELETE FROM ledger.open_pending",
        "INSERT INTO ledger.chart VALUES ('x', 'A', 1, 'f', NULL, '')",
        "SELECT ledger.release(ledger.here(), ledger.here(), '[]')",
        "SELECT ledger.open_account(ledger.here(), 'suspense', 'EUR')",
        "SELECT ledger.post_in(ledger.here(), now(), '[]', '[]')",
        "SELECT * FROM ledger.unmirrored_all()",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.tx() as tx:
                await tx.run(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger.leg SET amount = amount + 1",
        "DELETE FROM ledger.leg",
        "UPDATE ledger.txn SET memo = 'other'",
        "DELETE FROM ledger.txn",
        "TRUNCATE ledger.leg",
        """INSERT INTO ledger.leg (tenant_id, txn_id, seq, account_id, amount, pending)
           SELECT tenant_id, txn_id, 9, account_id, 1, false FROM ledger.leg LIMIT 1""",
    ],
)
async def test_even_the_owner_cannot_change_what_was_posted(
    database: Database, database_url: str, sql: str
) -> None:
    async with database.tx() as tx:
        await post(tx, entry("a"))
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        with pytest.raises(psycopg.Error) as refused:
            await owner.execute(sql)
        assert refused.value.sqlstate == "HL006"


TXN_OF_THE_OWNER = """INSERT INTO ledger.txn (tenant_id, id, idem, request_hash, kind, phase,
    currency, effective_at, recorded_at, period, ref_type, ref_id, memo)
  SELECT tenant_id, gen_random_uuid(), 'x', '', '', {phase}, {currency}, now(), now(), now(), '',
    '', '' FROM ledger.txn"""
LEGS_OF_THE_OWNER = """WITH t AS ({txn} RETURNING tenant_id, id)
  INSERT INTO ledger.leg (tenant_id, txn_id, seq, account_id, amount, pending)
  SELECT t.tenant_id, t.id, row_number() OVER (), a.id, {amount}, {pending}
  FROM t, ledger.account a WHERE a.type <> 'A'"""


@pytest.mark.parametrize(
    ("currency", "amount", "pending", "sqlstate"),
    [
        pytest.param("EUR", "a.id", "false", "HL002", id="sum is not zero"),
        pytest.param("EUR", "0", "false", "HL002", id="legs of nothing"),
        pytest.param("USD", "a.normal * (2 * rank() OVER (ORDER BY a.id) - 3)", "false", "HL002",
                     id="accounts of another currency"),
        pytest.param("EUR", "a.normal * (2 * rank() OVER (ORDER BY a.id) - 3)", "true", "HL006",
                     id="pending legs of a posting"),
    ],
)  # fmt: skip
async def test_legs_that_the_owner_inserts_must_balance_too(
    database: Database, database_url: str, currency: str, amount: str, pending: str, sqlstate: str
) -> None:
    async with database.tx() as tx:
        await post(tx, entry("a"))
    txn = TXN_OF_THE_OWNER.format(phase="'post'", currency=f"'{currency}'")
    sql = LEGS_OF_THE_OWNER.format(txn=txn, amount=amount, pending=pending)
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        with pytest.raises(psycopg.Error) as refused:
            await owner.execute(sql)
    assert refused.value.sqlstate == sqlstate


async def test_balanced_legs_of_the_owner_enter_the_book(
    database: Database, database_url: str
) -> None:
    async with database.tx() as tx:
        await post(tx, entry("a"))
    txn = TXN_OF_THE_OWNER.format(phase="'post'", currency="'EUR'")
    amount = "a.normal * (2 * rank() OVER (ORDER BY a.id) - 3)"
    sql = LEGS_OF_THE_OWNER.format(txn=txn, amount=amount, pending="false")
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        assert (await owner.execute(sql)).rowcount == 2
    async with database.tx() as tx:
        await assert_proven(tx)


@pytest.mark.parametrize(
    ("phase", "sqlstate"),
    [
        pytest.param("post", "HL002", id="a posting without legs"),
        pytest.param("pending", "HL002", id="a reservation without legs"),
        pytest.param("void", "23514", id="a void of nothing"),
        pytest.param("other", "23514", id="an unknown phase"),
    ],
)
async def test_a_lone_transaction_of_the_owner_fails_at_commit(
    database: Database, database_url: str, phase: str, sqlstate: str
) -> None:
    async with database.tx() as tx:
        await post(tx, entry("a"))
    async with await psycopg.AsyncConnection.connect(database_url) as owner:
        await owner.execute(TXN_OF_THE_OWNER.format(phase=f"'{phase}'", currency="'EUR'"))
        with pytest.raises(psycopg.Error) as refused:
            await owner.commit()
    assert refused.value.sqlstate == sqlstate


async def test_a_folded_account_takes_no_limits(database: Database) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        async with database.tx() as tx:
            await set_limits(tx, "revenue.energy", "EUR", floor=0)


@pytest.mark.parametrize(
    "legs",
    [
        pytest.param((Leg("ar.driver.x", 5), Leg("ar.driver.x", -5)), id="one account twice"),
        pytest.param((Leg("ar.driver.x", 5), Leg("ar.driver.y", -5)), id="two that keep balances"),
        pytest.param((Leg("revenue.energy", 5), Leg("rounding", -5)), id="none that does"),
        pytest.param((Leg('ar.driver."x\\,{}', 5), Leg("rounding", -5)), id="a code with quotes"),
    ],
)
async def test_a_single_posting_keeps_its_legs_in_order(
    database: Database, legs: tuple[Leg, ...]
) -> None:
    for idem in "ab":  # the accounts are opened by the first
        async with database.tx() as tx:
            posted = await post(tx, entry(idem, legs))
            assert (await transaction(tx, posted.id)).legs == legs
    async with database.tx() as tx:
        assert not (await post(tx, entry("b", legs))).created
        await assert_proven(tx)


async def test_a_book_sees_nothing_of_another(database: Database) -> None:
    other = await other_book(database)
    async with database.tx() as tx:
        mine = await post(tx, entry("a"))
    async with database.tx(other) as tx:
        assert await transactions(tx) == []
        assert (await post(tx, entry("a"))).id != mine.id
        assert (await balance(tx, "ar.emsp.NLEMS")).posted == 2380
    async with database.system_tx() as tx:
        assert await tx.value("SELECT count(*) FROM ledger.txn") == 2
        await assert_proven(tx)


async def test_a_wallet_never_falls_below_zero(database: Database) -> None:
    async with database.tx() as tx:
        await post(tx, entry("top", TOP_UP))
        await post(tx, entry("use", hold(4999)))
    with pytest.raises(LimitReached, match=r"wallet\.ann"):
        async with database.tx() as tx:
            await post(tx, entry("more", hold(2)))
    async with database.tx() as tx:
        await post(tx, entry("last", hold(1)))
        assert (await balance(tx, "wallet.ann")).available == 0


async def test_a_credit_limit_is_a_ceiling_on_a_receivable(database: Database) -> None:
    async with database.tx() as tx:
        await set_limits(tx, "ar.emsp.NLEMS", "EUR", ceiling=4000)
        await post(tx, entry("a"))
    with pytest.raises(LimitReached):
        async with database.tx() as tx:
            await post(tx, entry("b"))
    with pytest.raises(LimitReached):
        async with database.tx() as tx:
            await set_limits(tx, "ar.emsp.NLEMS", "EUR", ceiling=2379)


async def test_a_reservation_narrows_what_is_available_until_resolved(database: Database) -> None:
    async with database.tx() as tx:
        await post(tx, entry("top", TOP_UP))
        pending = await reserve(tx, entry("hold", hold(3000)), AT + timedelta(days=1))
        held = await balance(tx, "wallet.ann")
        assert (held.posted, held.pending_debit, held.available) == (-5000, 3000, 2000)
        folded = await balance(tx, "revenue.energy")
        assert (folded.posted, folded.pending_credit) == (0, 3000)
    with pytest.raises(LimitReached):
        async with database.tx() as tx:
            await post(tx, entry("use", hold(2001)))
    async with database.tx() as tx:
        await assert_proven(tx)
        final = await resolve(tx, pending.id, 2380)
        assert (await balance(tx, "wallet.ann")).available == 2620
        assert (await transaction(tx, final.id)).resolves_txn_id == pending.id
        await assert_proven(tx)


async def test_a_reservation_is_resolved_exactly_once(database: Database) -> None:
    async with database.tx() as tx:
        await post(tx, entry("top", TOP_UP))
        pending = await reserve(tx, entry("hold", hold(3000)), AT)
        first = await resolve(tx, pending.id, 100)
    async with database.tx() as tx:
        again = await resolve(tx, pending.id, 100)
        assert (again.id, again.created) == (first.id, False)
    with pytest.raises(IdempotencyMismatch):
        async with database.tx() as tx:
            await resolve(tx, pending.id, 101)
    with pytest.raises(AlreadyResolved):
        async with database.tx() as tx:
            await void(tx, pending.id)
    async with database.tx() as tx:
        assert await expire_due(tx) == 0
        with pytest.raises(AlreadyResolved):
            await resolve(tx, first.id)
        await assert_proven(tx)


@pytest.mark.parametrize(
    "legs",
    [
        pytest.param(hold(3001), id="more than pending"),
        pytest.param(hold(-1), id="the other way"),
        pytest.param((Leg("wallet.ann", 5), Leg("revenue.time", -5)), id="another account"),
    ],
)
async def test_a_resolution_stays_within_what_was_pending(
    database: Database, legs: tuple[Leg, ...]
) -> None:
    async with database.tx() as tx:
        await post(tx, entry("top", TOP_UP))
        pending = await reserve(tx, entry("hold", hold(3000)), AT)
    with pytest.raises(BeyondPending):
        async with database.tx() as tx:
            await resolve(tx, pending.id, legs=legs)
    async with database.tx() as tx:
        await resolve(tx, pending.id, legs=hold(2999))


async def test_voided_and_expired_reservations_give_all_of_it_back(database: Database) -> None:
    async with database.tx() as tx:
        await post(tx, entry("top", TOP_UP))
        voided = await reserve(tx, entry("one", hold(3000)), tx.now + timedelta(days=1))
        await reserve(tx, entry("two", hold(1000)), tx.now - timedelta(seconds=1))
        await void(tx, voided.id)
        assert await expire_due(tx) == 1
        assert await expire_due(tx) == 0
        assert (await balance(tx, "wallet.ann")).available == 5000
        assert (await balance(tx, "revenue.energy")).pending_credit == 0
    async with database.tx() as tx:
        await assert_proven(tx)


async def test_a_reversal_is_exact_and_unique(database: Database) -> None:
    async with database.tx() as tx:
        posted = await post(tx, entry("a"))
        reversal = await reverse(tx, posted.id, "billed twice")
        assert (await balance(tx, "ar.emsp.NLEMS")).posted == 0
        assert (await reverse(tx, posted.id, "billed twice")).id == reversal.id
        with pytest.raises(NotReversible):
            await reverse(tx, reversal.id, "no")
    with pytest.raises(AlreadyReversed):
        async with database.tx() as tx:
            await reverse(tx, posted.id, "another reason")
    async with database.tx() as tx:
        await assert_proven(tx)


async def test_a_late_effect_of_a_closed_month_is_posted_in_the_open_one(
    database: Database,
) -> None:
    async with database.tx() as tx:
        await close_period(tx, date(2026, 3, 31))
        await close_period(tx, date(2026, 4, 1), soft=True)
        states = [await period_state(tx, date(2026, m, 9)) for m in (3, 4, 5)]
        assert states == ["closed", "soft", "open"]
        late = await transaction(tx, (await post(tx, entry("a"))).id)
        assert (late.period, late.effective_at) == (date(2026, 5, 1), AT)
        adjusted = await post(tx, entry("b", kind="adjustment"))
        assert (await transaction(tx, adjusted.id)).period == date(2026, 4, 1)
        early = await post(tx, entry("c", at=AT + timedelta(days=90)))
        assert (await transaction(tx, early.id)).period == date(2026, 6, 1)
        await close_period(tx, date(2026, 1, 1))
        assert await period_state(tx, date(2026, 3, 1)) == "closed"
        await assert_proven(tx)


async def test_folding_changes_no_balance(database: Database) -> None:
    async with database.tx() as tx:
        await post_many(tx, [entry(f"a{n}") for n in range(20)])
        assert await fold(tx) == 0, "nothing is final before the commit"
        assert (await balance(tx, "revenue.energy")).posted == -40000
    # A transaction of another database of this server may hold the horizon for a moment.
    folded = 0
    while folded < 40:
        async with database.system_tx() as tx:
            folded += await fold_everywhere(tx)
    assert folded == 40
    async with database.tx() as tx:
        assert (
            await tx.value("SELECT balance FROM ledger.account WHERE code = 'revenue.energy'")
            == -40000
        )
        assert (await balance(tx, "revenue.energy")).posted == -40000
        await post(tx, entry("z"))
        assert (await balance(tx, "revenue.energy")).posted == -42000
        await assert_proven(tx)


async def test_transactions_are_paged_newest_first_and_by_account(database: Database) -> None:
    async with database.tx() as tx:
        ids = [(await post(tx, entry(f"a{n}"))).id for n in range(5)]
        top = await post(tx, entry("top", TOP_UP))
        # Ids of one millisecond are in no order of their own.
        newest = sorted([*ids, top.id], reverse=True)
        page = await transactions(tx, limit=2)
        assert [t.id for t in page] == newest[:2]
        assert [t.id for t in await transactions(tx, page[-1].id, 10)] == newest[2:]
        assert [t.id for t in await transactions(tx, account="wallet.ann")] == [top.id]


async def test_an_event_between_two_books_is_one_commit_that_mirrors(database: Database) -> None:
    other = await other_book(database)
    parts = {
        PLATFORM: entry("e1", (Leg(f"ic.{other}", 700), Leg("revenue.hub_fee", -700))),
        other: entry("e1", (Leg("cogs.roaming", 700), Leg(f"ic.{PLATFORM}", -700))),
    }
    async with database.system_tx() as tx:
        posted = await post_across(tx, "event-1", parts)
    async with database.tx(other) as tx:
        assert (await transaction(tx, posted[other].id)).event_ref == "event-1"
        await assert_proven(tx)
    async with database.system_tx() as tx:
        await assert_proven(tx)
        lame = entry("e2", (Leg("cogs.roaming", 700), Leg(f"ic.{PLATFORM}", -700)))
        await post_across(tx, "event-2", {other: lame})
        (broken,) = [p for p in await verify(tx) if not p.ok]
        assert broken.name == "intercompany accounts mirror each other"
        assert "event-2" in broken.detail
