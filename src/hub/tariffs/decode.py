"""Partners' tariff JSON (OCPI 2.1.1, 2.2.1, 2.3.0 and its dialects in the field) into ``Tariff``.

Lenient where the meaning is plain, ``InvalidValue`` naming the member where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import msgspec

from hub.kernel import InvalidValue, encode, exponent, parse_instant
from hub.tariffs.model import (
    DAY_SECONDS,
    WEEKDAYS,
    Dimension,
    DisplayText,
    PriceComponent,
    PriceLimit,
    ReservationRestriction,
    Tariff,
    TariffElement,
    TariffRestrictions,
    TaxIncluded,
    Weekday,
)

T = TypeVar("T")
W = TypeVar("W", bound=str)
_DIMENSIONS: Final[tuple[Dimension, ...]] = ("FLAT", "ENERGY", "TIME", "PARKING_TIME")
_RESERVATIONS: Final[tuple[ReservationRestriction, ...]] = ("RESERVATION", "RESERVATION_EXPIRES")
_TAX_INCLUDED: Final[tuple[TaxIncluded, ...]] = ("YES", "NO", "N/A")
_JSON = msgspec.json.Decoder(float_hook=Decimal)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")
_DIGITS = 15


def tariff_of_ocpi(body: bytes | str | Mapping[str, Any]) -> Tariff:
    """A tariff object as a partner sent it.

    Accepts numbers written as strings, ``HH:MM:SS`` times, a missing ``last_updated`` or owner,
    ``restrictions`` wrapped in a list of one, lower-case codes, and members it does not know.
    Raises ``InvalidValue`` whose ``field`` is the path of the member at fault.
    """
    raw = _object(_parsed(body), "tariff")
    elements = _list(raw.get("elements"), "elements", _element)
    if not elements:
        raise InvalidValue("elements", "a tariff needs at least one element")
    currency = _text(raw.get("currency"), "currency").upper()
    exponent(currency)
    mix = raw.get("energy_mix")
    return Tariff(
        id=_text(raw.get("id"), "id"),
        currency=currency,
        elements=elements,
        country_code=str(raw.get("country_code") or "").upper(),
        party_id=str(raw.get("party_id") or "").upper(),
        type=_maybe(raw, "type", _text),
        tariff_alt_text=_list(raw.get("tariff_alt_text"), "tariff_alt_text", _display),
        tariff_alt_url=_maybe(raw, "tariff_alt_url", _text),
        min_price=_maybe(raw, "min_price", _limit),
        max_price=_maybe(raw, "max_price", _limit),
        preauthorize_amount=_maybe(raw, "preauthorize_amount", _number),
        start_date_time=_maybe(raw, "start_date_time", _instant),
        end_date_time=_maybe(raw, "end_date_time", _instant),
        tax_included=_maybe(raw, "tax_included", _tax_included),
        energy_mix=encode(mix) if mix is not None else None,
        last_updated=_maybe(raw, "last_updated", _instant),
    )


def _parsed(body: bytes | str | Mapping[str, Any]) -> object:
    if isinstance(body, Mapping):
        return body
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError) as error:
        raise InvalidValue("tariff", f"is not JSON: {error}") from error


def _element(raw: object, path: str) -> TariffElement:
    members = _object(raw, path)
    components = _list(members.get("price_components"), f"{path}.price_components", _component)
    if not components:
        raise InvalidValue(f"{path}.price_components", "an element needs at least one component")
    restrictions = members.get("restrictions")
    if isinstance(restrictions, list | tuple):
        restrictions = _only(restrictions, f"{path}.restrictions")
    if not restrictions:
        return TariffElement(price_components=components)
    return TariffElement(
        price_components=components,
        restrictions=_restrictions(restrictions, f"{path}.restrictions"),
    )


def _only(values: list[Any] | tuple[Any, ...], path: str) -> object:
    if len(values) > 1:
        raise InvalidValue(path, "is a list of several; OCPI knows one object per element")
    return values[0] if values else None


def _component(raw: object, path: str) -> PriceComponent:
    members = _object(raw, path)
    vat = _maybe(members, "vat", _number, path)
    if vat is not None and vat < 0:
        raise InvalidValue(f"{path}.vat", f"{vat} is negative")
    step = _maybe(members, "step_size", _whole, path)
    return PriceComponent(
        type=_dimension(members.get("type"), f"{path}.type"),
        price=_number(members.get("price"), f"{path}.price"),
        vat=vat,
        step_size=1 if step is None else step,
    )


def _restrictions(raw: object, path: str) -> TariffRestrictions:
    members = _object(raw, path)

    def quantity(name: str) -> Decimal | None:
        return _maybe(members, name, _number, path)

    days = members.get("day_of_week") or []
    return TariffRestrictions(
        start_time=_maybe(members, "start_time", _clock, path),
        end_time=_maybe(members, "end_time", _clock, path),
        start_date=_maybe(members, "start_date", _date, path),
        end_date=_maybe(members, "end_date", _date, path),
        min_kwh=quantity("min_kwh"),
        max_kwh=quantity("max_kwh"),
        min_current=quantity("min_current"),
        max_current=quantity("max_current"),
        min_power=quantity("min_power"),
        max_power=quantity("max_power"),
        min_duration=_maybe(members, "min_duration", _whole, path),
        max_duration=_maybe(members, "max_duration", _whole, path),
        day_of_week=_list(days, f"{path}.day_of_week", _weekday),
        reservation=_maybe(members, "reservation", _reservation, path),
    )


def _limit(raw: object, path: str) -> PriceLimit:
    if not isinstance(raw, Mapping):
        return PriceLimit(excl_vat=_number(raw, path))
    net = raw.get("excl_vat", raw.get("before_taxes"))
    gross = raw.get("incl_vat", raw.get("after_taxes"))
    return PriceLimit(
        excl_vat=_number(net, f"{path}.excl_vat"),
        incl_vat=None if gross is None else _number(gross, f"{path}.incl_vat"),
    )


def _display(raw: object, path: str) -> DisplayText:
    members = _object(raw, path)
    return DisplayText(
        language=_text(members.get("language"), f"{path}.language"),
        text=_text(members.get("text"), f"{path}.text"),
    )


def _object(raw: object, path: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidValue(path, "must be an object")
    return raw


def _list(raw: object, path: str, read: Callable[[object, str], T]) -> tuple[T, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple):
        raise InvalidValue(path, "must be a list")
    return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(raw))


def _maybe(
    members: Mapping[str, Any], name: str, read: Callable[[object, str], T], path: str = ""
) -> T | None:
    raw = members.get(name)
    return None if raw is None else read(raw, f"{path}.{name}" if path else name)


def _text(raw: object, path: str) -> str:
    if not isinstance(raw, str) or not raw or "\x00" in raw:
        raise InvalidValue(path, "must be a text that is not empty and has no NUL")
    return raw


def _number(raw: object, path: str) -> Decimal:
    """Exact, from a JSON number or its text; at most 15 digits on either side of the point."""
    try:
        value = Decimal(str(raw).strip()) if not isinstance(raw, bool) else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise InvalidValue(path, f"{str(raw)[:40]!r} is not a number")
    parts = value.as_tuple()
    if not isinstance(parts.exponent, int) or parts.exponent < -_DIGITS:
        raise InvalidValue(path, f"{str(raw)[:40]} has more than {_DIGITS} decimals")
    if value and value.adjusted() >= _DIGITS:
        raise InvalidValue(path, f"{str(raw)[:40]} is too large")
    return value


def _whole(raw: object, path: str) -> int:
    value = _number(raw, path)
    if value != value.to_integral_value() or value < 0:
        raise InvalidValue(path, f"{value} is not a whole number from zero")
    return int(value)


def _instant(raw: object, path: str) -> datetime:
    try:
        return parse_instant(_text(raw, path))
    except InvalidValue as error:
        raise InvalidValue(path, error.reason) from error


def _date(raw: object, path: str) -> date:
    try:
        return date.fromisoformat(_text(raw, path))
    except ValueError as error:
        raise InvalidValue(path, f"{str(raw)[:40]!r} is not a date (YYYY-MM-DD)") from error


def _clock(raw: object, path: str) -> int:
    found = _CLOCK.fullmatch(_text(raw, path).strip())
    hour, minute, second = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
    total = hour * 3600 + minute * 60 + second
    if minute > 59 or second > 59 or total > DAY_SECONDS:
        raise InvalidValue(path, f"{str(raw)[:40]!r} is not a time of day (HH:MM)")
    return total % DAY_SECONDS


def _dimension(raw: object, path: str) -> Dimension:
    return _one_of(raw, path, _DIMENSIONS)


def _weekday(raw: object, path: str) -> Weekday:
    return _one_of(raw, path, WEEKDAYS)


def _reservation(raw: object, path: str) -> ReservationRestriction:
    return _one_of(raw, path, _RESERVATIONS)


def _tax_included(raw: object, path: str) -> TaxIncluded:
    return _one_of(raw, path, _TAX_INCLUDED)


def _one_of(raw: object, path: str, allowed: tuple[W, ...]) -> W:
    word = _text(raw, path).upper()
    for known in allowed:
        if known == word:
            return known
    raise InvalidValue(path, f"{word[:40]!r} is none of {', '.join(allowed)}")
