"""Whatever is sent to whichever address: a documented status, a problem, and never a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hub.parties import OwnParty, ensure_own_party
from hub.runtime import PLATFORM, Database

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no_json": b"{not json",
    "half": b'{"uid": "A',
    "null": b"null",
    "number": b"1e999999",
    "big_number": b'{"max_sessions": 99999999999999999999999999}',
    "list": b"[[[]]]",
    "wrong_types": b'{"uid": 7, "station_id": [], "roles": {}, "start": 1, "evse_uid": null, '
    b'"reason": {}, "resolution": 5, "at": "soon", "security_profile": "one"}',
    "nul": b'{"uid": "A\\u0000", "station_id": "A\\u0000", "evse_uid": "\\u0000", '
    b'"resolution": "\\u0000", "reason": "\\u0000"}',
    "only_nul_station": b'{"station_id": "A\\u0000"}',
    "only_nul_token": b'{"uid": "A", "issuer": "\\u0000"}',
    "only_nul_binding": b'{"evse_uid": "\\u0000"}',
    "only_nul_reason": b'{"reason": "\\u0000"}',
    "nul_partner": b'{"roles": [{"country_code": "NL", "party_id": "X\\u0000", "role": "EMSP"}]}',
    "nul_name": b'{"name": "\\u0000", "roles": [{"country_code": "NL", "party_id": "XYZ", '
    b'"role": "EMSP"}]}',
    "far_years": b'{"start": "0001-01-01T00:00:00+14:00", "end": "9999-12-31T23:59:59-12:00"}',
    "far_expiry": b'{"uid": "A", "expires_at": "9999-12-31T23:59:59-12:00"}',
    "many_sessions": b'{"uid": "A", "max_sessions": 9223372036854775807}',
    "backwards": b'{"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}',
    "no_partner": b'{"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z", '
    b'"partner_id": "nobody"}',
    "surrogate": b'{"uid": "\\ud800", "station_id": "\\udfff"}',
    "not_utf8": b'{"uid": "\xff\xfe"}',
    "deep": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "deep_list": b"[" * 100_000,
    "long_text": json.dumps({"uid": "A" * 100_000, "station_id": "A" * 100_000}).encode(),
    "locations": b'[{"id": "\\u0000", "country_code": "NL"}, 5, null]',
    "location": json.dumps({
        "country_code": "NL", "party_id": "HUB", "id": "L" * 99, "address": "A", "city": "C",
        "country": "NLD", "coordinates": {"latitude": "1", "longitude": "1"},
        "time_zone": "../../etc/passwd", "opening_times": {"x": "\u0000"},
    }).encode(),
    "connector": json.dumps({
        "country_code": "NL", "party_id": "HUB", "id": "L1", "address": "A", "city": "C",
        "country": "NLD", "coordinates": {"latitude": "1", "longitude": "1"},
        "time_zone": "Europe/Amsterdam", "evses": [{"uid": "E", "connectors": [{
            "id": "1", "standard": "S", "format": "F", "power_type": "P", "max_voltage": 10**30,
            "max_amperage": -(10**12),
        }]}],
    }).encode(),
    "tariff": b'{"id": "9", "currency": "XXX", "elements": [{"price_components": '
    b'[{"type": "ENERGY", "price": 1e400, "step_size": 99999999999999999999}]}]}',
}  # fmt: skip

IDS = ("9", "%00", "%ff%fe", "..%2f..", "A" * 4000, "'; --", "%F0%9F%94%8C", "-1", "1e9", "9" * 30)
QUERIES = (
    {"limit": "-1"}, {"limit": "9" * 30}, {"limit": "x"}, {"cursor": "AAAA"}, {"cursor": "\x00"},
    {"cursor": "W10"}, {"cursor": "WyIiXQ"}, {"cursor": "WzFd"}, {"cursor": "Wy05OTk5OTk5OTk5OTk5OTk5OTk5OTld"},
    {"cursor": "é"}, {"station": "\x00"}, {"token": "\x00"}, {"uid": "\x00"}, {"state": "\x00"},
    {"partner": "\x00"}, {"account": "\x00"}, {"prefix": "\x00"}, {"prefix": "%_"},
    {"wait": "31"}, {"wait": "-1"}, {"version": "99999999999999999999"}, {"version": "0"},
    {"format": "xml"}, {"resolved": "maybe"}, {"own": "maybe"}, {"default": "maybe"},
)  # fmt: skip


@pytest.fixture
async def document(admin: httpx.AsyncClient, database: Database) -> dict[str, Any]:
    """The interface as the hub describes it, on a hub with a station and a party of its own."""
    async with database.tx(PLATFORM) as tx:
        await ensure_own_party(tx, OwnParty("NL", "HUB", "Hub"))
    await admin.post("/api/v1/stations", json={"station_id": "9"})
    found: dict[str, Any] = (await admin.get("/api/openapi.json")).json()
    return found


def operations(document: dict[str, Any], *methods: str) -> Iterator[tuple[str, str, set[str]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/api/v1") and method in methods:
                yield method, path, set(operation["responses"])


def filled(path: str, value: str) -> str:
    parts = [value if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def check(answer: httpx.Response, documented: set[str], what: object) -> None:
    assert answer.status_code < 500, (what, answer.text)
    assert str(answer.status_code) in documented, (what, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        told = answer.json()
        assert (told["status"], bool(told["detail"])) == (answer.status_code, True), what


async def test_no_body_breaks_an_address(
    admin: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    headers = {"content-type": "application/json"}
    for method, path, documented in operations(document, "post", "put"):
        for name, body in BODIES.items():
            answer = await admin.request(method, filled(path, "9"), content=body, headers=headers)
            check(answer, documented, (method, path, name))


async def test_no_id_breaks_an_address(admin: httpx.AsyncClient, document: dict[str, Any]) -> None:
    for method, path, documented in operations(document, "get", "post", "put", "delete"):
        if "{" not in path:
            continue
        for value in IDS:
            answer = await admin.request(
                method, filled(path, value), content=b"{}" if method != "get" else None
            )
            check(answer, documented | {"404", "405"}, (method, path, value[:20]))


async def test_no_query_breaks_an_address(
    admin: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    for method, path, documented in operations(document, "get"):
        for query in QUERIES:
            answer = await admin.request(method, filled(path, "9"), params=query)
            check(answer, documented, (path, query))


async def test_every_list_is_a_page(admin: httpx.AsyncClient, document: dict[str, Any]) -> None:
    for _, path, _ in operations(document, "get"):
        if "{" in path or path.endswith("/verify"):
            continue
        answer = await admin.get(path)
        assert set(answer.json()) == {"items", "next"}, path


async def test_a_method_that_an_address_does_not_know_is_a_405(
    admin: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    for path, item in document["paths"].items():
        if not path.startswith("/api/v1"):
            continue
        for method in {"get", "post", "put", "patch", "delete"} - set(item):
            answer = await admin.request(method, filled(path, "9"))
            assert answer.status_code == 405, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["allow"]


async def test_a_body_that_says_it_is_no_json_is_a_415(
    admin: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    for method, path, _ in operations(document, "post", "put"):
        for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
            answer = await admin.request(
                method, filled(path, "9"), content=b"{}", headers={"content-type": kind}
            )
            assert answer.status_code == 415, (method, path, kind)
            assert "application/json" in answer.json()["detail"]


async def test_a_body_that_is_too_large_is_a_413(
    admin: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    del document
    content = b'{"uid": "' + b"A" * (33 * 1024 * 1024) + b'"}'
    for path in ("/api/v1/tokens", "/api/v1/tokens/import", "/api/v1/locations"):
        answer = await admin.post(path, content=content)
        assert answer.status_code == 413, path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_without_a_login_no_address_says_more_than_401(
    client: httpx.AsyncClient, wiring: object
) -> None:
    document = (await client.get("/api/openapi.json")).json()
    for _, path, _ in operations(document, "get", "post", "put", "delete"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = await client.request(
                method, filled(path, "none"), content=b"\x00", headers={"content-type": "a/b"}
            )
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_page_for_people_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs")).text
    assert "save_locations" in page or "/api/v1/locations" in page
    for foreign in ("http://", "https://", "<script", "//cdn"):
        assert foreign not in page, foreign


async def test_many_callers_at_once_are_all_answered(admin: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(admin.post("/api/v1/stations", json={"station_id": f"S{n % 5}"}) for n in range(40))
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * 5 + [409] * 35
