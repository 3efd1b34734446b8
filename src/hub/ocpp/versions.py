"""What differs between OCPP versions at the RPC layer: limits, error spellings, what is answerable.

A later version is one more row in ``RULES``; frames and links read everything from here.
"""

from __future__ import annotations

from enum import StrEnum, auto

import msgspec


class Version(StrEnum):
    """A version of OCPP, named as its WebSocket subprotocol."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"

    __hash__ = str.__hash__  # an Enum's own hash runs in Python, once per frame


class Fault(StrEnum):
    """Why a CALL is refused, before it is spelt the way a version spells it."""

    NOT_IMPLEMENTED = auto()
    NOT_SUPPORTED = auto()
    INTERNAL = auto()
    PROTOCOL = auto()
    SECURITY = auto()
    FORMAT = auto()
    PROPERTY = auto()
    OCCURRENCE = auto()
    TYPE = auto()
    GENERIC = auto()
    MESSAGE_TYPE = auto()
    RPC_FRAMEWORK = auto()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The RPC rules of one version.

    ``unreadable_id`` is the message id of an answer to a CALL whose own id cannot be read; None
    where the version knows no such answer. ``answers_unknown_types`` says whether a frame with an
    unknown MessageTypeId is refused (2.0.1) or ignored (1.6).
    """

    max_bytes: int
    max_depth: int = 32
    unreadable_id: str | None
    answers_unknown_types: bool
    codes: dict[Fault, str]


# OCPP-J 1.6 section 4.2.3; its errata keep the spelling "Occurence".
_CODES_16 = {
    Fault.NOT_IMPLEMENTED: "NotImplemented",
    Fault.NOT_SUPPORTED: "NotSupported",
    Fault.INTERNAL: "InternalError",
    Fault.PROTOCOL: "ProtocolError",
    Fault.SECURITY: "SecurityError",
    Fault.FORMAT: "FormationViolation",
    Fault.PROPERTY: "PropertyConstraintViolation",
    Fault.OCCURRENCE: "OccurenceConstraintViolation",
    Fault.TYPE: "TypeConstraintViolation",
    Fault.GENERIC: "GenericError",
    Fault.MESSAGE_TYPE: "GenericError",
    Fault.RPC_FRAMEWORK: "FormationViolation",
}

# OCPP 2.0.1 part 4 section 4.3.
_CODES_2 = _CODES_16 | {
    Fault.FORMAT: "FormatViolation",
    Fault.OCCURRENCE: "OccurrenceConstraintViolation",
    Fault.MESSAGE_TYPE: "MessageTypeNotSupported",
    Fault.RPC_FRAMEWORK: "RpcFrameworkError",
}

RULES: dict[Version, Rules] = {
    Version.V16: Rules(
        max_bytes=256 * 1024, unreadable_id=None, answers_unknown_types=False, codes=_CODES_16
    ),
    Version.V201: Rules(
        max_bytes=1024 * 1024, unreadable_id="-1", answers_unknown_types=True, codes=_CODES_2
    ),
}
