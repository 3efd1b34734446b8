"""Calls to partners: what their answers mean, who is left alone, and real-time authorisation."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.charging.ports import AuthorityAnswer, AuthorityUnreachable
from hub.kernel import encode
from hub.ocpi.breaker import Breakers, PartnerDown
from hub.ocpi.client import Heard, PartnerRefused, PartnerUnreachable, joined, judged
from hub.ocpi.headers import authorization, token_candidates
from hub.ocpi.pull import next_page
from hub.runtime.http import Answer
from tests.ocpi.conftest import TOKEN, Hub, Platform


async def _ask(hub: Hub, partner: UUID, within: float = 5.0) -> AuthorityAnswer | None:
    return await hub.door.client.ask(
        partner, token_uid="04 A1/?", token_type="RFID", location_id="LOC1", evse_uid="EV1",
        within=within,
    )  # fmt: skip


async def test_TO_1_an_eMSP_is_asked_with_the_place_and_its_reference_is_kept(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    info = {"allowed": "ALLOWED", "token": TOKEN, "authorization_reference": "ref-1"}
    platform.answers["POST", "/tokens/"] = (200, info, {})
    answer = await _ask(hub, partner)
    assert answer == AuthorityAnswer(allowed="ALLOWED", authorization_reference="ref-1")
    how, path, body = platform.asked[-1]
    assert (how, path) == ("POST", "/tokens/04%20A1%2F%3F/authorize?type=RFID")
    assert body == {"location_id": "LOC1", "evse_uids": ["EV1"]}
    sent = platform.headers[-1]
    assert (sent["ocpi-to-party-id"], sent["ocpi-from-party-id"]) == ("EXM", "HUB")
    assert sent["content-type"] == "application/json"
    assert UUID(sent["x-request-id"]) != UUID(sent["x-correlation-id"])


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"status_code": 2004}), (200, {"status_code": 2004}), (404, b"<html>"),
        (404, {"status_code": 1000}),
    ],
)  # fmt: skip
async def test_TO_4_an_unknown_token_is_none_however_the_partner_says_it(
    hub: Hub, platform: Platform, partner: UUID, answer: Any
) -> None:
    platform.answers["POST", "/tokens/"] = (*answer, {})
    assert await _ask(hub, partner) is None


@pytest.mark.parametrize("shape", ["object", "list"])
async def test_T_B6_a_refusal_is_read_from_an_object_or_a_list_of_one(
    hub: Hub, platform: Platform, partner: UUID, shape: str
) -> None:
    info = {"allowed": "BLOCKED", "token": TOKEN}
    platform.answers["POST", "/tokens/"] = (200, [info] if shape == "list" else info, {})
    assert await _ask(hub, partner) == AuthorityAnswer(allowed="BLOCKED")


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"oops"), (200, b"<html>"), (200, {"status_code": 3000}), (200, {"allowed": "?"}),
        (200, None), (302, b""), (403, b""),
    ],
)  # fmt: skip
async def test_a_broken_answer_is_no_answer(
    hub: Hub, platform: Platform, partner: UUID, answer: Any
) -> None:
    platform.answers["POST", "/tokens/"] = (*answer, {"Location": "/versions"})
    with pytest.raises(AuthorityUnreachable):
        await _ask(hub, partner)
    assert platform.calls("GET", "/versions") == []


async def test_an_unknown_partner_cannot_be_asked(hub: Hub) -> None:
    with pytest.raises(AuthorityUnreachable):
        await _ask(hub, uuid4())


def test_a_partner_that_is_down_is_left_alone_and_tried_again_later() -> None:
    wall = [0.0]
    breakers, partner, other = Breakers(lambda: wall[0]), uuid4(), uuid4()
    for _ in range(5):
        breakers.check(partner)
        breakers.failed(partner)
    with pytest.raises(PartnerDown):
        breakers.check(partner)
    breakers.check(other)
    wall[0] = 31.0
    breakers.check(partner)
    breakers.failed(partner)
    with pytest.raises(PartnerDown):
        breakers.check(partner)
    wall[0] = 62.0
    breakers.worked(partner)
    breakers.failed(partner)
    breakers.check(partner)


@pytest.mark.parametrize(
    ("http", "body", "outcome"),
    [
        (200, {"status_code": 1000, "data": [1]}, b"[1]"),
        (200, {"status_code": 1000}, b"null"),
        (500, {"status_code": 1000, "data": 1}, b"1"),
        (200, {"status_code": 2001}, PartnerRefused),
        (401, {"status_code": 1000}, PartnerRefused),
        (204, b"", b"null"),
        (200, b"ok", PartnerUnreachable),
        (403, b"no", PartnerRefused),
    ],
)
def test_D6_the_status_code_counts_before_http(http: int, body: Any, outcome: Any) -> None:
    answer = Answer(http, {}, body if isinstance(body, bytes) else encode(body))
    if isinstance(outcome, bytes):
        assert judged(answer, "u").data == outcome
    else:
        with pytest.raises(outcome):
            judged(answer, "u")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://e/x", "http://e/x/A%2FB/1"),
        ("http://e/x/", "http://e/x/A%2FB/1"),
        ("http://e/x?k=v", "http://e/x/A%2FB/1?k=v"),
    ],
)
def test_V_8_a_partners_address_keeps_its_query_and_gets_one_slash(
    base: str, expected: str
) -> None:
    assert joined(base, "A/B", "1") == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"link": '<http://e/t?p=2>; rel="next"'}, "http://e/t?p=2"),
        ({"link": 'http://e/t?p=2; rel="next"'}, "http://e/t?p=2"),
        ({"link": '<http://evil/t>; rel="next"'}, "http://e/t?limit=2&offset=2"),
        ({"link": '<>; rel="next"'}, "http://e/t?limit=2&offset=2"),
        ({"link": ""}, None),
        ({"link": "", "x-total-count": "5"}, "http://e/t?limit=2&offset=2"),
        ({"x-total-count": "2"}, None),
    ],
)
def test_T_D3_and_D16_the_next_page(headers: dict[str, str], expected: str | None) -> None:
    heard = Heard(200, b"[]", headers)
    assert next_page(heard, "http://e/t?limit=2&offset=0", 2) == expected
    assert next_page(heard, "http://e/t?limit=2&offset=0", 0) is None


def test_T_A2_a_token_is_written_as_the_partner_writes_it() -> None:
    assert authorization("example-token", "base64") == "Token ZXhhbXBsZS10b2tlbg=="
    assert authorization("example-token", "base64-newline") == "Token ZXhhbXBsZS10b2tlbgo="
    assert authorization("example-token", "raw") == "Token example-token"
    assert ("example-token", "base64-newline") in token_candidates("Token ZXhhbXBsZS10b2tlbgo=")
    assert ("abcd", "raw") in token_candidates("token   abcd ")


@pytest.mark.parametrize(
    "info",
    [
        b'{"status_code":1000,"data":{"allowed":"ALLOWED","authorization_reference":"\xff"}}',
        b'{"status_code":1000,"data":{"allowed":"ALLOWED","authorization_reference":"\\u0000"}}',
    ],
    ids=["not UTF-8", "NUL"],
)
async def test_T_C2_an_authorisation_that_cannot_be_kept_is_no_answer(
    hub: Hub, platform: Platform, partner: UUID, info: bytes
) -> None:
    platform.answers["POST", "/tokens/"] = (200, info, {})
    with pytest.raises(AuthorityUnreachable):
        await _ask(hub, partner)
