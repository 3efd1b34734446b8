"""Random postings balance and add up like a plain sum, also many at once with folding beside."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.kernel import new_id
from hub.ledger import Entry, Leg, balance, fold, post, post_many, verify
from hub.runtime import Database

CODES = ["ar.driver.a", "ar.driver.b", "ap.cpo.c", "revenue.energy", "tax.output.DE.19", "suspense"]
AMOUNTS = st.integers(-(10**12), 10**12).filter(bool)


@st.composite
def balanced(draw: st.DrawFn) -> tuple[Leg, ...]:
    free = draw(st.lists(st.builds(Leg, st.sampled_from(CODES), AMOUNTS), min_size=1, max_size=6))
    rest = -sum(leg.amount for leg in free)
    closing = (Leg(draw(st.sampled_from(CODES)), rest),) if rest else ()
    return (*free, *closing)


def entry(legs: tuple[Leg, ...]) -> Entry:
    return Entry(
        idem=str(new_id()), kind="t", currency="EUR", legs=legs, ref_type="", ref_id="",
        effective_at=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip


async def assert_sums(database: Database, expected: Counter[str]) -> None:
    async with database.tx() as tx:
        for code in CODES:
            assert (await balance(tx, code)).posted == expected[code]
        assert [p for p in await verify(tx) if not p.ok] == []


# The database is shared by the examples on purpose: balances accumulate over all of them.
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    batches=st.lists(st.lists(balanced().filter(lambda x: len(x) > 1), max_size=5), max_size=4),
    folds=st.booleans(),
    alone=st.booleans(),
)
def test_any_postings_add_up_like_a_plain_sum(
    database_url: str, batches: list[list[tuple[Leg, ...]]], folds: bool, alone: bool
) -> None:
    asyncio.run(_post_and_compare(database_url, batches, folds=folds, alone=alone))


async def _post_and_compare(
    url: str, batches: list[list[tuple[Leg, ...]]], *, folds: bool, alone: bool
) -> None:
    from hub.runtime import SystemClock

    database = Database(url, clock=SystemClock(), size=1)
    await database.open()
    try:
        expected: Counter[str] = Counter()
        async with database.tx() as tx:
            for code in CODES:
                expected[code] = (await balance(tx, code)).posted
        for batch in batches:
            async with database.tx() as tx:
                for part in [[legs] for legs in batch] if alone else [batch]:
                    await post_many(tx, [entry(legs) for legs in part])
                if folds:
                    await fold(tx)
            for legs in batch:
                for leg in legs:
                    expected[leg.account] += leg.amount
        await assert_sums(database, expected)
    finally:
        await database.close()


async def test_folding_beside_concurrent_postings_loses_and_doubles_nothing(
    database: Database,
) -> None:
    random = Random(7)
    expected: Counter[str] = Counter()
    writing = True

    async def write(seed: int) -> None:
        mine = Random(seed)
        for n in range(40):
            amount = mine.randint(1, 999)
            legs = (
                Leg(f"ar.driver.{mine.choice('ab')}", amount + 2), Leg("revenue.energy", -amount),
                Leg("tax.output.DE.19", -2),
            )  # fmt: skip
            try:
                async with database.tx() as tx:
                    await (post(tx, entry(legs)) if n % 2 else post_many(tx, [entry(legs)]))
                    if mine.random() < 0.1:
                        raise InterruptedError  # some commits never come
            except InterruptedError:
                continue
            for leg in legs:
                expected[leg.account] += leg.amount

    async def keep_folding() -> None:
        while writing:
            async with database.tx() as tx:
                await fold(tx)
                seen = await balance(tx, "tax.output.DE.19")
                assert seen.posted % 2 == 0
            await asyncio.sleep(0)

    folding = asyncio.create_task(keep_folding())
    await asyncio.gather(*(write(random.randint(1, 10**6)) for _ in range(6)))
    writing = False
    await folding
    await assert_sums(database, expected)


async def test_entries_that_take_the_same_accounts_crosswise_do_not_deadlock(
    database: Database,
) -> None:
    ahead = (Leg("ar.driver.a", 1), Leg("ar.driver.b", -1))
    back = (Leg("ar.driver.b", 1), Leg("ar.driver.a", -1))

    async def write(legs: tuple[Leg, ...]) -> None:
        for _ in range(25):
            async with database.tx() as tx:
                await post(tx, entry(legs))

    await asyncio.gather(write(ahead), write(back), write(ahead), write(back))
    await assert_sums(database, Counter())
