"""Calls to partners: authorised, traced, logged, tolerant of what they answer, never redirected.

Also asks an eMSP about a token in real time, as the charging room needs it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from uuid import UUID

import msgspec
import structlog

from hub.charging.ports import AuthorityAnswer, AuthorityUnreachable
from hub.kernel import HubError, NotFound, encode, new_id
from hub.ocpi import objects
from hub.ocpi.breaker import Breakers, PartnerDown
from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import Invalid, one_object, unwrap
from hub.ocpi.headers import FUNCTIONAL, PartyRef, authorization, routing_headers
from hub.ocpi.messages import Leg, log_leg
from hub.parties import (
    Endpoint,
    Partner,
    endpoints_of,
    our_parties,
    parties_of,
    partner_by_id,
    token_out,
)
from hub.parties.credentials import settle_token_out
from hub.parties.model import TokenStyle
from hub.runtime import Database, Tx, correlation
from hub.runtime.http import Answer, Outbound, OutboundError, OutboundRefused
from hub.runtime.vault import Vault

log = structlog.get_logger()

PUSH_SECONDS: Final = 15.0
LIST_SECONDS: Final = 30.0


class PartnerUnreachable(HubError):
    """A partner that did not answer, or not in OCPI. ``reason`` says how."""

    code = "partner_unreachable"
    status = 502

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"the partner gave no usable answer: {self.reason}"


class PartnerRefused(HubError):
    """A partner's negative answer: its HTTP status and OCPI status code (0: none) and message."""

    code = "partner_refused"
    status = 502

    def __init__(self, http: int, status_code: int, message: str) -> None:
        super().__init__(http, status_code, message)
        self.http = http
        self.status_code = status_code
        self.message = message

    def __str__(self) -> str:
        return f"the partner answered HTTP {self.http}, OCPI {self.status_code}: {self.message}"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to call a partner: who, where, with which tokens, as whom."""

    partner: Partner
    dialect: Dialect
    token: str
    previous: str | None = None
    style: TokenStyle = "base64"
    endpoints: tuple[Endpoint, ...] = ()
    ours: PartyRef | None = None
    theirs: PartyRef | None = None

    def url(self, module: str, role: str, *parts: str, **query: str) -> str:
        """The partner's address of a module, with path parts; ``NotFound`` if not served."""
        for endpoint in self.endpoints:
            if (endpoint.module, endpoint.role) == (module, role):
                return joined(endpoint.url, *parts, **query)
        raise NotFound(f"{role} endpoint", module)


class Asked(msgspec.Struct, frozen=True):
    """What a partner is asked; ``within`` seconds."""

    module: str
    method: str
    url: str
    content: bytes
    within: float


class Heard(msgspec.Struct, frozen=True):
    """A partner's positive answer. ``data`` is JSON, ``null`` when there is none."""

    http: int
    data: bytes
    headers: Mapping[str, str]


def joined(base: str, *parts: str, **query: str) -> str:
    """``base`` with path parts below it and query items added; its own query stays (V-8)."""
    split = urlsplit(base)
    path = "/".join([split.path.rstrip("/"), *(quote(part, safe="") for part in parts)])
    full = "&".join(filter(None, [split.query, urlencode(query)]))
    return urlunsplit((split.scheme, split.netloc, path if parts else split.path, full, ""))


class OcpiClient:
    """Calls partners in their own version. One per process; it knows who is down."""

    def __init__(
        self,
        database: Database,
        outbound: Outbound,
        vault: Vault,
        *,
        dialects: Sequence[Dialect],
        breakers: Breakers | None = None,
    ) -> None:
        self._database = database
        self._outbound = outbound
        self._vault = vault
        self._dialects = {dialect.version: dialect for dialect in dialects}
        self._breakers = breakers or Breakers()

    async def line(self, tx: Tx, partner_id: UUID, *, to: PartyRef | None = None) -> Line:
        """The line to a connected partner; ``NotFound`` when it is not connected."""
        partner = await partner_by_id(tx, partner_id)
        sealed, previous = await token_out(tx, partner_id)
        theirs = await parties_of(tx, partner_id)
        ours = await our_parties(tx)
        dialect = self._dialects.get(partner.version or "")
        if dialect is None:
            raise NotFound("dialect", str(partner.version))
        context = seal_context(partner_id)
        first = next((PartyRef(p.country_code, p.party_id) for p in theirs), None)
        return Line(
            partner=partner,
            dialect=dialect,
            token=self._vault.open(sealed, context=context).decode(),
            previous=self._vault.open(previous, context=context).decode() if previous else None,
            style=partner.token_style,
            endpoints=tuple(await endpoints_of(tx, partner_id)),
            ours=PartyRef(ours[0].country_code, ours[0].party_id) if ours else None,
            theirs=to or first,
        )

    async def call(
        self,
        line: Line,
        module: str,
        method: str,
        url: str,
        *,
        body: object = None,
        within: float = PUSH_SECONDS,
    ) -> Heard:
        """Call a partner. Raises ``PartnerRefused`` or ``PartnerUnreachable``.

        A 401 while a token is being rotated is tried once with the token before (C-6).
        """
        self._breakers.check(line.partner.id)
        content = b"" if body is None else encode(body)
        asked = Asked(module, method, url, content, within)
        answer = await self._send(line, line.token, asked)
        if line.previous is not None:
            older = answer.status == 401
            if older:
                answer = await self._send(line, line.previous, asked)
            if answer.status != 401:
                async with self._database.tx(line.partner.tenant_id, actor="ocpi") as tx:
                    await settle_token_out(tx, line.partner.id, keep_previous=older)
        return judged(answer, url)

    async def _send(self, line: Line, token: str, asked: Asked) -> Answer:
        request_id, began = str(new_id()), time.monotonic()
        headers = {
            "Authorization": authorization(token, line.style),
            "X-Request-ID": request_id,
            "X-Correlation-ID": correlation(),
            "Accept": "application/json",
        }
        if asked.content:
            headers["Content-Type"] = "application/json"
        if asked.module in FUNCTIONAL:
            headers |= routing_headers(line.theirs, line.ours)
        answer, error = await self._tried(line, asked, headers)
        leg = Leg(
            partner_id=line.partner.id, direction="out", correlation_id=correlation(),
            request_id=request_id, module=asked.module, method=asked.method, url=asked.url,
            request=asked.content,
            response=answer.body if answer else b"", http_status=answer.status if answer else None,
            status_code=_code(answer), millis=round((time.monotonic() - began) * 1000),
            error=error,
        )  # fmt: skip
        async with self._database.tx(line.partner.tenant_id, actor="ocpi") as tx:
            await log_leg(tx, leg)
        if answer is None:
            raise PartnerUnreachable(asked.url, error or "no answer")
        return answer

    async def _tried(
        self, line: Line, asked: Asked, headers: Mapping[str, str]
    ) -> tuple[Answer | None, str | None]:
        try:
            answer = await self._outbound.request(
                asked.method, asked.url, headers=headers, body=asked.content, timeout=asked.within,
                partner=str(line.partner.id),
            )  # fmt: skip
        except OutboundError as error:
            self._breakers.failed(line.partner.id)
            return None, str(error)
        except OutboundRefused as error:
            return None, str(error)
        self._breakers.worked(line.partner.id)
        return answer, None

    async def ask(
        self,
        partner_id: UUID,
        *,
        token_uid: str,
        token_type: str,
        location_id: str | None,
        evse_uid: str | None,
        within: float,
    ) -> AuthorityAnswer | None:
        """The eMSP's real-time authorisation, ``None`` when it does not know the token (TO-4).

        Raises ``AuthorityUnreachable`` when no usable answer came in time.
        """
        try:
            async with self._database.system_tx() as tx:
                tenant = (await partner_by_id(tx, partner_id)).tenant_id
            async with self._database.tx(tenant, actor="ocpi") as tx:
                line = await self.line(tx, partner_id)
            url = line.url("tokens", "SENDER", token_uid, "authorize", type=token_type)
            body: object = None
            if location_id is not None:
                where = objects.LocationReferences(location_id, (evse_uid,) if evse_uid else ())
                body = line.dialect.location_references.lower(where)
            heard = await self.call(line, "tokens", "POST", url, body=body, within=within)
            given = line.dialect.authorization.read(one_object(heard.data))
        except PartnerRefused as refused:
            if refused.http == 404 or refused.status_code == 2004:
                return None
            raise AuthorityUnreachable(str(refused)) from refused
        except (PartnerUnreachable, PartnerDown, NotFound, Invalid) as error:
            raise AuthorityUnreachable(str(error)) from error
        return msgspec.convert(
            {
                "allowed": given.allowed,
                "authorization_reference": given.authorization_reference,
            },
            AuthorityAnswer,
        )


def seal_context(partner_id: UUID) -> str:
    """Under which context the token for a partner is sealed."""
    return f"parties.partner.token_out:{partner_id}"


def judged(answer: Answer, url: str) -> Heard:
    """A partner's answer, judged by its status code first and by HTTP second (D6)."""
    wrapped = unwrap(answer.body)
    if wrapped is None:
        if 200 <= answer.status < 300 and not answer.body.strip():
            return Heard(answer.status, b"null", answer.headers)
        if 200 <= answer.status < 300:
            raise PartnerUnreachable(url, "its answer is not an OCPI envelope")
        raise PartnerRefused(answer.status, 0, "no OCPI envelope")
    if not 1000 <= wrapped.status_code < 2000 or answer.status in {401, 404, 405}:
        raise PartnerRefused(answer.status, wrapped.status_code, wrapped.status_message or "")
    return Heard(answer.status, bytes(wrapped.data), answer.headers)


def _code(answer: Answer | None) -> int | None:
    wrapped: Any = unwrap(answer.body) if answer else None
    return wrapped.status_code if wrapped else None
