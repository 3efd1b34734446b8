"""The two checks the JSON decoder cannot make on a Decimal by itself."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, UnsetType


def finite(value: Decimal | UnsetType) -> None:
    """Refuse NaN, infinities and magnitudes beyond 10^±32 with ``ValueError``."""
    if value is not UNSET and not (value.is_finite() and -33 < value.adjusted() < 33):
        raise ValueError("Number out of range")


def tenths(value: Decimal | UnsetType) -> None:
    """As ``finite``, and refuse more than one decimal place (OCPP 1.6 section 7.14 ``limit``)."""
    finite(value)
    if value is UNSET:
        return
    _, digits, exponent = value.as_tuple()
    surplus = -1 - int(exponent)
    if surplus > 0 and any(digits[-surplus:]):
        raise ValueError("Expected `decimal` in steps of 0.1")
