"""Exact money, instants as the field writes them, ids in order, JSON without loss."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.kernel import (
    CurrencyMismatch,
    InvalidValue,
    Money,
    decode,
    encode,
    exponent,
    format_instant,
    new_id,
    parse_instant,
    round_half_up,
)

AT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-29T01:00:00Z", AT),
        ("2026-03-29T01:00:00", AT),
        ("2026-03-29 01:00:00", AT),
        ("2026-03-29T03:00:00+02:00", AT),
        ("2026-03-29T03:00:00+0200", AT),
        ("2026-03-29T01:00:00.000000000Z", AT),
        ("2026-03-29T01:00:00.Z", AT),
        ("2026-3-29T01:00Z", AT),
        ("2026-03-29T00:59:60Z", AT),
        ("1970-1-1T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_T_C4_instants_are_read_as_partners_write_them(text: str, expected: datetime) -> None:
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01T00:00:00Z", "29.03.2026", "0000-01-01T00:00:00Z"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_instant(text)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_an_instant_survives_its_text_to_the_millisecond(at: datetime) -> None:
    assert parse_instant(format_instant(at)) == at.replace(
        microsecond=at.microsecond // 1000 * 1000
    )


@pytest.mark.parametrize(("currency", "places"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("UYW", 4)])
def test_each_currency_has_its_own_minor_unit(currency: str, places: int) -> None:
    assert exponent(currency) == places
    assert Money(Decimal(1), currency).minor() == 10**places


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "E1", "ÄÖÜ"])
def test_a_malformed_currency_is_refused(currency: str) -> None:
    with pytest.raises(InvalidValue):
        exponent(currency)


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("5.625", "5.63"), ("-5.625", "-5.63"), ("4.997", "5.00"), ("0.004", "0.00")],
)
def test_halves_are_rounded_away_from_zero(amount: str, rounded: str) -> None:
    assert round_half_up(Decimal(amount), 2) == Decimal(rounded)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_minor_units_and_money_are_the_same_amount(minor: int, currency: str) -> None:
    assert Money.of_minor(minor, currency).minor() == minor


def test_currencies_never_mix() -> None:
    with pytest.raises(CurrencyMismatch, match="EUR with SEK"):
        Money(Decimal(1), "EUR") + Money(Decimal(1), "SEK")
    assert Money(Decimal(1), "EUR") - Money(Decimal(3), "EUR") == -Money(Decimal(2), "EUR")


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12
    )
)
def test_a_decimal_survives_json_exactly(value: Decimal) -> None:
    assert decode(encode([value]), list[Decimal]) == [value]


def test_ids_are_version_7_and_grow_with_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert {i.version for i in ids} == {7}
    assert len(set(ids)) == 100
    assert ids[0].int >> 80 <= ids[-1].int >> 80
