"""The root of every error this program raises on purpose.

Rooms derive their own errors from ``HubError``; doors translate them once into
their protocol (problem+json, OCPI status codes, OCPP CALLERROR).
"""

from __future__ import annotations


class HubError(Exception):
    """An error with a stable code, an HTTP-like status and a sentence for people.

    ``code`` is snake_case and stable across releases; ``status`` follows HTTP
    semantics (400 caller's fault, 404 missing, 409 conflict, 503 try later).
    Subclasses keep their facts in fields and build the sentence in ``__str__``.
    """

    code: str = "error"
    status: int = 500


class InvalidValue(HubError):
    """A value that breaks a rule of its type. ``field`` says which, ``reason`` why."""

    code = "invalid_value"
    status = 400

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class NotFound(HubError):
    """Something that was named but does not exist (or is not ours to see)."""

    code = "not_found"
    status = 404

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(kind, key)
        self.kind = kind
        self.key = key

    def __str__(self) -> str:
        return f"no {self.kind} {self.key!r}"


class Conflict(HubError):
    """A request that contradicts what is stored already."""

    code = "conflict"
    status = 409

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
