"""OCPP-J frames: text to CALL, CALLRESULT or CALLERROR and back, without any I/O.

Payloads stay raw here; ``payload.py`` reads them. A frame that cannot be read gives a
``FrameError`` that knows which CALLERROR is due, if any.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from hub.ocpp.errors import FrameError
from hub.ocpp.versions import RULES, Fault, Rules, Version

# Stations also count with integers and with ids longer than the standard's 36 characters.
MessageId = Annotated[str, Meta(max_length=255)] | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

EMPTY = Raw(b"{}")


class Call(Struct, frozen=True, array_like=True, tag=2):
    """A request. Elements after the payload (signatures, part 4 section 7) are passed over."""

    id: MessageId
    action: str
    payload: Raw


class CallResult(Struct, frozen=True, array_like=True, tag=3):
    """The answer to a request."""

    id: MessageId
    payload: Raw


class CallError(Struct, frozen=True, array_like=True, tag=4):
    """The refusal of a request; stations leave out what they have nothing to say about."""

    id: MessageId
    code: str
    description: str = ""
    details: Raw = EMPTY


Frame = Call | CallResult | CallError

_FRAME: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_PARTS = msgspec.json.Decoder(list[Raw])
_ID: msgspec.json.Decoder[str | int] = msgspec.json.Decoder(MessageId)
_ENCODER = msgspec.json.Encoder(decimal_format="number")

_START = re.compile(rb'\s*\[\s*(-?\d{1,9})\s*(?:,\s*("(?:[^"\\]|\\.){0,255}"|-?\d{1,18})\s*,)?')
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NEST = bytes.maketrans(b"{}", b"[]")
_NOT_NEST = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_OPEN = bytes(set(range(256)) - set(b"[{"))
_NUL = rb"\u0000"
_DESCRIPTION = 255


def split(frame: bytes | str, version: Version) -> Frame | None:
    """The frame a station sent; None for an empty one, which means nothing.

    Binary frames are read as UTF-8. Raises ``FrameError`` for everything else that is not
    a CALL, CALLRESULT or CALLERROR of at most the version's size and depth.
    """
    rules = RULES[version]
    raw = _octets(frame, rules)
    if not raw or raw.isspace():
        return None
    if len(raw.translate(None, _NOT_OPEN)) > rules.max_depth:
        _refuse_depth(raw, rules)
    try:
        found = _FRAME.decode(raw)
    except msgspec.MsgspecError:
        raise _diagnose(raw, rules) from None
    if b"\\" in raw and _NUL in raw and _named_with_nul(found):
        raise _frame_error(rules, Fault.RPC_FRAMEWORK, "a message id or action holds NUL", raw)
    return found


def encode_call(message_id: str, action: str, payload: object) -> bytes:
    """A CALL as compact JSON; ``payload`` is a wire Struct or ``Raw``."""
    return _ENCODER.encode((2, message_id, action, payload))


def encode_result(message_id: str | int, payload: object) -> bytes:
    """A CALLRESULT as compact JSON, the id as it came."""
    return _ENCODER.encode((3, message_id, payload))


def encode_error(
    message_id: str | int, fault: Fault, description: str, *, version: Version
) -> bytes:
    """A CALLERROR with the code as ``version`` spells it and at most 255 characters of text."""
    text = description[:_DESCRIPTION]
    return _ENCODER.encode((4, message_id, RULES[version].codes[fault], text, EMPTY))


def encode_refusal(error: FrameError, version: Version) -> bytes | None:
    """The CALLERROR due for a malformed frame; None where nothing may be answered."""
    if not error.answerable or error.message_id is None:
        return None
    return encode_error(error.message_id, error.fault, str(error), version=version)


def encode_payload(payload: object) -> bytes:
    """A wire Struct as compact JSON, members in the schema's order, decimals exact."""
    return _ENCODER.encode(payload)


def _named_with_nul(frame: Frame) -> bool:
    return "\0" in (f"{frame.id}{frame.action}" if isinstance(frame, Call) else str(frame.id))


def _octets(frame: bytes | str, rules: Rules) -> bytes:
    if len(frame) > rules.max_bytes:
        head = frame[:512]
        start = head if isinstance(head, bytes) else head.encode("utf-8", "replace")
        reason = f"more than {rules.max_bytes} bytes"
        raise _frame_error(rules, Fault.FORMAT, reason, start)
    if isinstance(frame, str):
        try:
            raw = frame.encode()
        except UnicodeEncodeError:
            start = frame[:512].encode("utf-8", "replace")
            raise _frame_error(rules, Fault.FORMAT, "not UTF-8", start) from None
        if len(raw) > rules.max_bytes:
            raise _frame_error(rules, Fault.FORMAT, f"more than {rules.max_bytes} bytes", raw[:512])
        return raw
    if not frame.isascii():
        try:
            frame.decode()
        except UnicodeDecodeError:
            raise _frame_error(rules, Fault.FORMAT, "not UTF-8", frame) from None
    return frame


def _refuse_depth(raw: bytes, rules: Rules) -> None:
    """Raise if arrays and objects nest too deep; linear in the frame, whatever it holds.

    Brackets alone are left over, and one level of them is taken away per pass. Quotes vanish in
    pairs unless a string holds a bracket, which is rare and costs a regular expression.
    """
    plain = _ESCAPE.sub(b"", raw) if b"\\" in raw else raw
    nest = plain.translate(_NEST, _NOT_NEST)
    bare = nest.replace(b'""', b"")
    if b'"' in bare:
        bare = _STRING.sub(b"", nest)
    for _ in range(rules.max_depth):
        shorter = bare.replace(b"[]", b"")
        if not shorter:
            return
        if len(shorter) == len(bare):
            raise _frame_error(rules, Fault.FORMAT, "brackets do not match", raw)
        bare = shorter
    raise _frame_error(rules, Fault.FORMAT, f"nested deeper than {rules.max_depth}", raw)


def _frame_error(rules: Rules, fault: Fault, reason: str, raw: bytes) -> FrameError:
    """An error for a frame whose beginning may still tell its type and id."""
    found = _START.match(raw)
    kind = int(found[1]) if found else None
    message_id: str | int | None = None
    if found and found[2]:
        message_id = _message_id(found[2])
    return _error(rules, fault, reason, kind=kind, message_id=message_id)


def _error(
    rules: Rules, fault: Fault, reason: str, *, kind: int | None, message_id: str | int | None
) -> FrameError:
    if kind not in (2, 3, 4, None) and not rules.answers_unknown_types:
        message_id = None
    elif message_id is None and kind not in (3, 4):
        fault, message_id = Fault.RPC_FRAMEWORK, rules.unreadable_id
    return FrameError(fault, reason, message_id=message_id, kind=kind)


def _message_id(raw: Raw | bytes) -> str | int | None:
    try:
        found = _ID.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return None if isinstance(found, str) and "\0" in found else found


def _diagnose(raw: bytes, rules: Rules) -> FrameError:
    """Why ``raw`` is no frame: not JSON, no array, a type or id or element amiss."""
    try:
        parts = _PARTS.decode(raw)
    except msgspec.ValidationError:
        return _frame_error(rules, Fault.RPC_FRAMEWORK, "not a JSON array", raw)
    except msgspec.DecodeError as error:
        return _frame_error(rules, Fault.FORMAT, str(error), raw)
    if len(parts) < 2:
        return _frame_error(rules, Fault.RPC_FRAMEWORK, "fewer than two elements", raw)
    kind: Any = None
    if re.fullmatch(rb"-?\d{1,9}", bytes(parts[0])):
        kind = int(bytes(parts[0]))
    message_id = _message_id(parts[1])
    if message_id is None:
        fault, reason = Fault.RPC_FRAMEWORK, "the message id is no string or integer"
    elif kind is None:
        fault, reason = Fault.RPC_FRAMEWORK, "the MessageTypeId is no integer"
    elif kind not in (2, 3, 4):
        fault, reason = Fault.MESSAGE_TYPE, f"MessageTypeId {kind} is not known"
    elif len(parts) < (4 if kind == 2 else 3):
        fault, reason = Fault.RPC_FRAMEWORK, "an element is missing"
    else:
        fault, reason = Fault.RPC_FRAMEWORK, "an element has the wrong type"
    return _error(rules, fault, reason, kind=kind, message_id=message_id)
