"""Every HTTP call that the hub makes to others: guarded, bounded, never redirected.

One small keep-alive pool per partner, so that a slow partner takes nobody else's connections.
The address that was judged is the address that is called: names are resolved once, here.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from yarl import URL

from hub.kernel import HubError
from hub.runtime.outbound_errors import (
    OutboundError,
    OutboundTimeout,
    OutboundTooLarge,
    OutboundUnreachable,
    maybe_delivered,
    reason_of,
)
from hub.runtime.outbound_guard import (
    OutboundRefused,
    Private,
    is_private_url,
    judge,
    literal_of,
    read_url,
    shown,
)
from hub.runtime.outbound_resolver import GuardedResolver, Lookup, system_lookup

__all__ = [
    "Answer",
    "Outbound",
    "OutboundError",
    "OutboundRefused",
    "OutboundTimeout",
    "OutboundTooLarge",
    "OutboundUnreachable",
]

SIZE_LIMIT: Final = 16 << 20
CONNECTIONS_PER_PARTNER: Final = 8
POOL_LIMIT: Final = 1000
CONNECT_LIMIT: Final = 10.0
IDLE_LIMIT: Final = 30.0
_ZLIB: Final = frozenset({"gzip", "x-gzip", "deflate"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAK: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Observer = Callable[[str, str, str, float], None]
"""Hears partner, method, outcome (``2xx`` ... or an error's code) and seconds of every call."""


class Answer(msgspec.Struct, frozen=True):
    """What came back, redirects included. Header names are lower case, the last of a name wins."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Pool(msgspec.Struct):
    session: aiohttp.ClientSession
    busy: int = 0


class Outbound:
    """The one way out. ``private`` is ``HUB_OUTBOUND_PRIVATE``, ``public_url`` our own address.

    ``lookup`` resolves a name to addresses (default: the system's resolver), ``tls`` overrides
    the system's trust (private roots). Close it, or use it as an async context manager.
    """

    def __init__(
        self,
        *,
        public_url: str,
        private: Private = "auto",
        size_limit: int = SIZE_LIMIT,
        lookup: Lookup | None = None,
        observe: Observer | None = None,
        tls: ssl.SSLContext | None = None,
        pool_limit: int = POOL_LIMIT,
    ) -> None:
        self.private_allowed = private == "allow" or (
            private == "auto" and is_private_url(public_url)
        )
        self._size_limit = size_limit
        self._lookup = lookup or system_lookup
        self._observe = observe
        self._tls = tls
        self._pool_limit = pool_limit
        self._pools: OrderedDict[tuple[str, str], _Pool] = OrderedDict()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        partner: str = "",
    ) -> Answer:
        """Call once and return whatever status came back; ``timeout`` seconds cover everything.

        Raises ``OutboundRefused``, ``OutboundTimeout``, ``OutboundUnreachable`` or
        ``OutboundTooLarge``. Calls of one ``partner`` share a pool of their own.
        """
        began, outcome = time.monotonic(), "cancelled"
        try:
            answer = await self._guarded(
                method, url, headers or {}, body, timeout=timeout, partner=partner
            )
            outcome = f"{answer.status // 100}xx"
        except HubError as error:
            outcome = error.code
            raise
        else:
            return answer
        finally:
            if self._observe is not None:
                self._observe(partner, method, outcome, time.monotonic() - began)

    async def close(self) -> None:
        """Close every pool; calls under way fail."""
        pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            await pool.session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _guarded(
        self,
        method: str,
        text: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout: float,
        partner: str,
    ) -> Answer:
        url = read_url(text)
        if not _is_proper(method, headers):
            raise OutboundRefused(shown(text), "the method or a header holds forbidden characters")
        if (literal := literal_of(url)) is not None:
            # aiohttp asks no resolver about an address, so it is judged here.
            reason = judge(literal, scheme=url.scheme, private_allowed=self.private_allowed)
            if reason is not None:
                raise OutboundRefused(shown(text), reason)
        pool = await self._pool(partner, url.scheme)
        pool.busy += 1
        try:
            async with asyncio.timeout(timeout):
                return await self._call(pool.session, method, url, headers, body)
        except TimeoutError as error:
            raise OutboundTimeout(
                shown(text),
                f"no complete answer within {timeout:g} s",
                maybe_delivered=not isinstance(error, aiohttp.ConnectionTimeoutError),
            ) from error
        except aiohttp.ClientError as error:
            raise OutboundUnreachable(
                shown(text), reason_of(error), maybe_delivered=maybe_delivered(error)
            ) from error
        finally:
            pool.busy -= 1

    async def _call(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        async with session.request(
            method, url, headers=headers, data=body or None, allow_redirects=False
        ) as response:
            content = await self._read(response, shown(str(url)))
        named = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, named, content)

    async def _read(self, response: aiohttp.ClientResponse, where: str) -> bytes:
        """The whole body, inflated by at most the size limit (no compression bombs)."""
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding in _ZLIB else None
        if inflate is None and encoding != "identity":
            raise OutboundUnreachable(
                where, f"answered in encoding {encoding[:20]!r}", maybe_delivered=True
            )
        parts, size = [], 0
        async for chunk in response.content.iter_any():
            part = chunk
            if inflate is not None:
                try:
                    part = inflate.decompress(chunk, self._size_limit - size + 1)
                except zlib.error as error:
                    raise OutboundUnreachable(
                        where, "the answer's compression is broken", maybe_delivered=True
                    ) from error
            size += len(part)
            if size > self._size_limit:
                response.close()
                raise OutboundTooLarge(
                    where, f"the answer exceeds {self._size_limit} bytes", maybe_delivered=True
                )
            parts.append(part)
        return b"".join(parts)

    async def _pool(self, partner: str, scheme: str) -> _Pool:
        key = (partner, scheme)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._session(scheme))
            for idle in [name for name, kept in self._pools.items() if not kept.busy]:
                if len(self._pools) <= self._pool_limit:
                    break
                if idle != key:
                    await self._pools.pop(idle).session.close()
        self._pools.move_to_end(key)
        return pool

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_PER_PARTNER,
            resolver=GuardedResolver(self._lookup, scheme, self.private_allowed),
            use_dns_cache=False,
            keepalive_timeout=IDLE_LIMIT,
            ssl=self._tls or True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "gzip", "User-Agent": "charging-hub"},
        )


def _is_proper(method: str, headers: Mapping[str, str]) -> bool:
    """Whether nothing in the head of a request can begin another line (RFC 9110 section 5)."""
    names = all(_TOKEN.fullmatch(name) for name in (method, *headers))
    return names and not any(_BREAK.search(value) for value in headers.values())
