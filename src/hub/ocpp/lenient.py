"""Reads payloads of stations that bend the schema, and says how they bend it.

Only reached when the strict reading failed. Gives the same Structs, holding what was said: an
unknown enum value or an over-long text stays as it is, so readers look values up with a default.
Money is never guessed: what cannot be read as its type is refused unless it is optional.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import inspect

from hub.kernel import InvalidValue, parse_instant
from hub.ocpp.errors import PayloadError
from hub.ocpp.frames import encode_payload
from hub.ocpp.versions import Fault

# An identifier without its NUL characters is another one, maybe somebody else's; padding is not.
_IDENTIFIERS = (".idTag", ".parentIdTag", ".idToken", ".transactionId")

Oddity = Literal[
    "unknown_field",
    "unknown_value",
    "too_long",
    "too_few",
    "too_many",
    "out_of_range",
    "precision",
    "wrong_type",
    "single_object",
    "null",
    "bad_time",
    "nul_character",
]

# A time nobody can read: the reader takes the time of receipt, as for every clock before 2015.
UNREADABLE_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Deviation(msgspec.Struct, frozen=True, order=True):
    """One way in which a payload left the schema. ``path`` has ``[]`` for every list index."""

    kind: Oddity
    path: str


Found = set[Deviation]

_UNTYPED = msgspec.json.Decoder(float_hook=Decimal)
_INT64 = 2**63
_TENTH = Decimal("0.1")
_WIDE = Context(prec=64, rounding=ROUND_HALF_EVEN)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def soften(kind: type[msgspec.Struct], raw: bytes) -> tuple[Any, tuple[Deviation, ...]]:
    """``raw`` as ``kind`` with every deviation, sorted; raises ``PayloadError`` if that fails."""
    try:
        value = _UNTYPED.decode(raw)
    except msgspec.DecodeError as error:
        raise PayloadError(Fault.FORMAT, str(error)) from None
    found: Found = set()
    if not isinstance(value, dict):
        raise PayloadError(Fault.FORMAT, "the payload is no object")
    return _struct(_plan(kind), value, "$", found), tuple(sorted(found))


@cache
def _plan(kind: type[msgspec.Struct]) -> inspect.StructType:
    plan = inspect.type_info(kind)
    assert isinstance(plan, inspect.StructType)
    return plan


def _struct(plan: inspect.StructType, value: Any, path: str, found: Found) -> Any:
    if not isinstance(value, dict):
        raise PayloadError(Fault.TYPE, "an object is due here", path)
    members: dict[str, Any] = {}
    for field in plan.fields:
        where = f"{path}.{field.name}"
        given = value.get(field.name)
        if given is None and field.name in value and not isinstance(field.type, inspect.RawType):
            found.add(Deviation("null", where))
        elif field.name in value:
            _member(members, field, given, where, found)
        if field.required and field.name not in members:
            raise PayloadError(Fault.OCCURRENCE, "is missing", where)
    if plan.forbid_unknown_fields:
        known = {field.name for field in plan.fields}
        found.update(
            Deviation("unknown_field", f"{path}.{_short(k)}") for k in value.keys() - known
        )
    try:
        return plan.cls(**members)
    except ValueError:
        return plan.cls(**_in_tenths(members, path, found))


def _member(
    members: dict[str, Any], field: inspect.Field, given: Any, path: str, found: Found
) -> None:
    """Read one member; an optional value that cannot be read counts as absent."""
    try:
        members[field.name] = _value(field.type, given, path, found)
    except PayloadError:
        if field.required or isinstance(field.type, inspect.StructType | inspect.ListType):
            raise
        found.add(Deviation("wrong_type", path))


def _value(plan: inspect.Type, value: Any, path: str, found: Found) -> Any:
    match plan:
        case inspect.StructType():
            return _struct(plan, value, path, found)
        case inspect.ListType():
            return _list(plan, value, path, found)
        case inspect.LiteralType():
            text = _text(value, path, found)
            if text not in plan.values:
                found.add(Deviation("unknown_value", path))
            return text
        case inspect.StrType():
            text = _text(value, path, found)
            if plan.max_length is not None and len(text) > plan.max_length:
                found.add(Deviation("too_long", path))
            return text
        case inspect.RawType():
            return msgspec.Raw(encode_payload(value))
        case _:
            return _scalar(plan, value, path, found)


def _scalar(plan: inspect.Type, value: Any, path: str, found: Found) -> Any:
    match plan:
        case inspect.IntType():
            return _int(plan, value, path, found)
        case inspect.DecimalType():
            return _decimal(value, path, found)
        case inspect.DateTimeType():
            return _instant(value, path, found)
        case inspect.BoolType():
            return _bool(value, path, found)
        case _:
            raise AssertionError(f"no wire type holds {plan!r}")


def _list(plan: inspect.ListType, value: Any, path: str, found: Found) -> list[Any]:
    if not isinstance(value, list):
        found.add(Deviation("single_object", path))
        value = [value]
    if plan.min_length and len(value) < plan.min_length:
        found.add(Deviation("too_few", path))
    if plan.max_length and len(value) > plan.max_length:
        found.add(Deviation("too_many", path))
    return [_value(plan.item_type, item, f"{path}[]", found) for item in value]


def _text(value: Any, path: str, found: Found) -> str:
    if isinstance(value, str):
        text = value
    elif value is None:
        raise PayloadError(Fault.TYPE, "a text is due here", path)
    else:
        found.add(Deviation("wrong_type", path))
        text = encode_payload(value).decode()
    if "\0" in text:
        if "\0" in text.rstrip("\0") and path.endswith(_IDENTIFIERS):
            raise PayloadError(Fault.PROPERTY, "an identifier holds a NUL character", path)
        found.add(Deviation("nul_character", path))
        text = text.replace("\0", "")
    return text


def _int(plan: inspect.IntType, value: Any, path: str, found: Found) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        found.add(Deviation("wrong_type", path))
        exact = _number(value, path)
        number = int(exact)
        if number != exact:
            raise PayloadError(Fault.TYPE, "an integer is due here", path)
    if not -_INT64 <= number < _INT64:
        raise PayloadError(Fault.PROPERTY, "the integer is out of range", path)
    low, high = plan.ge, plan.le
    if (low is not None and number < low) or (high is not None and number > high):
        found.add(Deviation("out_of_range", path))
    return number


def _number(value: Any, path: str) -> Decimal:
    """An exact finite number from a number or a text; 10^±32 is the limit of both readings."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise PayloadError(Fault.TYPE, "a number is due here", path)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise PayloadError(Fault.TYPE, "a number is due here", path) from None
    if not number.is_finite() or not -32 <= number.adjusted() <= 32:
        raise PayloadError(Fault.PROPERTY, "the number is out of range", path)
    return number


def _decimal(value: Any, path: str, found: Found) -> Decimal:
    if isinstance(value, str):
        found.add(Deviation("wrong_type", path))
    return _number(value, path)


def _instant(value: Any, path: str, found: Found) -> datetime:
    try:
        at = parse_instant(value) if isinstance(value, str) else UNREADABLE_TIME
    except InvalidValue:
        at = UNREADABLE_TIME
    if at is UNREADABLE_TIME or not _designated(value):
        found.add(Deviation("bad_time", path))
    return at


def _designated(text: str) -> bool:
    """Whether the strict reading takes this time: RFC 3339 with its offset."""
    try:
        return msgspec.convert(text, datetime).tzinfo is not None
    except msgspec.ValidationError:
        return False


def _bool(value: Any, path: str, found: Found) -> bool:
    if isinstance(value, bool):
        return value
    found.add(Deviation("wrong_type", path))
    known = _TRUTH.get(str(value).lower())
    if known is None:
        raise PayloadError(Fault.TYPE, "a boolean is due here", path)
    return known


def _short(name: str) -> str:
    """A member name a station made up, short enough to count by."""
    return name[:40].replace("\0", "")


def _in_tenths(members: dict[str, Any], path: str, found: Found) -> dict[str, Any]:
    """``members`` with every Decimal at one place: the one check a Struct of ours can fail here."""
    for name, value in members.items():
        if isinstance(value, Decimal):
            members[name] = value.quantize(_TENTH, context=_WIDE)
            if members[name] != value:
                found.add(Deviation("precision", f"{path}.{name}"))
    return members
