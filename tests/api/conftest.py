"""The API in process, over ASGI, on a real database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from hub.api.ports import Wiring
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


@pytest.fixture
async def client(wiring: Wiring) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a login."""
    app = gated(litestar_app(wiring), wiring, {})
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as opened:
        yield opened


@pytest.fixture
async def admin(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A caller with every scope."""
    client.headers.update(bearer(BOOTSTRAP))
    return client
