"""A price in words: the lines of a receipt and of ``explain`` outputs. English, plain text."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

from hub.kernel import exponent, round_half_up
from hub.tariffs.lines import Line, Priced

_NAMES = {
    "FLAT": "Fee",
    "ENERGY": "Energy",
    "TIME": "Charging time",
    "PARKING_TIME": "Parking",
    "MIN_PRICE": "Minimum price",
    "MAX_PRICE": "Maximum price",
}


def explain(priced: Priced, *, time_zone: str = "UTC") -> list[str]:
    """One text per line charged, then taxes, the totals and the readings that mattered.

    Times are the given zone's; amounts net, to four decimals beyond which exactness is kept in
    ``Priced``. A session that costs nothing says so.
    """
    zone = ZoneInfo(time_zone)
    texts = [_line(line, priced.currency, zone) for line in priced.lines]
    if not texts:
        texts.append("Free of charge: no element of the tariff prices this session")
    texts += [
        f"VAT {_plain(line.vat)} % on {line.net} {priced.currency}: {line.tax} {priced.currency}"
        for line in priced.tax_lines
        if line.vat is not None
    ]
    texts.append(f"Total without tax: {priced.total_excl}")
    texts.append(f"Total: {priced.total_incl}")
    texts += [f"Reading {item.rule}: {item.choice}" for item in priced.readings]
    texts.append(f"Rounding policy {priced.policy}")
    return texts


def _line(line: Line, currency: str, zone: ZoneInfo) -> str:
    name = _NAMES[line.dimension]
    if line.kind.startswith("RESERVATION") and line.part == "reservation":
        name = "Reservation" if line.dimension == "TIME" else "Reservation fee"
    start, end = (
        at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for at in (line.start, line.end)
    )
    amount = f"{_money(line.excl, currency)} {currency}"
    if line.unit == "session":
        return f"{name}: {amount} ({line.clause})"
    return f"{name} {start} to {end}: {_quantity(line)} = {amount} ({_source(line)})"


def _quantity(line: Line) -> str:
    """Quantity times price, with what was measured where rounding changed it."""
    if line.unit == "Wh":
        measured, billed, per = line.quantity / 1000, line.billed / 1000, "kWh"
    else:
        measured, billed, per = line.quantity / 60, line.billed / 60, "min"
    rate = "kWh" if per == "kWh" else "h"
    text = f"{_plain(billed)} {per} x {_plain(line.unit_price)}/{rate}"
    return text if billed == measured else f"{text} (measured {_plain(measured)} {per})"


def _source(line: Line) -> str:
    return f"element {line.element}: {line.clause}"


def _money(amount: Decimal, currency: str) -> str:
    return format(round_half_up(amount, max(4, exponent(currency))), "f")


def _plain(value: Decimal | None) -> str:
    """A number without exponent or trailing zeros, at most four decimals."""
    text = format(round_half_up(value or Decimal(0), 4), "f")
    return text.rstrip("0").rstrip(".")
