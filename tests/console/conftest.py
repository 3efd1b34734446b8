"""The console in process, over ASGI, on a real database."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from hub.api.ports import Wiring
from hub.api.web import gated, litestar_app
from hub.console.routes import PUBLIC, console_router
from hub.console.session import ConsoleLock
from hub.runtime import Database, LocalBus, Settings
from hub.runtime.vault import Vault

TOKEN = "bootstrap-token-of-the-tests"


class NoActions:
    """A catalogue of nothing."""

    def actions(self, protocol: str) -> Sequence[str]:
        """None."""
        return []

    def check(self, protocol: str, action: str, payload: bytes) -> str | None:
        """Never asked."""
        return None


@pytest.fixture
async def visitor(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has not signed in."""
    settings = Settings(admin_token=TOKEN)
    wiring = Wiring(
        settings=settings,
        database=database,
        bus=LocalBus(),
        catalogue=NoActions(),
        vault=Vault([bytes(32)]),
    )
    lock = ConsoleLock(database, Vault([os.urandom(32)]), TOKEN, secure=False)
    app = gated(
        litestar_app(wiring, [console_router(lock)]), wiring, {"/console": lock}, public=PUBLIC
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as opened:
        yield opened


@pytest.fixture
async def browser(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    """A browser that has signed in."""
    answer = await visitor.post("/console/sign-in", data={"token": TOKEN})
    assert answer.status_code == 303
    return visitor


def csrf_of(html: str) -> str:
    """The secret in the forms of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found
    return found[1]
