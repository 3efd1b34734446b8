"""Fees, steps, limits, taxes, currencies, and how a price explains itself (4.1 rules 3 to 15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.tariffs import (
    PER_TAX_GROUP,
    CdrDimension,
    Period,
    Policy,
    Priced,
    VolumePeriod,
    explain,
    price,
    rebuilt,
    running_price,
    tariff_for,
)

from .builders import BERLIN, at, comp, element, session, tariff

START = at("2026-06-04T10:00:00")


def run(case: Any, *steps: tuple[str, float, str], policy: Policy | None = None) -> Priced:
    options = {"policy": policy} if policy else {}
    return price(case, session(START, *steps), time_zone="UTC", **options)


def rules(priced: Priced) -> set[str]:
    return {item.rule for item in priced.readings}


TWO_FEES = tariff(
    element(comp("FLAT", "1"), max_duration=600), element(comp("FLAT", "2", "20"), min_duration=600)
)


def test_rule_4_the_first_flat_that_becomes_active_is_charged_once() -> None:
    priced = run(TWO_FEES, ("CHARGING", 5, "0"), ("CHARGING", 30, "0"))
    assert (priced.excl, "flat_once" in rules(priced)) == (Decimal(1), True)


def test_rule_4_a_policy_may_charge_each_flat_once() -> None:
    each = Policy(id="each", flat="each")
    priced = run(TWO_FEES, ("CHARGING", 5, "0"), ("CHARGING", 30, "0"), policy=each)
    assert (priced.excl, priced.incl, priced.policy) == (Decimal(3), Decimal("3.4"), "each")


def test_cd_7_parking_and_reservation_keep_their_fixed_parts() -> None:
    case = tariff(
        element(comp("FLAT", "2"), comp("TIME", "6"), reservation="RESERVATION"),
        element(comp("FLAT", "3"), comp("PARKING_TIME", "6")),
        element(comp("ENERGY", "1")),
    )
    priced = run(case, ("RESERVATION", 10, "0"), ("CHARGING", 10, "1000"), ("PARKING", 10, "0"))
    parts = (priced.fixed, priced.energy, priced.parking, priced.reservation)
    assert [part.excl for part in parts] == [0, 1, 4, 3]


def test_rule_5_the_last_components_step_rounds_and_bills_the_surplus() -> None:
    case = tariff(
        element(comp("ENERGY", "2", step=8000), end_time="10:10"),
        element(comp("ENERGY", "3", step=5000)),
    )
    priced = run(case, ("CHARGING", 10, "7000"), ("CHARGING", 10, "5000"))
    assert [line.billed for line in priced.lines] == [7000, 8000]
    assert priced.excl == 14 + 24


def test_rule_6_parking_then_charging_again_still_rounds_the_parking() -> None:
    case = tariff(element(comp("TIME", "60", step=600), comp("PARKING_TIME", "60", step=600)))
    priced = run(case, ("CHARGING", 7, "0"), ("PARKING", 13, "0"), ("CHARGING", 4, "0"))
    assert priced.excl == 11 + 20
    assert {"step_parking_only", "parking_then_charging"} <= rules(priced)


def test_rule_6_free_parking_leaves_the_time_to_be_rounded() -> None:
    priced = run(
        tariff(element(comp("TIME", "60", step=900))), ("CHARGING", 16, "0"), ("PARKING", 5, "0")
    )
    assert (priced.excl, "step_last_priced" in rules(priced)) == (Decimal(30), True)


def test_rule_7_a_step_of_zero_rounds_nothing() -> None:
    case = tariff(element(comp("ENERGY", "0.25", step=0), comp("TIME", "3600", step=0)))
    end = START + timedelta(milliseconds=1500)
    priced = price(case, [Period(START, end, Decimal("0.4"))], time_zone="UTC")
    assert priced.excl == Decimal("0.0001") + Decimal("1.5")


def test_the_reservations_step_counts_apart_from_the_sessions() -> None:
    case = tariff(
        element(comp("TIME", "6", step=600), reservation="RESERVATION"),
        element(comp("TIME", "6", step=900)),
    )
    priced = run(case, ("RESERVATION", 3, "0"), ("CHARGING", 16, "0"))
    assert (priced.reservation.excl, priced.time.excl) == (Decimal(1), Decimal(3))
    assert "step_reservation_apart" in rules(priced)


MIXED = [comp("FLAT", "1", "0"), comp("ENERGY", "1", "20", 0)]


@pytest.mark.parametrize(
    ("limits", "wh", "excl", "incl", "taxes"),
    [
        # Without a limit: 1 at 0 % and 10 at 20 %.
        ({}, "10000", "11.00", "13.00", {"0": ("1.00", "0.00"), "20": ("10.00", "2.00")}),
        # The side without VAT reaches its maximum, the other side does not.
        ({"max_price": {"excl_vat": 10, "incl_vat": 14}}, "10000", "10.00", "13.00", None),
        # Only the side with VAT does.
        ({"max_price": {"excl_vat": 12, "incl_vat": 12}}, "10000", "11.00", "12.00", {"0": ("1.00", "0.00"), "20": ("10.00", "1.00")}),
        # Both do, and cents are dealt out by largest remainder.
        ({"max_price": {"excl_vat": 10, "incl_vat": 11}}, "10000", "10.00", "11.00", {"0": ("0.91", "0.00"), "20": ("9.09", "1.00")}),
        ({"min_price": {"excl_vat": 20, "incl_vat": 22}}, "10000", "20.00", "22.00", None),
        # A limit without an amount with VAT: tax in proportion.
        ({"max_price": {"excl_vat": "5.5"}}, "10000", "5.50", "6.50", None),
        ({"min_price": "22"}, "10000", "22.00", "26.00", None),
    ],
)  # fmt: skip
def test_rule_8_limits_hold_on_each_side_and_tax_lines_follow(
    limits: dict[str, Any], wh: str, excl: str, incl: str, taxes: dict[str, Any] | None
) -> None:
    priced = run(tariff(element(*MIXED), **limits), ("CHARGING", 60, wh))
    assert (priced.total_excl.amount, priced.total_incl.amount) == (Decimal(excl), Decimal(incl))
    if taxes is not None:
        found = {str(line.vat): (str(line.net), str(line.tax)) for line in priced.tax_lines}
        assert found == taxes
    assert bool(limits) == (priced.lines[-1].part == "limit")


def test_rule_8_a_minimum_is_due_for_an_empty_session_but_not_for_none() -> None:
    case = tariff(
        element(comp("ENERGY", "1", "10")), min_price={"excl_vat": "0.50", "incl_vat": "0.55"}
    )
    empty = run(case, ("CHARGING", 0, "0"))
    assert (str(empty.total_excl), str(empty.total_incl)) == ("0.50 EUR", "0.55 EUR")
    assert price(case, [], time_zone="UTC").total_incl.amount == 0
    reserved = run(case, ("RESERVATION_EXPIRED", 10, "0"))
    assert (reserved.excl, "limit_no_session" in rules(reserved)) == (Decimal(0), True)


def test_no_vat_and_zero_rated_are_different_tax_lines() -> None:
    case = tariff(element(comp("FLAT", "1"), comp("ENERGY", "1", "0"), comp("TIME", "1", "19")))
    lines = run(case, ("CHARGING", 60, "1000")).tax_lines
    assert {line.vat for line in lines} == {None, Decimal(0), Decimal(19)}


def test_rule_15_gross_prices_give_their_tax_back() -> None:
    case = tariff(element(comp("ENERGY", "0.595", "19")), tax_included="YES")
    priced = run(case, ("CHARGING", 60, "20000"))
    assert (str(priced.total_excl), str(priced.total_incl)) == ("10.00 EUR", "11.90 EUR")
    odd = run(tariff(element(comp("FLAT", "1", "19")), tax_included="YES"), ("CHARGING", 1, "0"))
    assert (str(odd.total_excl), str(odd.total_incl)) == ("0.84 EUR", "1.00 EUR")


def test_rule_15_a_tariff_without_tax_ignores_percentages() -> None:
    priced = run(tariff(element(comp("FLAT", "1", "19")), tax_included="N/A"), ("CHARGING", 1, "0"))
    assert (priced.incl, "no_tax" in rules(priced)) == (Decimal(1), True)


@pytest.mark.parametrize(
    ("currency", "total"),
    [("JPY", "13 JPY"), ("EUR", "12.50 EUR"), ("KWD", "12.499 KWD"), ("CLF", "12.4988 CLF")],
)
def test_rule_11_totals_round_to_the_currencys_own_units(currency: str, total: str) -> None:
    case = tariff(element(comp("ENERGY", "12.49876", step=0)), currency=currency)
    amounts = {"JPY": "1040", "EUR": "1000", "KWD": "1000", "CLF": "1000"}
    assert str(run(case, ("CHARGING", 60, amounts[currency])).total_incl) == total


THIRDS = tariff(
    element(
        comp("FLAT", "0.125", "0"), comp("TIME", "0.125", "20", 0), comp("ENERGY", "0.125", "10", 0)
    )
)


def test_rule_11_half_a_cent_made_of_thirds_rounds_up() -> None:
    case = tariff(
        element(comp("TIME", "0.125", step=0), end_time="10:20"),
        element(comp("TIME", "0.125", step=0)),
    )
    assert str(run(case, ("CHARGING", 60, "0")).total_excl) == "0.13 EUR"


def test_rule_11_the_policy_decides_where_and_how_to_round() -> None:
    steps = ("CHARGING", 60, "1000")
    once = run(THIRDS, steps)
    grouped = run(THIRDS, steps, policy=PER_TAX_GROUP)
    even = run(THIRDS, steps, policy=Policy(id="even", rounding="half_even"))
    down = run(THIRDS, steps, policy=Policy(id="down", rounding="down"))
    assert [str(p.total_excl.amount) for p in (once, grouped, even, down)] == [
        "0.38",
        "0.39",
        "0.38",
        "0.37",
    ]
    assert "rounded_by_group" in rules(grouped)
    assert grouped.policy == "hub-1-tax-group"


def test_a_free_tariff_costs_nothing_and_says_so() -> None:
    priced = run(tariff(element(comp("FLAT", "0", step=0))), ("CHARGING", 60, "20000"))
    assert priced.total_incl.amount == 0
    assert [line.dimension for line in priced.lines] == ["FLAT"]
    nothing = run(tariff(element(comp("PARKING_TIME", "1"))), ("CHARGING", 60, "20000"))
    assert explain(nothing)[0].startswith("Free of charge")


def test_charging_periods_change_exactly_where_the_price_does() -> None:
    case = tariff(
        element(comp("ENERGY", "1"), comp("PARKING_TIME", "1"), end_time="10:30"),
        element(comp("ENERGY", "2"), comp("PARKING_TIME", "1")),
    )
    listed = run(
        case, ("CHARGING", 20, "4000"), ("CHARGING", 20, "4000"), ("PARKING", 30, "0")
    ).charging_periods
    assert [period.start.strftime("%H:%M") for period in listed] == ["10:00", "10:30", "10:40"]
    assert listed[0].dimensions == (
        CdrDimension("ENERGY", Decimal("6.0000")),
        CdrDimension("TIME", Decimal("0.5000")),
    )
    assert listed[2].dimensions == (CdrDimension("PARKING_TIME", Decimal("0.5000")),)


def test_a_boundary_that_changes_no_price_begins_no_charging_period() -> None:
    case = tariff(
        element(comp("PARKING_TIME", "1"), start_time="10:15", end_time="10:20", max_kwh=1),
        element(comp("ENERGY", "1")),
    )
    assert len(run(case, ("CHARGING", 60, "9000")).charging_periods) == 1


def test_every_line_tells_its_times_quantities_price_and_rule() -> None:
    case = tariff(element(comp("TIME", "3", "19", 600)))
    (line,) = run(case, ("CHARGING", 12, "0")).lines
    assert (line.start, line.end) == (START, START + timedelta(minutes=12))
    assert (line.quantity, line.billed, line.unit) == (Decimal(720), Decimal(1200), "s")
    assert (line.unit_price, line.vat, line.excl, line.incl) == (
        Decimal(3),
        Decimal(19),
        Decimal(1),
        Decimal("1.19"),
    )
    assert line.element == 0
    assert "step_size" in line.clause


def test_explain_reads_like_a_receipt() -> None:
    case = tariff(element(comp("FLAT", "0.5", "19"), comp("ENERGY", "0.49", "19", 500)))
    texts = explain(run(case, ("CHARGING", 30, "4300")), time_zone=BERLIN)
    assert texts[0].startswith("Fee: 0.5000 EUR")
    assert texts[1].startswith(
        "Energy 2026-06-04 12:00:00 to 2026-06-04 12:30:00: "
        "4.5 kWh x 0.49/kWh (measured 4.3 kWh) = 2.2050 EUR"
    )
    assert texts[2:5] == [
        "VAT 19 % on 2.71 EUR: 0.51 EUR",
        "Total without tax: 2.71 EUR",
        "Total: 3.22 EUR",
    ]


def test_a_running_price_is_what_the_session_would_cost_now() -> None:
    case = tariff(element(comp("ENERGY", "0.5", "20")))
    periods = session(START, ("CHARGING", 30, "4000"))
    assert str(running_price(case, periods, time_zone="UTC")) == "2.40 EUR"


def test_rule_9_the_tariff_valid_at_the_start_governs() -> None:
    fee = element(comp("FLAT", "1"))
    old = tariff(fee, end_date_time="2026-06-01T00:00:00Z")
    new = tariff(fee, start_date_time="2026-06-01T00:00:00Z")
    card = tariff(fee, type="AD_HOC_PAYMENT")
    change = datetime(2026, 6, 1, tzinfo=UTC)
    assert tariff_for((old, new, card), change, "REGULAR") is new
    assert tariff_for((old, new, card), change - timedelta(seconds=1), "REGULAR") is old
    assert tariff_for((old, new, card), change, "AD_HOC_PAYMENT") is card
    assert tariff_for((card,), change, "REGULAR") is None


def volumes(minute: int, **dimensions: str) -> VolumePeriod:
    at_minute = START + timedelta(minutes=minute)
    return VolumePeriod(at_minute, {name: Decimal(value) for name, value in dimensions.items()})


def test_rule_12_instants_win_where_volumes_agree_with_them() -> None:
    made = rebuilt(
        [volumes(0, TIME="0.0833", ENERGY="1.5"), volumes(5, PARKING_TIME="0.0833")],
        START + timedelta(minutes=10),
    )
    assert (made.by, made.delta_s) == ("instants", Decimal("0.24"))
    assert [(p.kind, p.end - p.start, p.energy_wh) for p in made.periods] == [
        ("CHARGING", timedelta(minutes=5), Decimal(1500)),
        ("PARKING", timedelta(minutes=5), Decimal(0)),
    ]


def test_rule_12_volumes_win_where_they_disagree_and_the_difference_is_told() -> None:
    made = rebuilt([volumes(0, TIME="0.5"), volumes(5, TIME="0.5")], START + timedelta(minutes=10))
    assert (made.by, made.delta_s) == ("volumes", Decimal(3000))
    assert made.periods[-1].end == START + timedelta(hours=1)
