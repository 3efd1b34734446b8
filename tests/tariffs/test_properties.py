"""What must hold for every tariff and every session, checked against a second pricer."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TypeVar, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.tariffs import (
    DEFAULT,
    PER_TAX_GROUP,
    Period,
    PriceComponent,
    PriceLimit,
    Tariff,
    TariffElement,
    TariffRestrictions,
    price,
)
from hub.tariffs.model import WEEKDAYS, Kind

from . import oracle
from .builders import at

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]
T = TypeVar("T")
NEAR = Fraction(1, 10**18)
STARTS = ["2026-03-28T21:17:00", "2026-03-29T00:40:11", "2026-10-24T22:10:00", "2026-10-25T00:05:07", "2026-03-08T05:50:00", "2026-11-01T04:59:59", "2026-06-05T13:37:00"]  # fmt: skip


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.one_of(st.none(), st.none(), strategy)


quarters = st.integers(0, 95).map(lambda n: n * 900)
dates = st.sampled_from([date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30), date(2026, 10, 25), date(2026, 10, 26), date(2026, 11, 1)])  # fmt: skip
kwh = st.sampled_from(["0", "0.3", "1", "2.5", "7", "12"]).map(Decimal)
power = st.sampled_from(["0", "1.5", "3", "11", "22"]).map(Decimal)
current = st.sampled_from(["6", "16", "32"]).map(Decimal)
lengths = st.sampled_from([0, 60, 1800, 3600, 3601, 7200])
steps = st.sampled_from([0, 1, 60, 300, 500, 900])
prices = st.integers(0, 60_000).map(lambda n: Decimal(n).scaleb(-4))
vats = st.sampled_from([None, "0", "5.2", "10", "20"]).map(
    lambda v: None if v is None else Decimal(v)
)
dimensions = st.sampled_from(["FLAT", "ENERGY", "TIME", "PARKING_TIME"])

component = st.builds(PriceComponent, type=dimensions, price=prices, vat=vats, step_size=steps)
restrictions = st.builds(
    TariffRestrictions,
    start_time=maybe(quarters),
    end_time=maybe(quarters),
    start_date=maybe(dates),
    end_date=maybe(dates),
    min_kwh=maybe(kwh),
    max_kwh=maybe(kwh),
    min_power=maybe(power),
    max_power=maybe(power),
    min_current=maybe(current),
    max_current=maybe(current),
    min_duration=maybe(lengths),
    max_duration=maybe(lengths),
    day_of_week=st.one_of(
        st.just(()), st.lists(st.sampled_from(WEEKDAYS), min_size=3, max_size=6).map(tuple)
    ),
    reservation=st.sampled_from([None, None, None, "RESERVATION", "RESERVATION_EXPIRES"]),
)


def elements(
    limits: st.SearchStrategy[TariffRestrictions],
) -> st.SearchStrategy[tuple[TariffElement, ...]]:
    return st.lists(
        st.builds(
            TariffElement,
            price_components=st.lists(component, min_size=1, max_size=3).map(tuple),
            restrictions=st.one_of(st.none(), limits),
        ),
        min_size=1,
        max_size=6,
    ).map(tuple)


def limit(low: int, high: int) -> st.SearchStrategy[PriceLimit]:
    def build(net: int, extra: int) -> PriceLimit:
        return PriceLimit(excl_vat=Decimal(net) / 100, incl_vat=Decimal(net + extra) / 100)

    return st.builds(build, st.integers(low, high), st.integers(0, 40))


tariffs = st.builds(Tariff, id=st.just("T"), currency=st.just("EUR"), elements=elements(restrictions), min_price=maybe(limit(0, 200)), max_price=maybe(limit(240, 1500)))  # fmt: skip
unlimited = st.builds(
    Tariff, id=st.just("T"), currency=st.just("EUR"), elements=elements(restrictions)
)


def focused(
    which: st.SearchStrategy[PriceComponent], limits: st.SearchStrategy[TariffRestrictions]
) -> st.SearchStrategy[Tariff]:
    """Tariffs that dwell on one kind of restriction, so that its edges are met often."""
    one = st.builds(
        TariffElement, price_components=which.map(lambda item: (item,)), restrictions=limits
    )
    return st.builds(
        Tariff,
        id=st.just("T"),
        currency=st.just("EUR"),
        elements=st.lists(one, min_size=2, max_size=6).map(tuple),
    )


def dear(*names: str) -> st.SearchStrategy[PriceComponent]:
    return st.builds(
        PriceComponent,
        type=st.sampled_from(names),
        price=st.integers(1_000, 60_000).map(lambda n: Decimal(n).scaleb(-4)),
        vat=vats,
        step_size=steps,
    )


small_hours = st.integers(0, 20).map(lambda n: n * 900)
by_hour = focused(
    dear("TIME", "PARKING_TIME"),
    st.builds(TariffRestrictions, start_time=maybe(small_hours), end_time=small_hours),
)
by_energy = focused(
    dear("ENERGY"), st.builds(TariffRestrictions, min_kwh=maybe(kwh), max_kwh=maybe(kwh))
)
by_reservation = focused(
    dear("TIME", "FLAT"),
    st.builds(
        TariffRestrictions,
        reservation=st.sampled_from(["RESERVATION", "RESERVATION_EXPIRES", None]),
    ),
)
any_tariff = st.one_of(tariffs, tariffs, by_hour, by_energy, by_reservation)


chances = st.randoms(use_true_random=True)  # even spread: drawn integers keep close to zero


@st.composite
def sessions(draw: st.DrawFn, least: int = 0) -> list[Period]:
    """Up to seven periods near a clock change, with gaps, now and then with a reservation."""
    now = at(draw(st.sampled_from(STARTS)))
    chance = draw(chances)
    kinds = chance.choices(["CHARGING", "CHARGING", "PARKING"], k=chance.randint(1, 6))
    if chance.random() < 0.3:
        kinds = ["RESERVATION", *kinds]
    if not least and chance.random() < 0.15:
        kinds = ["RESERVATION_EXPIRED"]
    periods = []
    for kind in kinds:
        now += timedelta(seconds=chance.choice([0, 0, 0, 45]))
        end = now + timedelta(seconds=chance.choice([1, 60, 1800, chance.randint(1, 7200)]))
        wh = 0 if "RES" in kind else chance.choice([least, chance.randint(1, 90_000)])
        current_a, power_kw = draw(maybe(current)), draw(maybe(power))
        periods.append(Period(now, end, Decimal(wh) / 10, cast(Kind, kind), current_a, power_kw))
        now = end
    return periods


zones = st.sampled_from(ZONES)


@settings(max_examples=300, deadline=None)
@given(any_tariff, sessions(), zones)
def test_the_engine_agrees_with_an_exact_oracle(
    tariff: Tariff, periods: list[Period], zone: str
) -> None:
    priced = price(tariff, periods, time_zone=zone)
    excl, incl = oracle.cost(tariff, periods, zone)
    assert abs(Fraction(priced.excl) - excl) < NEAR
    assert abs(Fraction(priced.incl) - incl) < NEAR
    assert priced.total_excl.amount == oracle.cents(excl)
    assert priced.total_incl.amount == oracle.cents(incl)


@settings(max_examples=150, deadline=None)
@given(by_hour, st.sampled_from(["2026-03-28T23:47:00", "2026-10-24T22:47:00"]), chances)
def test_windows_through_a_clock_change_agree_with_the_oracle(
    tariff: Tariff, start: str, chance: Random
) -> None:
    hours = [Period(at(start), at(start) + timedelta(seconds=chance.randint(9_000, 18_000)))]
    excl, _ = oracle.cost(tariff, hours, "Europe/Berlin")
    assert abs(Fraction(price(tariff, hours, time_zone="Europe/Berlin").excl) - excl) < NEAR


def nearly(amount: Decimal) -> Fraction:
    """An exact amount without the dust of thirds beyond the 20th decimal."""
    return Fraction(round(Fraction(amount) * 10**20), 10**20)


def cut(period: Period, eighths: int) -> list[Period]:
    span = period.end - period.start
    middle = period.start + span * eighths / 8
    first = period.energy_wh * eighths / 8
    # The average power is a fact of the whole period, so both halves state it.
    seconds = span / timedelta(seconds=1)
    kw = period.power_kw
    if kw is None:
        kw = period.energy_wh * 36 / 10 / Decimal(int(seconds))
    return [
        Period(period.start, middle, first, period.kind, period.current_a, kw),
        Period(middle, period.end, period.energy_wh - first, period.kind, period.current_a, kw),
    ]


@settings(max_examples=200, deadline=None)
@given(any_tariff, sessions(), zones, st.integers(0, 9), st.integers(1, 7))
def test_splitting_a_period_never_changes_a_price(
    tariff: Tariff, periods: list[Period], zone: str, which: int, eighths: int
) -> None:
    whole = [half for period in periods for half in cut(period, 8)[:1]]
    place = which % len(periods)
    parts = [*whole[:place], *cut(periods[place], eighths), *whole[place + 1 :]]
    before, after = (price(tariff, given, time_zone=zone) for given in (whole, parts))
    assert abs(before.excl - after.excl) < Decimal("1e-18")
    assert before.total_incl == after.total_incl
    assert [line.element for line in before.lines] == [line.element for line in after.lines]
    assert [p.start for p in before.charging_periods] == [p.start for p in after.charging_periods]


exact_component = st.builds(
    PriceComponent, type=dimensions, price=prices, vat=vats, step_size=st.just(0)
)
by_time = st.builds(TariffRestrictions, start_time=maybe(quarters), end_time=maybe(quarters))
by_clock = st.builds(
    Tariff,
    id=st.just("T"),
    currency=st.just("EUR"),
    elements=st.lists(
        st.builds(TariffElement, price_components=st.lists(exact_component, min_size=1, max_size=3).map(tuple), restrictions=by_time),
        min_size=1,
        max_size=5,
    ).map(tuple),
)  # fmt: skip


energy_for_all = TariffElement(
    price_components=(PriceComponent(type="ENERGY", price=Decimal("0.3333"), step_size=0),)
)


@settings(max_examples=60, deadline=None)
@given(by_clock, sessions(least=1), zones, st.integers(0, 9), chances)
def test_more_energy_never_costs_less(
    tariff: Tariff, periods: list[Period], zone: str, which: int, chance: Random
) -> None:
    place = which % len(periods)
    old = periods[place]
    if "RES" in old.kind:
        return
    new = Period(
        old.start,
        old.end,
        old.energy_wh + chance.randint(1, 50_000),
        old.kind,
        old.current_a,
        old.power_kw,
    )
    grown = [*periods[:place], new, *periods[place + 1 :]]
    tariff = msgspec.structs.replace(tariff, elements=(*tariff.elements, energy_for_all))
    before, after = (price(tariff, given, time_zone=zone) for given in (periods, grown))
    assert after.excl >= before.excl
    assert after.total_incl.amount >= before.total_incl.amount


@settings(max_examples=200, deadline=None)
@given(any_tariff, sessions(), zones, st.booleans())
def test_lines_tax_lines_and_parts_add_up(
    tariff: Tariff, periods: list[Period], zone: str, grouped: bool
) -> None:
    policy = PER_TAX_GROUP if grouped else DEFAULT
    priced = price(tariff, periods, time_zone=zone, policy=policy)
    lines = priced.lines
    assert abs(sum(line.excl for line in lines) - priced.excl) < Decimal("1e-18")
    assert abs(sum(line.incl for line in lines) - priced.incl) < Decimal("1e-18")
    assert sum((line.net for line in priced.tax_lines), Decimal(0)) == priced.total_excl.amount
    if not grouped:
        assert priced.total_excl.amount == oracle.cents(nearly(priced.excl))
        assert priced.total_incl.amount == oracle.cents(nearly(priced.incl))
    taxes = sum((line.tax for line in priced.tax_lines), Decimal(0))
    assert priced.total_excl.amount + taxes == priced.total_incl.amount
    limits = sum(line.excl for line in lines if line.part == "limit")
    parts = (priced.fixed, priced.energy, priced.time, priced.parking, priced.reservation)
    assert abs(sum(part.excl for part in parts) + limits - priced.excl) < Decimal("1e-18")
    assert priced.excl <= priced.incl
    assert priced.total_excl.amount <= priced.total_incl.amount


@settings(max_examples=60, deadline=None)
@given(unlimited, sessions(), zones)
def test_charging_periods_keep_all_energy_and_time(
    tariff: Tariff, periods: list[Period], zone: str
) -> None:
    priced = price(tariff, periods, time_zone=zone)
    given_s = sum((Decimal((p.end - p.start) // timedelta(seconds=1)) for p in periods), Decimal(0))
    assert priced.energy_wh == sum((p.energy_wh for p in periods), Decimal(0))
    assert priced.time_s + priced.reservation_s == given_s
    for name, volume in (
        ("ENERGY", priced.energy_wh / 1000),
        ("PARKING_TIME", priced.parking_s / 3600),
    ):
        listed = sum(
            (d.volume for p in priced.charging_periods for d in p.dimensions if d.type == name),
            Decimal(0),
        )
        assert abs(listed - volume) <= Decimal("0.00005") * max(1, len(priced.charging_periods))
