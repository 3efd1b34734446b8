"""Payloads to wire Structs: strictly by the schema, or else leniently with what was odd.

The one place that knows which fault a failed reading is; versions spell it.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from hub.ocpp.errors import PayloadError
from hub.ocpp.frames import encode_payload
from hub.ocpp.lenient import Deviation, soften
from hub.ocpp.versions import Fault

S = TypeVar("S", bound=Struct)

_DECODERS: dict[type[Struct], msgspec.json.Decoder[Any]] = {}

_NUL = rb"\u0000"

# How msgspec begins the sentence about each failure, and the fault it is. Order matters.
_FAULTS: tuple[tuple[str, Fault], ...] = (
    ("Object missing required field", Fault.OCCURRENCE),
    ("Object contains unknown field", Fault.FORMAT),
    ("Expected `array` of length", Fault.OCCURRENCE),
    ("Expected `str` of length", Fault.PROPERTY),
    ("Expected `int` >=", Fault.PROPERTY),
    ("Expected `int` <=", Fault.PROPERTY),
    ("Expected `datetime` with", Fault.PROPERTY),
    ("Expected `decimal` in steps", Fault.PROPERTY),
    ("Integer value out of range", Fault.PROPERTY),
    ("Expected", Fault.TYPE),
)


class Reading(Struct, Generic[S], frozen=True):
    """A payload as its Struct, and how it left the schema (nothing: it did not)."""

    value: S
    deviations: tuple[Deviation, ...] = ()


def read(kind: type[S], payload: Raw | bytes, *, strict: bool = False) -> Reading[S]:
    """``payload`` as ``kind``: by the schema, or, unless ``strict``, as near as it can be read.

    Raises ``PayloadError`` with the fault of the strict reading where ``strict``, else with what
    made even the lenient one impossible. Values of a lenient reading may lie outside the types'
    ``Literal``s, lengths and ranges; their kinds (text, integer, Decimal, datetime) hold.
    """
    try:
        return Reading(read_strictly(kind, payload))
    except PayloadError:
        if strict:
            raise
    value, deviations = soften(kind, bytes(payload))
    return Reading(value, deviations)


def read_strictly(kind: type[S], payload: Raw | bytes) -> S:
    """``payload`` as ``kind`` by the schema; raises ``PayloadError``.

    Beyond the schema it refuses NUL characters, which PostgreSQL cannot hold, integers beyond
    64 bits, numbers beyond 10^±32 and times that are not RFC 3339 with an offset.
    """
    try:
        found: S = (_DECODERS.get(kind) or _decoder(kind)).decode(payload)
    except msgspec.ValidationError as error:
        raise payload_error(error) from None
    except msgspec.DecodeError as error:
        raise PayloadError(Fault.FORMAT, str(error)) from None
    body = bytes(payload)
    if b"\\" in body and _NUL in body and _holds_nul(body):
        raise PayloadError(Fault.PROPERTY, "holds a NUL character")
    return found


def compact(kind: type[Struct], payload: bytes) -> bytes:
    """A payload of ours, checked by the schema, as compact JSON in the schema's member order.

    One with ``customData`` keeps the order it came in, since its members are not in the schema.
    Raises ``PayloadError``.
    """
    value = read_strictly(kind, payload)
    if b'"customData"' in payload:
        return msgspec.json.format(payload, indent=-1)
    return encode_payload(value)


def payload_error(error: msgspec.ValidationError) -> PayloadError:
    """The fault behind msgspec's sentence: missing, unknown, of another type, or a bad value."""
    reason, _, path = str(error).partition(" - at `")
    path = path.removesuffix("`") or "$"
    if path == "$" and reason.startswith("Expected `object`"):
        return PayloadError(Fault.FORMAT, reason)
    fault = next((f for start, f in _FAULTS if reason.startswith(start)), Fault.PROPERTY)
    return PayloadError(fault, reason, path)


def _decoder(kind: type[Struct]) -> msgspec.json.Decoder[Any]:
    return _DECODERS.setdefault(kind, msgspec.json.Decoder(kind))


def _holds_nul(payload: bytes) -> bool:
    """Whether a text really holds NUL, and not a backslash followed by ``u0000``."""
    pending = [msgspec.json.decode(payload)]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and "\0" in value:
            return True
    return False
