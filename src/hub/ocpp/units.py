"""Sampled values to readings in base units: Wh, W, varh, var, VA, A, V, Percent, Celsius, Hertz."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

REGISTER = "Energy.Active.Import.Register"

# What a measurand is in when the station does not say (OCPP 1.6 section 7.45, 2.0.1 2.57).
_DEFAULTS = (
    ("Energy.Reactive", "varh"),
    ("Energy.", "Wh"),
    ("Power.Reactive", "var"),
    ("Power.Factor", ""),
    ("Power.", "W"),
    ("Current.", "A"),
    ("Voltage", "V"),
    ("SoC", "Percent"),
    ("Temperature", "Celsius"),
    ("Frequency", "Hertz"),
    ("RPM", "RPM"),
)

_SCALES: dict[str, tuple[str, int]] = {
    "wh": ("Wh", 0), "kwh": ("Wh", 3), "mwh": ("Wh", 6),
    "w": ("W", 0), "kw": ("W", 3), "mw": ("W", 6),
    "varh": ("varh", 0), "kvarh": ("varh", 3), "var": ("var", 0), "kvar": ("var", 3),
    "va": ("VA", 0), "kva": ("VA", 3), "vah": ("VAh", 0), "kvah": ("VAh", 3),
    "a": ("A", 0), "v": ("V", 0), "percent": ("Percent", 0), "%": ("Percent", 0),
    "celsius": ("Celsius", 0), "celcius": ("Celsius", 0), "hertz": ("Hertz", 0),
    "hz": ("Hertz", 0),
}  # fmt: skip

_EXACT = Context(prec=80)
_MOST = 24


def amount(text: str) -> Decimal | None:
    """The number a station wrote as text; ``None`` if it is none that can be stored."""
    try:
        value = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        return None
    return value if value.is_finite() and -_MOST < value.adjusted() < _MOST else None


def default_unit(measurand: str) -> str:
    """The unit that the standards presume for a measurand."""
    return next((unit for start, unit in _DEFAULTS if measurand.startswith(start)), "")


def scaled(
    value: Decimal, measurand: str, unit: str | None, multiplier: int = 0
) -> tuple[Decimal, str] | None:
    """A value in its base unit, and that unit; ``None`` if its magnitude cannot be meant.

    ``multiplier`` is 2.x's power of ten. Prefixes and the multiplier both count.
    """
    named = unit or default_unit(measurand)
    base, power = _SCALES.get(named.casefold(), (named, 0))
    power += multiplier
    if not -_MOST < power < _MOST or not -_MOST < value.adjusted() + power < _MOST:
        return None
    return (value.scaleb(power, _EXACT) if power else value), base
