"""Tariffs inside a CPO's file: their dialect mended, and what they probably do not mean doubted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hub.kernel import InvalidValue
from hub.tariffs import Tariff, TariffElement, TariffRestrictions, tariff_of_ocpi

_DAY = 86_400


def mended_tariff(raw: object, location: Mapping[str, Any]) -> tuple[Tariff, list[tuple[str, str]]]:
    """An inline tariff as OCPI means it, and what was mended, as (path, reason).

    The owner is the location's when the tariff names none. Raises ``InvalidValue``.
    """
    if not isinstance(raw, Mapping):
        raise InvalidValue("tariff", "must be an object")
    tariff, mended = tariff_of_ocpi(raw), list(_dialect(raw))
    elements = []
    for index, element in enumerate(tariff.elements):
        rule = element.restrictions
        if rule and rule.end_time is not None and rule.end_time % 60 == 59:
            path = f"elements[{index}].restrictions.end_time"
            mended.append(
                (path, "ends with the last second: OCPI's end is exclusive, moved on by 1 s")
            )
            rule = msgspec.structs.replace(rule, end_time=(rule.end_time + 1) % _DAY)
            element = msgspec.structs.replace(element, restrictions=rule)  # noqa: PLW2901
        elements.append(element)
    return (
        msgspec.structs.replace(
            tariff,
            elements=tuple(elements),
            country_code=tariff.country_code or str(location.get("country_code") or "").upper(),
            party_id=tariff.party_id or str(location.get("party_id") or "").upper(),
        ),
        mended,
    )


def doubts_of(tariff: Tariff) -> Iterator[tuple[str, str]]:
    """Prices that can never apply, since OCPI takes the first element that fits."""
    for late, element in enumerate(tariff.elements):
        for component in element.price_components:
            for early, before in enumerate(tariff.elements[:late]):
                same = [c for c in before.price_components if c.type == component.type]
                if same and same[0].price != component.price and _covers(before, element):
                    path = f"tariffs[{tariff.id}].elements[{late}]"
                    reason = f"never applies: elements[{early}] fits first in all its cases"
                    yield path, f"{component.type} {component.price} {reason}"
                    break


def _dialect(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for index, element in enumerate(raw["elements"]):
        if not isinstance(element, Mapping):
            continue
        rule, path = element.get("restrictions"), f"elements[{index}].restrictions"
        if isinstance(rule, list):
            yield path, "a list: OCPI has one object"
            rule = rule[0] if rule else {}
        for name in ("start_time", "end_time"):
            if isinstance(rule, Mapping) and str(rule.get(name) or "").count(":") > 1:
                yield f"{path}.{name}", "with seconds: OCPI writes HH:MM"
    if raw.get("last_updated") is None:
        yield "last_updated", "missing: the hour of the import"


def _covers(first: TariffElement, later: TariffElement) -> bool:
    """Whether everything that ``first`` restricts is restricted alike by ``later``."""
    wide, narrow = first.restrictions, later.restrictions
    if wide is None:
        return True
    empty = TariffRestrictions()
    for name in TariffRestrictions.__struct_fields__:
        value = getattr(wide, name)
        if value != getattr(empty, name) and (narrow is None or getattr(narrow, name) != value):
            return False
    return True
