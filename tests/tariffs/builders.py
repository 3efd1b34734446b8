"""Short words for tariffs and sessions in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hub.tariffs import Period, Tariff, tariff_of_ocpi

BERLIN = "Europe/Berlin"


def comp(kind: str, price: str, vat: str | None = None, step: int = 1) -> dict[str, Any]:
    body: dict[str, Any] = {"type": kind, "price": price, "step_size": step}
    return body if vat is None else {**body, "vat": vat}


def element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"price_components": list(components)}
    return {**body, "restrictions": restrictions} if restrictions else body


def tariff(*elements: dict[str, Any], currency: str = "EUR", **rest: Any) -> Tariff:
    return tariff_of_ocpi({"id": "T", "currency": currency, "elements": list(elements), **rest})


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def session(start: datetime, *steps: tuple[str, float, str] | Period) -> list[Period]:
    """Periods one after another: (kind, minutes, Wh), or periods as they are."""
    periods: list[Period] = []
    for step in steps:
        if isinstance(step, Period):
            periods.append(step)
        else:
            kind, minutes, wh = step
            end = start + timedelta(seconds=round(minutes * 60))
            periods.append(Period(start, end, Decimal(wh), kind))  # type: ignore[arg-type]
        start = periods[-1].end
    return periods
