"""Replaying past sessions: totals against an independent sum, broken rows refused by line."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import pytest

from hub.ledger import balance, transactions
from hub.runtime import Database
from hub.settlement import DEFAULT_TARIFF, replay_sessions, statement
from hub.settlement.past import NotSessions, PastSessions
from hub.tariffs import tariff_of_ocpi

PLAIN = """id,start,end,energy_kwh,station,driver
a,2026-03-01T10:00:00Z,2026-03-01T11:00:00Z,10.5,S1,ann
b,2026-03-01T10:00:00+01:00,2026-03-01T09:30:30Z,7,S1,bob
c,2026-03-02T23:00:00,2026-03-03T01:00:00,0,S2,ann
"""


def half_up(amount: Fraction) -> Fraction:
    """Whole cents, halves away from zero; for amounts that are not negative."""
    return Fraction((amount * 100 + Fraction(1, 2)).__floor__(), 100)


def expected(rows: Iterable[tuple[datetime, datetime, str]]) -> tuple[Fraction, Fraction, Fraction]:
    """Energy, net and gross of the default tariff, by fractions and the plain rule."""
    energy = net_sum = gross_sum = Fraction(0)
    for start, end, kwh in rows:
        span = end - start
        seconds = span.days * 86400 + span.seconds
        minutes = -(-seconds // 60)  # step_size 60: begun minutes count
        net = Fraction(kwh) * Fraction(35, 100) + Fraction(minutes, 60) * Fraction(1, 2)
        energy += Fraction(kwh)
        net_sum += half_up(net)
        gross_sum += half_up(net * Fraction(121, 100))
    return energy, net_sum, gross_sum


async def test_a_plain_file_is_billed_in_a_tenant_of_its_own(database: Database) -> None:
    seen: list[tuple[int, int]] = []
    report = await replay_sessions(database, io.StringIO(PLAIN), progress=lambda *p: seen.append(p))
    day = datetime(2026, 3, 1)
    rows = [
        (day.replace(hour=10), day.replace(hour=11), "10.5"),
        (day.replace(hour=9), day.replace(hour=9, minute=30, second=30), "7"),
        (day.replace(hour=10), day.replace(hour=12), "0"),
    ]
    energy, net, gross = expected(rows)
    assert (report.sessions, report.refused, seen) == (3, (), [(3, 0)])
    assert Fraction(report.energy_kwh) == energy
    assert (Fraction(report.total_excl_vat), Fraction(report.total_incl_vat)) == (net, gross)
    assert (report.ledger_balanced, report.broken, report.currency) == (True, (), "EUR")
    assert report.mended == {"time without a zone read as UTC": 1}
    async with database.tx(report.tenant) as tx:
        assert (await statement(tx, report.statement_id)).totals[0].cdrs == 3
        assert (await balance(tx, "ar.driver.bob")).posted > 0
        assert await tx.value("SELECT scratch FROM runtime.tenant WHERE id = %s", tx.tenant)
    async with database.tx() as tx:
        assert await transactions(tx) == []


BROKEN = {
    "short row": ("x", "start: is missing"),
    "no energy": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,", "energy_kwh: is missing"),
    "energy is no number": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,many", "no number"),
    "energy is NaN": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,NaN", "no energy"),
    "energy is negative": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,-1", "no energy"),
    "energy beyond reason": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,5000", "1 MW"),
    "energy of endless decimals": ("x,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,1e-99", "decimals"),
    "no date": ("x,yesterday,2026-01-01T01:00:00Z,1", "start:"),
    "a day that is none": ("x,2026-02-30T00:00:00Z,2026-03-01T01:00:00Z,1", "start:"),
    "end before start": ("x,2026-01-01T02:00:00Z,2026-01-01T01:00:00Z,1", "before the start"),
    "a session of years": ("x,2020-01-01T02:00:00Z,2026-01-01T01:00:00Z,1", "days after"),
    "repeated id": ("a,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,1", "was in line 2 already"),
    "stray quote": ('x,"2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,1', "no CSV"),
    "NUL": ("x\x00,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,1", "NUL"),
    "endless id": ("x" * 37 + ",2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,1", "36"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_row_is_refused_by_line_and_the_rest_goes_on(name: str) -> None:
    row, reason = BROKEN[name]
    first, *others = PLAIN.splitlines(keepends=True)
    past = PastSessions([first, others[0], row + "\n", *others[1:]])
    assert [session.id for session in past] == ["a", "b", "c"]
    (refused,) = past.refused
    assert refused.row == 3
    assert reason in refused.reason


@pytest.mark.parametrize("text", ["", "\n", "id;start;end\n", "\x00", '"', "a,b\n1,2\n"])
async def test_a_file_without_a_known_header_is_refused_whole(
    database: Database, text: str
) -> None:
    with pytest.raises(NotSessions, match="id, start, end, energy_kwh"):
        await replay_sessions(database, io.StringIO(text))


async def test_a_file_of_nothing_but_a_header_is_an_empty_replay(database: Database) -> None:
    report = await replay_sessions(database, ["id,start,end,energy_kwh\n"])
    assert (report.sessions, report.total_incl_vat, report.ledger_balanced) == (0, 0, True)


async def test_a_replay_follows_the_tariff_it_is_given(database: Database) -> None:
    tariff = tariff_of_ocpi(
        '{"id": "yen", "currency": "JPY", "elements": [{"price_components":'
        ' [{"type": "FLAT", "price": 100, "vat": 10, "step_size": 1}]}]}'
    )
    report = await replay_sessions(database, io.StringIO(PLAIN), tariff=tariff)
    assert (report.currency, report.total_excl_vat, report.total_incl_vat) == ("JPY", 300, 330)
    assert report.ledger_balanced


async def test_the_workplace_data_set_equals_a_plain_sum_of_its_file(database: Database) -> None:
    folder = os.environ.get("HUB_TEST_DATA")
    if not folder:
        pytest.skip("HUB_TEST_DATA does not name the folder with the public data sets")
    path = Path(folder) / "real" / "workplace_sessions.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))

    def at(text: str) -> datetime:
        return datetime.strptime("2" + text[1:], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007

    energy, net, gross = expected((at(r["created"]), at(r["ended"]), r["kwhTotal"]) for r in rows)
    began = perf_counter()
    with path.open(encoding="utf-8-sig", newline="") as file:
        report = await replay_sessions(database, file)
    assert perf_counter() - began < 45
    assert (report.sessions, report.refused) == (len(rows), ()) == (3395, ())
    assert Fraction(report.energy_kwh) == energy
    assert Fraction(report.total_excl_vat) == net
    assert Fraction(report.total_incl_vat) == gross
    assert report.ledger_balanced
    assert report.mended == {
        "year 0014 read as 2014": 23, "year 0015 read as 2015": 3372,
        "time without a zone read as UTC": 3395,
    }  # fmt: skip
    async with database.tx(report.tenant) as tx:
        count = await tx.value("SELECT count(DISTINCT account) FROM settlement.v_cdr")
        assert count == len({r["userId"] for r in rows}) == 85


def test_the_default_tariff_prices_energy_and_time() -> None:
    (element,) = DEFAULT_TARIFF.elements
    assert [c.type for c in element.price_components] == ["ENERGY", "TIME"]
    assert {c.vat for c in element.price_components} == {Decimal(21)}
