"""Who may come in: bearer tokens, scopes, and the gate before every address.

The gate stands in front of routing and of reading bodies: without a valid login any address
that is not public answers 401, whether it exists or not.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.problems import Forbidden, Unauthenticated, answer_error
from hub.parties.api_tokens import SCOPES, find_api_token
from hub.runtime import PLATFORM, Database


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever calls: the tenant it acts for and what it may do."""

    tenant: UUID
    name: str
    scopes: frozenset[str]
    token_id: UUID | None = None
    """The stored token; ``None`` for the bootstrap token of the settings."""

    def may(self, scope: str) -> bool:
        """Whether ``scope`` is granted."""
        return scope in self.scopes


class Lock(Protocol):
    """Opens the addresses below one prefix to those it knows."""

    async def principal(self, scope: Scope) -> Principal | None:
        """Who calls, or ``None`` when nobody known does."""
        ...

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a caller that is not known: 401."""
        ...


class BearerLock:
    """``Authorization: Bearer`` with a stored token, or the bootstrap token of the settings."""

    def __init__(self, database: Database, bootstrap: str) -> None:
        self._database = database
        self._bootstrap = bootstrap

    async def principal(self, scope: Scope) -> Principal | None:
        """The owner of the presented token."""
        presented = _bearer(scope)
        return await self.owner(presented) if presented else None

    async def owner(self, presented: str) -> Principal | None:
        """The owner of a token given by other means (the console's sign-in form)."""
        if self._bootstrap and hmac.compare_digest(presented.encode(), self._bootstrap.encode()):
            return Principal(tenant=PLATFORM, name="bootstrap", scopes=SCOPES)
        async with self._database.system_tx() as tx:
            found = await find_api_token(tx, presented)
        if found is None:
            return None
        return Principal(
            tenant=found.tenant_id, name=f"token:{found.name}", scopes=frozenset(found.scopes),
            token_id=found.id,
        )  # fmt: skip

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A 401 problem."""
        await _answer(Unauthenticated(), scope, receive, send)


def _bearer(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


async def _answer(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    from litestar import Request

    request: Request[Any, Any, Any] = Request(scope)
    answer = answer_error(request, error)
    await answer.to_asgi_response(app=None, request=request)(scope, receive, send)


_EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


class Gate:
    """An ASGI application before the application.

    ``public`` addresses need no login. ``locks`` maps a path prefix to its lock, or to ``None``
    where a door has logins of its own (OCPI); the longest prefix wins, ``otherwise`` is the rest.
    """

    def __init__(
        self,
        app: ASGIApp,
        locks: Mapping[str, Lock | None],
        *,
        public: frozenset[str],
        otherwise: Lock,
    ) -> None:
        self._app = app
        self._public = public
        self._locks = sorted(locks.items(), key=lambda one: -len(one[0]))
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        send = _hardened(send)
        lock = None if scope["path"] in self._public else self._lock(scope["path"])
        if lock is None:
            await self._app(scope, receive, send)
            return
        try:
            caller = await lock.principal(scope)
        except Exception as error:  # noqa: BLE001 - the request loop: the gate answers like a handler
            await _answer(error, scope, receive, send)
            return
        if caller is None:
            await lock.refuse(scope, receive, send)
            return
        scope["user"] = caller
        await self._app(scope, receive, send)

    def _lock(self, path: str) -> Lock | None:
        for prefix, lock in self._locks:
            if path == prefix or path.startswith(f"{prefix}/"):
                return lock
        return self._otherwise


def _hardened(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_EVERYWHERE]
        await send(message)

    return with_headers


def needs(scope: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """A guard: the caller's token must carry ``scope``; ``Forbidden`` otherwise."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        caller: Principal = connection.user
        if not caller.may(scope):
            raise Forbidden(scope)

    return guard
