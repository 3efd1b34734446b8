"""Authentication, envelopes, ids, routing headers: what every module shares."""

from __future__ import annotations

import base64
from itertools import product
from uuid import UUID

import pytest

from hub.ocpi.messages import messages
from hub.ocpi.quarantine import held_messages
from tests.ocpi.conftest import TOKEN, Hub, Platform

PATH = "/2.2.1/receiver/tokens/NL/EXM/04A1B2C3D4"


async def test_T_A3_a_missing_or_unknown_token_is_http_401_in_an_envelope(
    hub: Hub, partner: UUID
) -> None:
    headers = ["", "Token", "Token bm90LWtub3du", "Bearer abc", "Basic abc", "Token ÿ"]
    for path, header in product(("/versions", PATH, "/nowhere"), headers):
        heard = await hub.call("GET", path, headers={"Authorization": header})
        assert (heard.http, heard.code) == (401, 2000)
        assert "timestamp" in heard.envelope


@pytest.mark.parametrize("style", ["base64", "raw", "base64-newline", "unpadded", "lower"])
async def test_T_A7_each_known_spelling_of_a_token_is_taken_and_remembered(
    hub: Hub, partner: UUID, style: str
) -> None:
    coded = base64.b64encode(hub.token.encode()).decode()
    header = {
        "base64": f"Token {coded}",
        "raw": f"Token {hub.token}",
        "base64-newline": "Token " + base64.b64encode(hub.token.encode() + b"\n").decode(),
        "unpadded": f"Token {coded.rstrip('=')}",
        "lower": f"token {coded}",
    }[style]
    heard = await hub.call("GET", "/versions", headers={"Authorization": header})
    assert heard.code == 1000
    async with hub.database.tx() as tx:
        kept = await tx.value("SELECT token_style FROM parties.partner WHERE id = %s", partner)
    assert kept == (style if style in {"raw", "base64-newline"} else "base64")


async def test_T_A4_token_A_opens_nothing_but_registration(hub: Hub, invited: UUID) -> None:
    assert (await hub.call("GET", "/versions")).code == 1000
    assert (await hub.call("GET", "/2.2.1")).code == 1000
    heard = await hub.call("GET", "/2.2.1/sender/locations")
    assert (heard.http, heard.code) == (401, 2000)


async def test_T_B2_ids_are_echoed_also_on_errors(hub: Hub, partner: UUID) -> None:
    ids = {"X-Request-ID": "r-1", "X-Correlation-ID": "c-1"}
    for path in ("/versions", "/nowhere", "/2.2.1/sender/sessions"):
        heard = await hub.call("GET", path, headers=ids)
        assert heard.headers["x-request-id"] == "r-1"
        assert heard.headers["x-correlation-id"] == "c-1"
    heard = await hub.call("GET", "/versions")
    assert UUID(heard.headers["x-request-id"]) != UUID(heard.headers["x-correlation-id"])


async def test_T_B8_invalid_json_is_http_400_in_an_envelope(hub: Hub, partner: UUID) -> None:
    for body in [b"{", b"", b"\xff", b"[" * 100_000, b"nope"]:
        heard = await hub.call("PUT", PATH, body)
        assert (heard.http, heard.code) == (400, 2001)


@pytest.mark.parametrize(
    "change",
    [
        {"valid": "yes"}, {"uid": None}, {"type": "CARD"}, {"whitelist": "SOMETIMES"},
        {"last_updated": "yesterday"}, {"uid": "04A1\u0000"}, {"issuer": "a\nb"},
        {"country_code": "NLD"}, {"uid": "OTHER"}, {"type": "APP_USER"},
    ],
)  # fmt: skip
async def test_T_B8_semantics_are_http_200_with_2001_and_the_body_is_kept(
    hub: Hub, partner: UUID, change: dict[str, object]
) -> None:
    heard = await hub.call("PUT", PATH, {**TOKEN, **change})
    assert (heard.http, heard.code) == (200, 2001)
    async with hub.database.tx() as tx:
        held = await held_messages(tx)
    assert [one.path for one in held] == ["/receiver/tokens/NL/EXM/04A1B2C3D4"]
    assert b'"04A1' in held[0].body or b"null" in held[0].body or b"OTHER" in held[0].body


async def test_T_B13_unknown_addresses_and_methods_are_wrapped_too(hub: Hub, partner: UUID) -> None:
    heard = await hub.call("GET", "/2.2.1/sender/nothing")
    assert (heard.http, heard.code) == (404, 2000)
    heard = await hub.call("DELETE", PATH)
    assert (heard.http, heard.code) == (405, 2000)
    assert "GET, PATCH, PUT" in heard.envelope["status_message"]
    assert (await hub.call("GET", "/3.0/x")).http == 404


async def test_D3_a_trailing_slash_is_the_same_address(hub: Hub, partner: UUID) -> None:
    assert (await hub.call("PUT", PATH + "/", TOKEN)).http == 201
    assert (await hub.call("GET", PATH)).data["uid"] == "04A1B2C3D4"


async def test_T_B5_a_body_that_is_too_large_is_refused_in_an_envelope(
    hub: Hub, partner: UUID
) -> None:
    heard = await hub.call("PUT", PATH, b'"' + b"x" * (9 << 20) + b'"')
    assert (heard.http, heard.code) == (413, 2001)


async def test_M_3_answers_carry_the_routing_headers_swapped(hub: Hub, partner: UUID) -> None:
    headers = {
        "OCPI-from-country-code": "nl", "OCPI-from-party-id": "exm",
        "OCPI-to-country-code": "NL", "OCPI-to-party-id": "HUB",
    }  # fmt: skip
    heard = await hub.call("PUT", PATH, TOKEN, headers=headers)
    assert heard.code == 1000
    assert heard.headers["ocpi-to-party-id"] == "EXM"
    assert heard.headers["ocpi-from-party-id"] == "HUB"
    assert "ocpi-to-party-id" not in (await hub.call("GET", "/versions")).headers


async def test_M_10_absent_routing_headers_are_inferred_from_the_token(
    hub: Hub, partner: UUID
) -> None:
    heard = await hub.call("PUT", PATH, TOKEN)
    assert heard.headers["ocpi-to-party-id"] == "EXM"


@pytest.mark.parametrize(
    ("headers", "http", "code"),
    [
        ({"OCPI-from-country-code": "NL"}, 200, 2001),
        ({"OCPI-from-country-code": "NL", "OCPI-from-party-id": "BAD"}, 401, 2000),
        ({"OCPI-to-country-code": "NL", "OCPI-to-party-id": "BAD"}, 200, 4001),
    ],
    ids=["M-11 half a pair", "T-A5 another platform's party", "HUB-5 unknown receiver"],
)
async def test_wrong_routing_headers_are_refused(
    hub: Hub, partner: UUID, headers: dict[str, str], http: int, code: int
) -> None:
    heard = await hub.call("PUT", PATH, TOKEN, headers=headers)
    assert (heard.http, heard.code) == (http, code)


async def test_every_leg_is_logged_with_its_body_and_without_secrets(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    ids = {"X-Request-ID": "r-9", "X-Correlation-ID": "c-9"}
    await hub.call("PUT", PATH, TOKEN, headers=ids)
    async with hub.database.tx() as tx:
        logged = await messages(tx, correlation_id="c-9")
        everything = await messages(tx, limit=500)
    assert [(m.direction, m.method, m.http_status, m.status_code) for m in logged] == [
        ("in", "PUT", 201, 1000)
    ]
    assert b'"uid":"04A1B2C3D4"' in logged[0].request
    assert {m.direction for m in everything} == {"in", "out"}
    assert "partner-token-b" not in repr(everything)
    assert hub.token not in repr(everything)


async def test_a_quarantined_message_can_be_replayed_once_its_cause_is_gone(
    hub: Hub, partner: UUID
) -> None:
    await hub.call("PUT", PATH, {**TOKEN, "type": "APP_USER"})
    async with hub.database.tx() as tx:
        held = (await held_messages(tx))[0]
        await tx.run(
            "UPDATE ocpi.quarantine SET query = %s WHERE id = %s", '{"type":"APP_USER"}', held.id
        )
    async with hub.database.tx() as tx:
        tenant = tx.tenant
    assert (await hub.door.server.replay(tenant, held.id)).http == 201
    assert (await hub.call("GET", PATH + "?type=APP_USER")).data["type"] == "APP_USER"
    async with hub.database.tx() as tx:
        assert await held_messages(tx) == []
