"""A request off the wire, before anybody is known, and the route that it means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from hub.ocpi.call import Route
from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import CLIENT_ERROR, INVALID, Refused
from hub.ocpi.headers import message_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT: Final = 8 << 20
_WRITES: Final = frozenset({"POST", "PUT", "PATCH"})


class Request(msgspec.Struct, kw_only=True):
    """A request as it came. ``segments`` is the decoded path below ``/ocpi``."""

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    url: str
    body: bytes = b""
    request_id: str = ""
    correlation_id: str = ""


class Matched(msgspec.Struct, frozen=True):
    """The route that a request means, in which dialect, with its path parameters."""

    route: Route
    dialect: Dialect
    params: Mapping[str, str]


def request_of(scope: Scope) -> Request:
    """The request that an ASGI scope describes, its body still unread."""
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    query = scope.get("query_string", b"").decode("latin-1")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    return Request(
        method=scope["method"],
        segments=segments(path.partition("/ocpi")[2] if "/ocpi" in path else path),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        url=f"{path}?{query}" if query else path,
        request_id=message_id(headers, "x-request-id"),
        correlation_id=message_id(headers, "x-correlation-id"),
    )


def segments(path: str) -> tuple[str, ...]:
    """The decoded parts of a path; a trailing slash is the same address, not a redirect (D3)."""
    return tuple(unquote(part) for part in path.strip("/").split("/"))


def matched(request: Request, dialects: Iterable[Dialect], routes: Iterable[Route]) -> Matched:
    """The route of a request; ``Refused`` with 404, or 405 when another method is served."""
    routes = list(routes)
    others: set[str] = set()
    for dialect in dialects:
        for route in routes:
            params = _params(pattern(route, dialect), request.segments)
            if params is None:
                continue
            if route.method == request.method:
                return Matched(route, dialect, params)
            others.add(route.method)
    if others:
        raise Refused(CLIENT_ERROR, f"only {', '.join(sorted(others))} is possible here", http=405)
    raise Refused(CLIENT_ERROR, "nothing is served at this address", http=404)


def pattern(route: Route, dialect: Dialect) -> tuple[str, ...]:
    """Where a route is mounted below ``/ocpi``, as path segments."""
    if route.module == "versions":
        return (dialect.version,) if route.path else ("versions",)
    parts = (dialect.version, route.side, route.module, *route.path.split("/"))
    return tuple(part for part in parts if part)


def _params(wanted: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str] | None:
    if len(wanted) != len(given):
        return None
    params: dict[str, str] = {}
    for name, value in zip(wanted, given, strict=True):
        if name.startswith("{"):
            if not value or not value.isprintable():
                return None
            params[name[1:-1]] = value
        elif name != value:
            return None
    return params


def check_json(request: Request) -> None:
    """Refuse a body that is not JSON with HTTP 400; what it says is judged later (T-B8)."""
    if request.method not in _WRITES:
        return
    try:
        msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(INVALID, f"the body is not JSON: {error}", http=400) from error


async def read_body(receive: Receive) -> bytes:
    """The whole body; ``Refused`` with 413 beyond 8 MiB."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT:
            raise Refused(INVALID, f"the body is larger than {BODY_LIMIT} bytes", http=413)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def send_answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Write an answer."""
    named = {**headers, "Content-Length": str(len(body))}
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
