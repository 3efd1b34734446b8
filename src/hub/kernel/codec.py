"""JSON in and out: one configured msgspec encoder and decoder for the whole program.

Decimals travel as JSON numbers, exactly; instants as RFC 3339 with ``Z``.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def encode(value: object) -> bytes:
    """``value`` as compact JSON, members in declaration order, decimals as exact numbers."""
    return _ENCODER.encode(value)


def decode(body: bytes | str, into: type[T]) -> T:
    """JSON validated as ``into``; raises ``msgspec.ValidationError`` or ``DecodeError``."""
    return msgspec.json.decode(body, type=into)
