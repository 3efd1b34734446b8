"""Signing in to the console: an API token once, then a sealed cookie that scripts cannot read."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from typing import Final, Protocol
from uuid import UUID

import msgspec
from litestar.datastructures import Cookie
from litestar.types import Receive, Scope, Send

from hub.api.access import BearerLock, Principal
from hub.kernel import HubError, decode, encode, new_secret
from hub.parties.api_tokens import SCOPES, api_token_by_id
from hub.runtime import PLATFORM, Database

COOKIE: Final = "hub_console"
_CONTEXT: Final = "console session"
_LASTS: Final = timedelta(hours=12)


class Sealer(Protocol):
    """Seals bytes so that only we can open them, and only for the same context."""

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """The sealed form."""
        ...

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """What was sealed; a ``HubError`` when it was not sealed by us."""
        ...


class Session(msgspec.Struct, frozen=True):
    """What the cookie holds: which token signed in, until when, and the CSRF secret."""

    token_id: UUID | None
    bootstrap: str
    csrf: str
    expires: datetime


class Visitor(Principal, frozen=True, kw_only=True):
    """Somebody who is signed in to the console, with the secret that its forms carry."""

    csrf: str


class ConsoleLock:
    """Opens ``/console`` to whoever signed in with an API token that still lives."""

    def __init__(self, database: Database, sealer: Sealer, bootstrap: str, *, secure: bool) -> None:
        self._database = database
        self._sealer = sealer
        self._bootstrap = bootstrap
        self._secure = secure
        self._bearer = BearerLock(database, bootstrap)

    async def principal(self, scope: Scope) -> Principal | None:
        """Who signed in (a ``Visitor``)."""
        session = self._session(scope)
        if session is None or session.expires <= self._database.clock.now():
            return None
        return await self._visitor(session)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The sign-in page, with status 401."""
        from hub.console.pages import sign_in_page

        answer = sign_in_page(status=401)
        await answer.to_asgi_response(app=None, request=None)(scope, receive, send)  # type: ignore[arg-type]

    async def sign_in(self, token: str) -> Cookie | None:
        """The cookie of a new session, or ``None`` when the token opens nothing."""
        caller = await self._bearer.owner(token.strip())
        if caller is None:
            return None
        session = Session(
            token_id=caller.token_id,
            bootstrap="" if caller.token_id else self._fingerprint(),
            csrf=new_secret(),
            expires=self._database.clock.now() + _LASTS,
        )
        sealed = self._sealer.seal(encode(session), context=_CONTEXT)
        return self._cookie(sealed.hex(), max_age=int(_LASTS.total_seconds()))

    def sign_out(self) -> Cookie:
        """The cookie that ends a session in the browser."""
        return self._cookie("", max_age=0)

    def _cookie(self, value: str, *, max_age: int) -> Cookie:
        return Cookie(
            key=COOKIE, value=value, max_age=max_age, path="/console", httponly=True,
            secure=self._secure, samesite="strict",
        )  # fmt: skip

    def _session(self, scope: Scope) -> Session | None:
        try:
            sealed = bytes.fromhex(_cookie_value(scope))
            return decode(self._sealer.open(sealed, context=_CONTEXT), Session) if sealed else None
        except (HubError, ValueError, msgspec.MsgspecError):
            return None

    async def _visitor(self, session: Session) -> Visitor | None:
        if session.token_id is None:
            same = hmac.compare_digest(session.bootstrap, self._fingerprint())
            if not same or not self._bootstrap:
                return None
            return Visitor(tenant=PLATFORM, name="bootstrap", scopes=SCOPES, csrf=session.csrf)
        async with self._database.system_tx() as tx:
            found = await api_token_by_id(tx, session.token_id)
        if found is None:
            return None
        return Visitor(
            tenant=found.tenant_id, name=f"token:{found.name}", scopes=frozenset(found.scopes),
            token_id=found.id, csrf=session.csrf,
        )  # fmt: skip

    def _fingerprint(self) -> str:
        return hashlib.sha256(b"console" + self._bootstrap.encode()).hexdigest()


def _cookie_value(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return ""
            return found.value if found else ""
    return ""
