"""Pulls of what partners own: an eMSP's tokens, after the handshake or when somebody asks."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import msgspec
import structlog

from hub.charging.tokens import save_token
from hub.kernel import InvalidValue, decode, format_instant
from hub.ocpi.client import LIST_SECONDS, Heard, Line, OcpiClient, joined
from hub.ocpi.envelope import Invalid
from hub.ocpi.events import PartnerConnected
from hub.ocpi.quarantine import hold_object
from hub.parties import parties_of
from hub.runtime import Database, Tx

log = structlog.get_logger()

_PAGES: Final = 10_000
_LIMIT: Final = 500


class Pulled(msgspec.Struct):
    """How many objects were taken, and how many went to quarantine."""

    taken: int = 0
    held: int = 0


class TokenPull:
    """Reads a partner's token list page by page."""

    def __init__(self, database: Database, client: OcpiClient) -> None:
        self._database = database
        self._client = client

    async def on_connected(self, event: PartnerConnected) -> None:
        """All tokens of a partner that has just connected."""
        await self.pull(event.tenant_id, event.partner_id)

    async def pull(
        self, tenant: UUID, partner_id: UUID, *, since: datetime | None = None
    ) -> Pulled:
        """Take the partner's tokens (changed ``since`` then, if given); what is bad is held.

        Nothing to do for a partner without a token list. Raises what the partner or the way did.
        """
        async with self._database.tx(tenant, actor="ocpi") as tx:
            line = await self._client.line(tx, partner_id)
            owners = {(p.country_code, p.party_id) for p in await parties_of(tx, partner_id)}
        result = Pulled()
        if not any((e.module, e.role) == ("tokens", "SENDER") for e in line.endpoints):
            return result
        query = {"date_from": format_instant(since)} if since else {}
        url = line.url("tokens", "SENDER", limit=str(_LIMIT), offset="0", **query)
        for _ in range(_PAGES):
            heard = await self._client.call(line, "tokens", "GET", url, within=LIST_SECONDS)
            page = _objects(heard)
            async with self._database.tx(tenant, actor=f"partner:{partner_id}") as tx:
                for raw in page:
                    await self._take(tx, line, owners, bytes(raw), result)
            following = next_page(heard, url, len(page))
            if following is None:
                break
            url = following
        log.info("ocpi_tokens_pulled", partner=str(partner_id), taken=result.taken)
        return result

    async def _take(
        self, tx: Tx, line: Line, owners: set[tuple[str, str]], raw: bytes, result: Pulled
    ) -> None:
        try:
            token = line.dialect.token.read(raw)
            if (token.country_code, token.party_id) not in owners:
                raise Invalid(f"{token.country_code}-{token.party_id} is not the partner's party")
            await save_token(tx, msgspec.structs.replace(token, partner_id=line.partner.id))
        except (Invalid, InvalidValue) as error:
            path = _as_put(raw)
            await hold_object(
                tx, line.partner.id, line.dialect.version, path, raw, reason=str(error)
            )
            result.held += 1
        else:
            result.taken += 1


class _Key(msgspec.Struct):
    country_code: str = "-"
    party_id: str = "-"
    uid: str = "-"
    type: str = "RFID"


def _as_put(raw: bytes) -> str:
    """The path under which the owner would have pushed this token, for a replay."""
    try:
        key = decode(raw, _Key)
    except msgspec.ValidationError:
        key = _Key()
    parts = (key.country_code, key.party_id, key.uid)
    return joined("/receiver/tokens", *parts, type=key.type)


def _objects(heard: Heard) -> list[msgspec.Raw]:
    try:
        return decode(heard.data, list[msgspec.Raw])
    except msgspec.ValidationError:
        return [] if heard.data == b"null" else [msgspec.Raw(heard.data)]


def next_page(heard: Heard, url: str, count: int) -> str | None:
    """The address of the next page: the partner's own link, else by offset (T-D3, D16).

    A link to another host than the list's is not followed.
    """
    if count == 0:
        return None
    link = heard.headers.get("link", "")
    target = link.partition(";")[0].strip().strip("<>") if "next" in link else ""
    if target:
        here, there = urlsplit(url), urlsplit(target)
        if (there.scheme, there.netloc) == (here.scheme, here.netloc):
            return target if target != url else None
    total = heard.headers.get("x-total-count", "")
    query = dict(parse_qsl(urlsplit(url).query))
    offset = int(query.get("offset", "0")) + count
    if not link and not (total.isdecimal() and offset < int(total)):
        return None
    return (
        joined(urlsplit(url)._replace(query="").geturl())
        + "?"
        + urlencode({**query, "offset": offset})
    )
