"""Name resolution for our own calls: what was judged is what gets called, nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from hub.runtime.outbound_guard import OutboundRefused, judge

Lookup = Callable[[str], Awaitable[list[str]]]


class GuardedResolver(AbstractResolver):
    """Hands the connector only addresses that were judged; one bad address refuses the name."""

    def __init__(self, lookup: Lookup, scheme: str, private_allowed: bool) -> None:
        self._lookup = lookup
        self._scheme = scheme
        self._private_allowed = private_allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # aiohttp's signature
    ) -> list[ResolveResult]:
        """The judged addresses of ``host``; ``OutboundRefused`` or ``OSError``."""
        results: list[ResolveResult] = []
        for text in await self._lookup(host):
            address = ip_address(text.partition("%")[0])
            reason = judge(address, scheme=self._scheme, private_allowed=self._private_allowed)
            if reason is not None:
                raise OutboundRefused(f"{self._scheme}://{host}:{port}", reason)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        if not results:
            raise OSError(f"no address for {host}")
        return results

    async def close(self) -> None:
        """Nothing to close."""


async def system_lookup(host: str) -> list[str]:
    """The addresses of ``host`` by the system's resolver; ``OSError`` if there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
