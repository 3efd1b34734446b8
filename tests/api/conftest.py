"""The API on a socket of its own, on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from hub.api.ports import Wiring
from hub.api.server import HttpServer, listen
from hub.api.web import gated, litestar_app
from hub.runtime import Database, LocalBus, Settings
from hub.runtime.vault import Vault

BOOTSTRAP = "bootstrap-token-of-the-tests"


class TwoActions:
    """A small catalogue with the rules of two real actions."""

    def actions(self, protocol: str) -> Sequence[str]:
        """The same for every version, but for one name."""
        return ["ClearCache", "Reset" if protocol == "ocpp1.6" else "GetReport"]

    def check(self, protocol: str, action: str, payload: bytes) -> str | None:
        """ClearCache carries nothing; Reset carries a type."""
        members = set(json.loads(payload))
        wanted = {"type"} if action == "Reset" else set()
        return None if members == wanted else f"expected members {sorted(wanted)}"


def bearer(token: str) -> dict[str, str]:
    """The header of a login."""
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def wiring(database: Database) -> Wiring:
    """What the composition root would give."""
    return Wiring(
        settings=Settings(admin_token=BOOTSTRAP), database=database, bus=LocalBus(),
        catalogue=TwoActions(), vault=Vault([bytes(32)]),
    )  # fmt: skip


@asynccontextmanager
async def served(wiring: Wiring) -> AsyncIterator[httpx.AsyncClient]:
    """The API on a free port, and a caller without a login."""
    sock = listen("127.0.0.1", 0, "HUB_HTTP_PORT")
    server = HttpServer(gated(litestar_app(wiring), wiring, {}), wiring.settings, sock)
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=40) as opened:
        yield opened
    server.stop()
    await serving


@pytest.fixture
async def client(wiring: Wiring) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a login, over a real socket."""
    async with served(wiring) as opened:
        yield opened


@pytest.fixture
async def admin(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A caller with every scope."""
    client.headers.update(bearer(BOOTSTRAP))
    return client
