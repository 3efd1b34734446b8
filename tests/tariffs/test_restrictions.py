"""When an element applies (4.1 rules 1, 2 and 14): every restriction, midnight, summer time."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.kernel import InvalidValue
from hub.tariffs import Period, Priced, Tariff, price

from .builders import BERLIN, at, comp, element, session, tariff

ENERGY_1 = comp("ENERGY", "1", step=0)
ENERGY_9 = comp("ENERGY", "9", step=0)
TIME_6 = comp("TIME", "6", step=0)


def limited(**restrictions: Any) -> Tariff:
    """1 per kWh where the restrictions hold, 9 elsewhere."""
    return tariff(element(ENERGY_1, **restrictions), element(ENERGY_9))


def priced(case: Tariff, start: str, minutes: float, wh: str, zone: str = "UTC") -> Priced:
    return price(case, session(at(start, zone), ("CHARGING", minutes, wh)), time_zone=zone)


# Ten kWh in an hour from Thursday 2026-06-04 10:00; how many kWh fall under the restriction.
ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("start_time is inclusive", {"start_time": "10:30"}, "5"),
    ("end_time is exclusive", {"end_time": "10:15"}, "2.5"),
    ("start and end", {"start_time": "10:06", "end_time": "10:12"}, "1"),
    ("seconds as real feeds write them", {"start_time": "10:00:00", "end_time": "10:29:59"}, "4.9972222222"),
    ("end 00:00 is the end of the day", {"start_time": "10:30", "end_time": "00:00"}, "5"),
    ("wraps over midnight", {"start_time": "22:00", "end_time": "10:30"}, "5"),
    ("start equals end: the whole day", {"start_time": "08:00", "end_time": "08:00"}, "10"),
    ("start_date is inclusive", {"start_date": "2026-06-04"}, "10"),
    ("start_date tomorrow", {"start_date": "2026-06-05"}, "0"),
    ("end_date is exclusive", {"end_date": "2026-06-04"}, "0"),
    ("end_date tomorrow", {"end_date": "2026-06-05"}, "10"),
    ("weekday", {"day_of_week": ["THURSDAY"]}, "10"),
    ("other weekday", {"day_of_week": ["FRIDAY", "SUNDAY"]}, "0"),
    ("min_kwh is inclusive", {"min_kwh": 4}, "6"),
    ("max_kwh is exclusive", {"max_kwh": "0.1"}, "0.1"),
    ("min and max kwh", {"min_kwh": 2, "max_kwh": 5}, "3"),
    ("min_duration", {"min_duration": 1800}, "5"),
    ("max_duration", {"max_duration": 360}, "1"),
    ("min_power, average of the period", {"min_power": 10}, "10"),
    ("min_power too high", {"min_power": "10.01"}, "0"),
    ("max_power is exclusive", {"max_power": 10}, "0"),
    ("restrictions hold together", {"min_kwh": 4, "max_duration": 1800}, "1"),
    ("unmeasured current applies nowhere", {"min_current": 0}, "0"),
    ("reservation never prices a session", {"reservation": "RESERVATION"}, "0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("restrictions", "kwh"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_restriction_holds_exactly_where_it_says(restrictions: dict[str, Any], kwh: str) -> None:
    result = priced(limited(**restrictions), "2026-06-04T10:00:00", 60, "10000")
    expected = Decimal(kwh) + (10 - Decimal(kwh)) * 9
    assert abs(result.excl - expected) < Decimal("1e-8")


@pytest.mark.parametrize(
    ("amps", "restrictions", "cheap"),
    [
        ("32", {"min_current": 32}, True),
        ("31.9", {"min_current": 32}, False),
        ("32", {"max_current": 32}, False),
        ("31.9", {"max_current": 32}, True),
    ],
)
def test_current_is_inclusive_at_the_minimum_and_exclusive_at_the_maximum(
    amps: str, restrictions: dict[str, Any], cheap: bool
) -> None:
    start = at("2026-06-04T10:00:00")
    period = Period(start, start + timedelta(hours=1), Decimal(1000), current_a=Decimal(amps))
    assert price(limited(**restrictions), [period], time_zone="UTC").excl == (1 if cheap else 9)


def test_a_measured_power_goes_before_the_average() -> None:
    start = at("2026-06-04T10:00:00")
    period = Period(start, start + timedelta(hours=1), Decimal(1000), power_kw=Decimal(50))
    result = price(limited(min_power=40), [period], time_zone="UTC")
    assert result.excl == 1
    assert "power_average" not in {item.rule for item in result.readings}


def test_session_length_counts_parking_and_gaps_but_not_the_reservation() -> None:
    start = at("2026-06-04T10:00:00")
    case = tariff(element(TIME_6, min_duration=3600))
    periods = session(start, ("RESERVATION", 30, "0"), ("CHARGING", 30, "0"), ("PARKING", 20, "0"))
    resumed = periods[-1].end + timedelta(minutes=5)
    periods.append(Period(resumed, resumed + timedelta(minutes=10)))
    # The session is 55 minutes old when charging resumes; 5 of its 10 minutes are priced.
    assert price(case, periods, time_zone="UTC").excl == Decimal("0.5")


def test_dimensions_are_resolved_apart_from_each_other() -> None:
    case = tariff(
        element(ENERGY_1, start_time="10:30"),
        element(TIME_6),
        element(ENERGY_9, comp("TIME", "99")),
    )
    result = priced(case, "2026-06-04T10:00:00", 60, "10000")
    assert (result.energy.excl, result.time.excl) == (Decimal(50), Decimal(6))


def test_a_dimension_without_a_matching_element_is_free() -> None:
    result = priced(tariff(element(ENERGY_9, end_time="09:00")), "2026-06-04T10:00:00", 60, "10000")
    assert result.excl == 0
    assert not result.lines


def test_a_friday_window_over_midnight_does_not_reach_into_saturday() -> None:
    case = limited(start_time="22:00", end_time="06:00", day_of_week=["FRIDAY"])
    result = priced(case, "2026-06-05T23:00:00", 120, "2000")
    assert result.excl == 1 + 9
    assert "wrapped_weekday" in {item.rule for item in result.readings}


@pytest.mark.parametrize(
    ("start", "window", "cheap_minutes"),
    [
        # Spring, 02:00 becomes 03:00: the two hours from 01:00 UTC+1 read 01:xx and 03:xx.
        ("2026-03-29T01:00:00", ("02:00", "03:00"), 0),
        ("2026-03-29T01:00:00", ("02:30", "03:30"), 30),
        ("2026-03-29T01:00:00", ("00:00", "02:30"), 60),
        ("2026-03-29T01:00:00", ("03:15", "00:00"), 45),
        # Autumn, 03:00 becomes 02:00: the two hours from 02:00 summer time read 02:xx twice.
        ("2026-10-25T02:00:00", ("02:00", "03:00"), 120),
        ("2026-10-25T02:00:00", ("02:30", "03:00"), 90),
        ("2026-10-25T02:00:00", ("00:00", "02:30"), 30),
        ("2026-10-25T02:00:00", ("03:00", "04:00"), 0),
    ],
)
def test_clock_changes_follow_the_first_occurrence_and_the_end_of_the_gap(
    start: str, window: tuple[str, str], cheap_minutes: int
) -> None:
    case = tariff(
        element(comp("TIME", "1", step=0), start_time=window[0], end_time=window[1]),
        element(comp("TIME", "7", step=0)),
    )
    result = priced(case, start, 120, "0", BERLIN)
    expected = Decimal(cheap_minutes + 7 * (120 - cheap_minutes)) / 60
    assert abs(result.excl - expected) < Decimal("1e-20")
    assert "clock_change" in {item.rule for item in result.readings}


def test_a_night_over_the_clock_change_has_nine_and_seven_and_eight_hours() -> None:
    case = tariff(element(comp("TIME", "1", step=0), start_time="22:00", end_time="06:00"))
    hours = {
        day: priced(case, f"{day}T18:00:00", 16 * 60, "0", BERLIN).excl
        for day in ("2026-03-28", "2026-06-28", "2026-10-24")
    }
    # 16 hours by the clock of the start; the window itself is 7, 8 and 9 hours long.
    assert hours == {"2026-03-28": 7, "2026-06-28": 8, "2026-10-24": 9}


def test_a_window_belongs_to_the_locations_zone() -> None:
    case = limited(start_time="10:00", end_time="11:00")
    assert priced(case, "2026-06-04T10:00:00", 60, "1000", "Asia/Kathmandu").excl == 1
    start = [Period(at("2026-06-04T10:00:00"), at("2026-06-04T11:00:00"), Decimal(1000))]
    assert price(case, start, time_zone="Asia/Kathmandu").excl == 9


def test_energy_thresholds_split_even_an_instant() -> None:
    moment = at("2026-06-04T10:00:00")
    case = tariff(element(ENERGY_1, max_kwh=3), element(ENERGY_9))
    assert price(case, [Period(moment, moment, Decimal(5000))], time_zone="UTC").excl == 3 + 18


def test_a_session_over_many_days_meets_each_days_window() -> None:
    case = tariff(element(comp("TIME", "1", step=0), start_time="09:00", end_time="10:00", day_of_week=["MONDAY", "TUESDAY"]))  # fmt: skip
    assert priced(case, "2026-06-01T00:00:00", 14 * 24 * 60, "0", BERLIN).excl == 4


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda t: Period(t, t - timedelta(seconds=1)), "period.end"),
        (lambda t: Period(t.replace(tzinfo=None), t), "period"),
        (lambda t: Period(t, t, Decimal(-1)), "period.energy_wh"),
        (lambda t: Period(t, t, Decimal("NaN")), "period.energy_wh"),
        (lambda t: Period(t, t, Decimal("1e30")), "period.energy_wh"),
    ],
)
def test_a_period_that_cannot_be_is_refused(wrong: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        wrong(at("2026-06-04T10:00:00"))
    assert caught.value.field == field


def test_overlapping_periods_and_unknown_zones_are_refused() -> None:
    start: datetime = at("2026-06-04T10:00:00")
    period = Period(start, start + timedelta(hours=1))
    with pytest.raises(InvalidValue, match="overlap"):
        price(limited(), [period, period], time_zone="UTC")
    with pytest.raises(InvalidValue, match="IANA"):
        price(limited(), [period], time_zone="Mars/Olympus")
