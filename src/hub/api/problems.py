"""Every error of the HTTP doors as problem+json (RFC 9457), framework errors included."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute

from hub.kernel import HubError, InvalidValue, encode
from hub.runtime.db import AWAY, UNSTORABLE, DatabaseUnavailable

log = structlog.get_logger()

PROBLEM_JSON: Final = "application/problem+json"
_TYPE: Final = "urn:charging-hub:problem:"

_CODES: Final = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one member of the request."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details. ``code`` is stable across releases; ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | msgspec.UnsetType = msgspec.UNSET
    """The members of the request that are wrong, when it is known which."""
    actions: list[str] | msgspec.UnsetType = msgspec.UNSET
    """The OCPP actions that the station's version knows, when an unknown one was asked for."""


class ApiError(HubError):
    """An error of this door that carries more members than a sentence."""

    def members(self) -> dict[str, Any]:
        """Extension members of the problem."""
        return {}


class Unauthenticated(ApiError):
    """No valid login came with the request."""

    code = "unauthenticated"
    status = 401

    def __str__(self) -> str:
        return "send a valid API token as 'Authorization: Bearer <token>' (hub token create)"


class Forbidden(ApiError):
    """The login is valid but lacks a scope."""

    code = "forbidden"
    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope

    def __str__(self) -> str:
        return f"this API token lacks the scope {self.scope!r}"


class NotJson(ApiError):
    """A body that says it is something else than JSON."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type)
        self.media_type = media_type

    def __str__(self) -> str:
        return f"send JSON ('Content-Type: application/json'), not {self.media_type!r}"


def problem(status: int, code: str, detail: str, members: dict[str, Any] | None = None) -> Problem:
    """A problem of ours, titled by its HTTP status."""
    return Problem(
        type=_TYPE + code, title=HTTPStatus(status).phrase, status=status, detail=detail, code=code,
        **(members or {}),
    )  # fmt: skip


def problem_of(error: Exception) -> Problem:
    """The problem that tells of any exception; an unforeseen one says nothing about itself."""
    if isinstance(error, HubError):
        members = error.members() if isinstance(error, ApiError) else {}
        return problem(error.status, error.code, str(error), members)
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, AWAY):
        return problem(503, DatabaseUnavailable.code, str(DatabaseUnavailable()))
    if isinstance(error, RecursionError):
        return problem(400, "bad_request", "the body is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return problem(400, "bad_request", "the body is not UTF-8 text")
    if isinstance(error, UNSTORABLE):
        # Text with NUL, a number beyond its column: Postgres says it about the caller's value.
        return problem(400, InvalidValue.code, f"a value cannot be stored: {_first_line(error)}")
    if isinstance(error, RecursionError):
        return problem(400, InvalidValue.code, "the body nests too deep")
    return problem(500, "internal_error", "something failed on our side; it has been logged")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _of_framework(error: HTTPException) -> Problem:
    status = error.status_code
    detail = error.detail or HTTPStatus(status).description
    members: dict[str, Any] = {}
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        members["errors"] = [
            FieldProblem(str(one.get("key", "")), str(one.get("message", "")))
            for one in error.extra
            if isinstance(one, dict)
        ]
        detail = "the request does not fit its description"
    return problem(status, _CODES.get(status, "http_error"), detail, members)


def problem_response(found: Problem) -> Response[bytes]:
    """``found`` as an HTTP response."""
    headers = {"www-authenticate": 'Bearer realm="charging-hub"'} if found.status == 401 else {}
    return Response(
        encode(found), status_code=found.status, media_type=PROBLEM_JSON, headers=headers
    )


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of this door."""
    found = problem_of(error)
    if found.status >= 500:
        log.error(
            "request_failed", method=request.method, path=request.url.path, code=found.code,
            error=repr(error)[:500], exc_info=error if found.code == "internal_error" else None,
        )  # fmt: skip
    answer = problem_response(found)
    if found.status == 405:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request[Any, Any, Any]) -> set[str]:
    """The methods that the address of ``request`` knows (RFC 9110 section 15.5.6)."""
    parts = [part for part in request.scope["path"].split("/") if part]
    found: set[str] = set()
    for route in request.app.routes:
        steps = route.path_components
        if isinstance(route, HTTPRoute) and len(steps) == len(parts):
            named = zip(steps, parts, strict=True)
            if all(step == part for step, part in named if isinstance(step, str)):
                found |= set(route.methods)
    return found


_MEANINGS: Final = {
    400: "The request does not fit its description.",
    401: "No valid login.",
    403: "The login lacks the scope this needs.",
    404: "There is no such thing, or it is not yours to see.",
    405: "This address does not know the method.",
    409: "The request contradicts what is stored.",
    413: "The body is too large.",
    415: "The body is not of a type this address reads.",
    500: "Something failed on our side.",
    502: "The station answered with an error.",
    503: "The hub cannot work at the moment; try again.",
}

_ALWAYS: Final = (400, 401, 403, 405, 413, 415, 500, 503)


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems an operation may answer with: the common ones and ``statuses``."""
    return {
        status: ResponseSpec(
            data_container=Problem, media_type=PROBLEM_JSON, description=_MEANINGS[status],
            generate_examples=False,
        )
        for status in sorted({*_ALWAYS, *statuses})
    }  # fmt: skip
