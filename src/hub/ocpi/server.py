"""The OCPI server: one ASGI application that answers every request under ``/ocpi``.

It admits the caller, runs the handler in its transaction, wraps whatever comes out into an
envelope (also 401, 404, 405 and 500), and logs the leg with the handler's own commit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from traceback import format_exc
from uuid import UUID

import msgspec
import structlog

from hub.kernel import Clock, HubError, InvalidValue, NotFound
from hub.ocpi.admission import Admitted, Known, admit, known_token
from hub.ocpi.call import Call, Route
from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import CLIENT_ERROR, INVALID, SERVER_ERROR, Invalid, Refused, Reply, wrap
from hub.ocpi.headers import FUNCTIONAL, routing_headers
from hub.ocpi.messages import Leg, log_leg
from hub.ocpi.quarantine import held_message, hold, release
from hub.ocpi.request import (
    Matched,
    Receive,
    Request,
    Scope,
    Send,
    check_json,
    matched,
    read_body,
    request_of,
    segments,
    send_answer,
)
from hub.parties import Credential, Partner, partner_by_id
from hub.runtime import Database, Settings, correlated
from hub.runtime.vault import Vault

log = structlog.get_logger()


class OcpiServer:
    """Serves ``routes`` in every dialect. ``clock`` stamps the envelopes."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        settings: Settings,
        *,
        clock: Clock,
        dialects: Sequence[Dialect],
        routes: Sequence[Route],
    ) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._clock = clock
        self._dialects = dialects
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = request_of(scope)
        with correlated(request.correlation_id):
            reply = await self._guarded(request, receive)
        headers = {
            "Content-Type": "application/json",
            "X-Request-ID": request.request_id,
            "X-Correlation-ID": request.correlation_id,
            **reply.headers,
        }
        await send_answer(send, reply.http, headers, wrap(reply, self._clock.now()))

    async def _guarded(self, request: Request, receive: Receive) -> Reply:
        try:
            request.body = await read_body(receive)
            return await self._answer(request)
        except Refused as refused:
            return Reply.of(refused)
        except HubError as error:
            log.warning("ocpi_failed", url=request.url, error=str(error))
            return Reply(status_code=SERVER_ERROR, message=str(error), http=max(error.status, 500))
        except Exception as error:  # noqa: BLE001 - the request loop: one failure never stops it
            log.log(40, "ocpi_crashed", url=request.url, error=repr(error), trace=format_exc())
            return Reply(status_code=SERVER_ERROR, message="internal error", http=500)

    async def _answer(self, request: Request) -> Reply:
        began = time.monotonic()
        known = await known_token(self._database, self._vault, request)
        tenant, partner = known.credential.tenant_id, known.credential.partner_id
        found: Matched | None = None
        try:
            found = matched(request, self._dialects, self._routes)
            check_json(request)
            async with self._database.tx(tenant, actor="ocpi") as tx:
                admitted = await admit(tx, known, request, found.route, self._settings)
        except Refused as refused:
            reply = Reply.of(refused)
            _tell_refused(partner, request, reply)
            await self._log(tenant, self._leg(request, partner, reply, found, began))
            return reply
        call = self._call(request, found, admitted)
        return _routed(await self._run(found, call, request, began), call)

    def _call(self, request: Request, found: Matched, admitted: Admitted) -> Call:
        path = request.url.partition("?")[0].partition(f"/{found.dialect.version}/")[2]
        return Call(
            dialect=found.dialect, settings=self._settings, partner=admitted.partner,
            credential=admitted.credential, token=admitted.token, module=found.route.module,
            method=request.method, path="/" + path.strip("/"), params=found.params,
            query=request.query, headers=request.headers, body=request.body,
            sender=admitted.sender, receiver=admitted.receiver,
        )  # fmt: skip

    async def _run(self, found: Matched, call: Call, request: Request, began: float) -> Reply:
        """The handler's answer, logged in the handler's own transaction where it has one."""
        route, partner = found.route, call.partner.id
        try:
            if route.action is not None:
                async with self._database.tx(call.tenant, actor=f"partner:{partner}") as tx:
                    reply = await route.action(tx, call)
                    await log_leg(tx, self._leg(request, partner, reply, found, began))
                return reply
            assert route.flow is not None
            reply = await route.flow(call)
        except Refused as refused:
            reply = Reply.of(refused)
            if route.keeps and isinstance(refused, Invalid):
                await self._quarantine(call, refused.message)
        except InvalidValue as error:
            reply = Reply(status_code=INVALID, message=str(error))
        except NotFound as error:
            reply = Reply(status_code=CLIENT_ERROR, message=str(error), http=404)
        _tell_refused(partner, request, reply)
        await self._log(call.tenant, self._leg(request, partner, reply, found, began))
        return reply

    async def _quarantine(self, call: Call, reason: str) -> None:
        async with self._database.tx(call.tenant, actor="ocpi") as tx:
            await hold(tx, call, reason)
        log.warning("ocpi_quarantined", module=call.module, path=call.path, reason=reason)

    def _leg(
        self, request: Request, partner: UUID, reply: Reply, found: Matched | None, began: float
    ) -> Leg:
        return Leg(
            partner_id=partner, direction="in", correlation_id=request.correlation_id,
            request_id=request.request_id, module=found.route.module if found else "",
            method=request.method, url=request.url, request=request.body,
            response=wrap(reply, self._clock.now()), http_status=reply.http,
            status_code=reply.status_code, millis=round((time.monotonic() - began) * 1000),
        )  # fmt: skip

    async def _log(self, tenant: UUID, leg: Leg) -> None:
        async with self._database.tx(tenant, actor="ocpi") as tx:
            await log_leg(tx, leg)

    async def replay(self, tenant: UUID, held_id: UUID) -> Reply:
        """Handle a quarantined message once more, as if it came now; released when it is taken.

        Raises ``NotFound`` when it is not held (any more), ``Refused`` when it still cannot be.
        """
        async with self._database.tx(tenant, actor="replay") as tx:
            held = await held_message(tx, held_id)
            partner = await partner_by_id(tx, held.partner_id)
            request = Request(
                method=held.method, segments=(held.version, *segments(held.path)),
                query=held.query_items(), headers=held.header_items(),
                url=f"/{held.version}{held.path}", body=held.body,
            )  # fmt: skip
            found = matched(request, self._dialects, self._routes)
            known = Known(_credential_of(partner), "", partner.token_style)
            admitted = await admit(tx, known, request, found.route, self._settings)
            assert found.route.action is not None
            reply = await found.route.action(tx, self._call(request, found, admitted))
            await release(tx, held_id, "replayed")
        return reply


def _tell_refused(partner: UUID, request: Request, reply: Reply) -> None:
    """Tell of what a partner did wrong; a mere "not found" is an everyday answer."""
    everyday = reply.http == HTTPStatus.NOT_FOUND and reply.status_code != INVALID
    if reply.status_code >= CLIENT_ERROR and not everyday:
        log.warning(
            "ocpi_refused", partner=str(partner), method=request.method,
            url=request.url.partition("?")[0], status_code=reply.status_code, reason=reply.message,
            hint="the partner was told why; both bodies are in the message log",
        )  # fmt: skip


def _routed(reply: Reply, call: Call) -> Reply:
    """The answer with routing headers, swapped (M-3)."""
    if call.module not in FUNCTIONAL:
        return reply
    headers = {**reply.headers, **routing_headers(call.sender, call.receiver)}
    return msgspec.structs.replace(reply, headers=headers)


def _credential_of(partner: Partner) -> Credential:
    """What stands for the token of a message whose sender was known when it came."""
    return Credential(
        id=partner.id, tenant_id=partner.tenant_id, partner_id=partner.id, hash=b"",
        kind="access", used_at=partner.created_at, expires_at=None,
    )  # fmt: skip
