"""Tariffs as partners send them: what is mended, what is refused, and by which name."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from hub.kernel import InvalidValue
from hub.tariffs import PriceLimit, tariff_of_ocpi

from .builders import comp, element

PLAIN: dict[str, Any] = {
    "id": "12",
    "currency": "EUR",
    "elements": [element(comp("ENERGY", "0.25"))],
}


def test_everything_a_tariff_says_is_kept() -> None:
    body = {
        **PLAIN,
        "country_code": "de",
        "party_id": "ALL",
        "type": "AD_HOC_PAYMENT",
        "tariff_alt_text": [{"language": "nl", "text": "2,00 euro p/uur"}],
        "tariff_alt_url": "https://example.com/12",
        "min_price": {"excl_vat": 0.5, "incl_vat": 0.55},
        "max_price": {"before_taxes": 10},
        "preauthorize_amount": 40,
        "start_date_time": "2026-06-01T00:00:00",
        "tax_included": "NO",
        "energy_mix": {"is_green_energy": True},
        "last_updated": "2026-05-01T08:00:00Z",
        "unknown": {"of": "nobody"},
    }
    tariff = tariff_of_ocpi(json.dumps(body).encode())
    assert (tariff.country_code, tariff.party_id, tariff.type) == ("DE", "ALL", "AD_HOC_PAYMENT")
    assert tariff.tariff_alt_text[0].text == "2,00 euro p/uur"
    assert tariff.tariff_alt_url == "https://example.com/12"
    assert tariff.min_price == PriceLimit(excl_vat=Decimal("0.5"), incl_vat=Decimal("0.55"))
    assert tariff.max_price == PriceLimit(excl_vat=Decimal(10))
    assert tariff.preauthorize_amount == 40
    assert tariff.start_date_time == datetime(2026, 6, 1, tzinfo=UTC)
    assert tariff.energy_mix == b'{"is_green_energy":true}'


def test_numbers_are_exact_whether_they_come_as_numbers_or_texts() -> None:
    body = b'{"id":"1","currency":"eur","elements":[{"price_components":[{"type":"TIME","price":0.1,"vat":"5.2","step_size":"60"}]}]}'
    tariff = tariff_of_ocpi(body)
    component = tariff.elements[0].price_components[0]
    assert (component.price, component.vat, component.step_size) == (
        Decimal("0.1"),
        Decimal("5.2"),
        60,
    )
    assert tariff.currency == "EUR"


def test_restrictions_may_come_in_a_list_of_one_with_seconds() -> None:
    wrapped = {
        "price_components": [comp("TIME", "0")],
        "restrictions": [
            {"start_time": "08:00:00", "end_time": "19:59:59", "start_date": "2026-06-01"}
        ],
    }
    empty = {"price_components": [comp("TIME", "0")], "restrictions": []}
    first, second = tariff_of_ocpi({**PLAIN, "elements": [wrapped, empty]}).elements
    assert first.restrictions is not None
    assert (first.restrictions.start_time, first.restrictions.end_time) == (28800, 71999)
    assert first.restrictions.start_date == date(2026, 6, 1)
    assert second.restrictions is None


def with_component(**change: Any) -> dict[str, Any]:
    return {**PLAIN, "elements": [{"price_components": [{**comp("ENERGY", "1"), **change}]}]}


def with_restriction(**change: Any) -> dict[str, Any]:
    return {**PLAIN, "elements": [element(comp("ENERGY", "1"), **change)]}


PRICE = "elements[0].price_components[0]"
LIMITS = "elements[0].restrictions"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "tariff"),
        (b"\xff\xfe", "tariff"),
        (b"[]", "tariff"),
        (b"[" * 100_000, "tariff"),
        ({**PLAIN, "id": None}, "id"),
        ({**PLAIN, "id": "a\x00b"}, "id"),
        ({**PLAIN, "currency": "EURO"}, "currency"),
        ({**PLAIN, "elements": []}, "elements"),
        ({**PLAIN, "elements": {}}, "elements"),
        ({**PLAIN, "elements": [{"price_components": []}]}, "elements[0].price_components"),
        (with_component(type="SMILES"), f"{PRICE}.type"),
        (with_component(price=None), f"{PRICE}.price"),
        (with_component(price="1,20"), f"{PRICE}.price"),
        (with_component(price=True), f"{PRICE}.price"),
        (with_component(price="NaN"), f"{PRICE}.price"),
        (with_component(price="1e400"), f"{PRICE}.price"),
        (with_component(price="1e-400"), f"{PRICE}.price"),
        (with_component(vat=-1), f"{PRICE}.vat"),
        (with_component(step_size=-1), f"{PRICE}.step_size"),
        (with_component(step_size="1.5"), f"{PRICE}.step_size"),
        (with_restriction(start_time="25:00"), f"{LIMITS}.start_time"),
        (with_restriction(end_time="8 o'clock"), f"{LIMITS}.end_time"),
        (with_restriction(start_date="2026-13-01"), f"{LIMITS}.start_date"),
        (with_restriction(day_of_week=["FUNDAY"]), f"{LIMITS}.day_of_week[0]"),
        (with_restriction(reservation="MAYBE"), f"{LIMITS}.reservation"),
        (with_restriction(min_duration="soon"), f"{LIMITS}.min_duration"),
        ({**PLAIN, "max_price": {"incl_vat": 3}}, "max_price.excl_vat"),
        ({**PLAIN, "start_date_time": "yesterday"}, "start_date_time"),
        ({**PLAIN, "tax_included": "PERHAPS"}, "tax_included"),
        ({**PLAIN, "elements": [{"price_components": [comp("TIME", "1")], "restrictions": [{}, {}]}]}, LIMITS),
    ],
)  # fmt: skip
def test_a_tariff_that_cannot_be_read_names_the_member_at_fault(body: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        tariff_of_ocpi(body)
    assert caught.value.field == field
