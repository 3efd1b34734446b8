"""Who may call the API, and how it refuses."""

from __future__ import annotations

from datetime import timedelta

import httpx

from hub.api.ports import Wiring
from hub.parties.api_tokens import create_api_token, revoke_api_token, scopes_of
from hub.runtime import PLATFORM, Database

from .conftest import BOOTSTRAP, bearer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
CLOSED = (
    "/api/v1/jobs/dead", "/api/v1/no/such/thing", "/api/v1/jobs/x/replay", "/anything", "/api",
    "/api/docs/extra", "/healthzzz",
)  # fmt: skip
OPEN = ("/healthz", "/readyz", "/metrics", "/api/openapi.json", "/api/docs")


async def test_without_a_login_every_address_answers_401(client: httpx.AsyncClient) -> None:
    for method in METHODS:
        for path in CLOSED:
            answer = await client.request(method, path, content=b"{not json")
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_login_answers_401(client: httpx.AsyncClient) -> None:
    for value in ("Bearer wrong", "Basic " + BOOTSTRAP, "Bearer", "Token x", "bearer \u00e9"):
        answer = await client.get(
            "/api/v1/jobs/dead", headers=[(b"authorization", value.encode("latin-1"))]
        )
        assert answer.status_code == 401, value


async def test_public_addresses_need_no_login(client: httpx.AsyncClient) -> None:
    assert [(await client.get(path)).status_code for path in OPEN] == [200] * len(OPEN)


async def test_a_stored_token_opens_until_it_is_revoked(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        made = await create_api_token(tx, "robot", scopes_of("viewer"))
    assert (await client.get("/api/v1/jobs/dead", headers=bearer(made.token))).status_code == 200
    async with database.tx(PLATFORM) as tx:
        await revoke_api_token(tx, made.id)
    assert (await client.get("/api/v1/jobs/dead", headers=bearer(made.token))).status_code == 401


async def test_an_expired_token_opens_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        made = await create_api_token(
            tx, "old", scopes_of("admin"), expires_at=tx.now - timedelta(seconds=1)
        )
    assert (await client.get("/api/v1/jobs/dead", headers=bearer(made.token))).status_code == 401


async def test_a_viewer_may_look_and_not_touch(
    client: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        made = await create_api_token(tx, "viewer", scopes_of("viewer"))
    answer = await client.post("/api/v1/jobs/1/drop", headers=bearer(made.token))
    assert answer.status_code == 403
    assert "system:write" in answer.json()["detail"]


async def test_framework_errors_are_problems_too(admin: httpx.AsyncClient) -> None:
    missing = await admin.get("/api/v1/no/such/thing")
    wrong = await admin.delete("/api/v1/jobs/dead")
    absent = await admin.post("/api/v1/jobs/not-a-number/drop")
    assert [missing.status_code, wrong.status_code, absent.status_code] == [404, 405, 404]
    for answer in (missing, wrong, absent):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["title"]


async def test_a_hub_without_its_database_is_not_ready_and_says_so(
    client: httpx.AsyncClient, wiring: Wiring
) -> None:
    await wiring.database.close()
    alive = await client.get("/healthz")
    ready = await client.get("/readyz")
    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.headers["content-type"] == "application/problem+json"


async def test_a_body_nested_too_deep_is_the_callers_fault(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/api/v1/stations", content=b"[" * 100_000)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
