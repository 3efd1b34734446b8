"""Signing in, looking around, and the buttons."""

from __future__ import annotations

import re

import httpx

from hub.charging.exceptions import park
from hub.runtime import PLATFORM, Database
from hub.stations import find_station, note_unknown_station, register_station

from .conftest import csrf_of

PAGES = (
    "/console",
    "/console/stations",
    "/console/sessions",
    "/console/cdrs",
    "/console/books",
    "/console/work",
)


async def test_without_a_session_every_page_is_a_401_with_the_sign_in_form(
    visitor: httpx.AsyncClient,
) -> None:
    for path in (*PAGES, "/console/live", "/console/nothing", "/console/static/secret"):
        answer = await visitor.get(path)
        assert answer.status_code == 401, path
        assert 'action="/console/sign-in"' in answer.text


async def test_a_wrong_token_opens_no_session(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/console/sign-in", data={"token": "wrong"})
    assert answer.status_code == 401
    assert "opens nothing" in answer.text
    assert "set-cookie" not in answer.headers


async def test_the_session_cookie_is_for_this_site_and_not_for_scripts(
    visitor: httpx.AsyncClient,
) -> None:
    answer = await visitor.post("/console/sign-in", data={"token": "bootstrap-token-of-the-tests"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/console" in cookie
    assert "bootstrap-token" not in cookie


async def test_a_forged_cookie_opens_nothing(visitor: httpx.AsyncClient) -> None:
    for value in ("00", "zz", "01" * 60):
        visitor.cookies.set("hub_console", value, path="/console")
        assert (await visitor.get("/console")).status_code == 401


async def test_empty_pages_say_what_to_do_next(browser: httpx.AsyncClient) -> None:
    texts = {path: (await browser.get(path)) for path in PAGES}
    assert {answer.status_code for answer in texts.values()} == {200}
    assert "hub station add" in texts["/console"].text
    assert "hub station add" in texts["/console/stations"].text
    assert "hub demo" in texts["/console/sessions"].text
    assert "Balanced" in texts["/console/books"].text


async def test_no_page_runs_foreign_or_inline_code(browser: httpx.AsyncClient) -> None:
    for path in PAGES:
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "style=" not in answer.text
        assert "onclick" not in answer.text
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text


async def test_what_a_station_calls_itself_is_escaped(
    browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await note_unknown_station(tx, "<b>CP 7", "192.0.2.7")
    listed = await browser.get("/console/stations?state=pending")
    assert "&lt;b&gt;CP 7" in listed.text
    assert "<b>CP" not in listed.text


async def test_a_button_needs_the_pages_own_secret(
    browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await note_unknown_station(tx, "CP7", "192.0.2.7")
    shown = await browser.get("/console/stations/CP7")
    assert "waits for your approval" in shown.text
    forged = await browser.post("/console/stations/CP7/approve", data={"csrf": "guess"})
    assert forged.status_code == 403
    await database_station_is(database, "CP7", "pending")
    real = await browser.post("/console/stations/CP7/approve", data={"csrf": csrf_of(shown.text)})
    assert real.status_code == 200
    await database_station_is(database, "CP7", "approved")


async def test_signing_out_ends_the_session(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/console")
    out = await browser.post("/console/sign-out", data={"csrf": csrf_of(page.text)})
    assert out.status_code == 303
    assert (await browser.get("/console")).status_code == 401


async def test_a_missing_station_is_a_page_that_says_so(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/console/stations/none")
    assert answer.status_code == 404
    assert "no station" in answer.text


async def test_an_unknown_address_is_a_page_and_not_bare_json(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/console/nowhere/at-all")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "no page at /nowhere/at-all" in answer.text


async def test_static_files_are_public_and_cached(visitor: httpx.AsyncClient) -> None:
    for name in ("style.css", "live.js", "icon.svg"):
        answer = await visitor.get(f"/console/static/{name}")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_the_console_is_no_way_into_the_api(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/api/v1/stations")).status_code == 401


async def database_station_is(database: Database, station_id: str, state: str) -> None:
    async with database.system_tx() as tx:
        row = await find_station(tx, station_id)
    assert row is not None
    assert row.state == state


async def test_a_registered_station_is_listed(
    browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await register_station(tx, "CP-1")
    assert "CP-1" in (await browser.get("/console/stations")).text
    assert "ws://127.0.0.1:9000/ocpp/CP-1" in (await browser.get("/console/stations/CP-1")).text


async def test_an_exception_is_resolved_with_a_sentence(
    browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await register_station(tx, "CP-1")
        await park(tx, "orphan_stop", "CP-1", "k1", detail="no start belongs to it")
    shown = (await browser.get("/console/work")).text
    assert "no start belongs to it" in shown
    found = re.search(r'action="(/console/work/exceptions/[^"]+)"', shown)
    assert found
    empty = {"csrf": csrf_of(shown), "resolution": "  "}
    assert (await browser.post(found[1], data=empty)).status_code == 400
    assert (await browser.post(found[1], data={"resolution": "seen"})).status_code == 403
    decided = {"csrf": csrf_of(shown), "resolution": "station was replaced"}
    assert (await browser.post(found[1], data=decided)).status_code == 303
    assert "Every session is clear" in (await browser.get("/console/work")).text
    assert (await browser.post(found[1], data=decided)).status_code == 409


async def test_a_dead_job_is_tried_again_or_dropped(
    browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.system_tx() as tx:
        for name in ("first", "second"):
            await tx.run(
                """WITH told AS (
                     INSERT INTO runtime.event (tenant_id, name, version, payload, at, actor, trace)
                     VALUES (%s, 'test.Told', 1, '{}', now(), 'test', 't') RETURNING *)
                   INSERT INTO runtime.job
                     (tenant_id, event_id, name, payload, run_at, state, attempts, trace, parks)
                   SELECT tenant_id, id, %s, payload, at, 'dead', 8, trace, false FROM told""",
                PLATFORM, f"test.{name}",
            )  # fmt: skip
    shown = (await browser.get("/console/work")).text
    secret = {"csrf": csrf_of(shown)}
    (drop,) = re.findall(r'action="(/console/work/\d+/drop)"', shown)[:1]
    (replay,) = re.findall(r'action="(/console/work/\d+/replay)"', shown)[1:]
    assert (await browser.post(drop, data=secret)).status_code == 303
    assert (await browser.post(replay, data=secret)).status_code == 303
    assert "Nothing failed for good" in (await browser.get("/console/work")).text
    assert (await browser.post(replay, data=secret)).status_code == 404
