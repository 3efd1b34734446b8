"""What every OCPI answer is wrapped in, and the status codes that say how a request went.

HTTP says whether the request arrived; ``status_code`` says what became of it (T-B5, T-B8).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from hub.kernel import HubError, decode, encode, format_instant

SUCCESS: Final = 1000
CLIENT_ERROR: Final = 2000
INVALID: Final = 2001
NOT_ENOUGH: Final = 2002
UNKNOWN_LOCATION: Final = 2003
UNKNOWN_TOKEN: Final = 2004
SERVER_ERROR: Final = 3000
CANNOT_USE_YOURS: Final = 3001
NO_COMMON_VERSION: Final = 3002
NO_ENDPOINTS: Final = 3003
UNKNOWN_RECEIVER: Final = 4001


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The wrapper as it is written. ``data`` is left out where the standard defines none."""

    data: msgspec.Raw | None = None
    status_code: int
    status_message: str | None = None
    timestamp: str


class Received(msgspec.Struct):
    """The wrapper as partners write it: ``data`` may be anything or absent (T-B7)."""

    status_code: int
    data: msgspec.Raw = msgspec.Raw(b"null")
    status_message: str | None = None


class Refused(HubError):
    """A request that is answered with an OCPI error. ``http`` is 200 for most of them (T-B8)."""

    code = "ocpi_refused"

    def __init__(self, code: int, message: str, *, http: int = 200) -> None:
        super().__init__(code, message)
        self.status_code = code
        self.message = message
        self.status = http

    def __str__(self) -> str:
        return f"{self.status_code} {self.message}"


class Invalid(Refused):
    """A message that is JSON but not what the standard says (2001); it can be kept for replay."""

    def __init__(self, message: str) -> None:
        super().__init__(INVALID, message)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it is wrapped."""

    data: object = msgspec.UNSET
    status_code: int = SUCCESS
    message: str | None = None
    http: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, refused: Refused) -> Reply:
        """The answer that tells of a refusal."""
        return cls(status_code=refused.status_code, message=refused.message, http=refused.status)


def wrap(reply: Reply, at: datetime) -> bytes:
    """The body of an answer."""
    data = None if reply.data is msgspec.UNSET else msgspec.Raw(encode(reply.data))
    message = reply.message or ("Success" if reply.status_code == SUCCESS else None)
    return encode(
        Envelope(
            data=data,
            status_code=reply.status_code,
            status_message=message,
            timestamp=format_instant(at),
        )
    )


def unwrap(body: bytes) -> Received | None:
    """A partner's envelope, or ``None`` when the body is no envelope at all, or not UTF-8."""
    try:
        # ``data`` is passed over here, so what it holds would only be found out where it is read.
        return decode(body.decode(), Received)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def one_object(data: bytes) -> bytes:
    """The object in ``data``, which some partners put into a list of one (T-B6, D5)."""
    try:
        listed = decode(data, list[msgspec.Raw])
    except msgspec.ValidationError:
        return data
    return bytes(listed[0]) if len(listed) == 1 else b"null"
