"""Registration from both sides, rotation and its lost answers, and the end of a connection."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from hub.kernel import encode
from hub.ocpi.handshake import HandshakeFailed
from hub.parties import PartyClaim, endpoints_of, parties_of, partner_by_id, partners
from hub.runtime import PLATFORM
from tests.ocpi.conftest import TOKEN, Hub, Platform


async def test_C_3_a_partner_registers_and_is_called_back_with_its_own_token(
    hub: Hub, platform: Platform, invited: UUID
) -> None:
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    assert (heard.http, heard.code) == (200, 1000)
    role = heard.data["roles"][0]
    assert (role["role"], role["country_code"], role["party_id"]) == ("CPO", "NL", "HUB")
    assert heard.data["url"] == f"{hub.url}/versions"
    assert [path for _, path, _ in platform.asked] == ["/versions", "/2.2.1"]
    assert {h["authorization"] for h in platform.headers} == {"Token cGFydG5lci10b2tlbi1i"}
    assert all("ocpi-to-party-id" not in h for h in platform.headers)
    async with hub.database.tx() as tx:
        stored = await partner_by_id(tx, invited)
        assert (stored.state, stored.version) == ("CONNECTED", "2.2.1")
        assert ("cdrs", "RECEIVER") in [(e.module, e.role) for e in await endpoints_of(tx, invited)]


async def test_C_4_a_lost_answer_is_repeated_until_token_C_is_used(
    hub: Hub, platform: Platform, invited: UUID
) -> None:
    first = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    again = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    assert again.code == 1000
    assert first.data["token"] != again.data["token"]
    assert (await hub.call("GET", "/versions", token=again.data["token"])).code == 1000
    assert (await hub.call("GET", "/versions")).http == 401
    assert (await hub.call("GET", "/versions", token=first.data["token"])).http == 401


async def test_C_5_post_when_registered_and_put_or_delete_when_not_are_405(
    hub: Hub, platform: Platform, invited: UUID
) -> None:
    for method in ("PUT", "DELETE"):
        heard = await hub.call(method, "/2.2.1/credentials", platform.credentials())
        assert (heard.http, heard.code) == (405, 2000)
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    again = await hub.call(
        "POST", "/2.2.1/credentials", platform.credentials(), token=heard.data["token"]
    )
    assert (again.http, again.code) == (405, 2000)


@pytest.mark.parametrize(
    ("change", "code"),
    [("down", 3001), ("html", 3001), ("version", 3002), ("endpoints", 3003)],
)
async def test_C_3_what_is_wrong_with_a_registration_is_told(
    hub: Hub, platform: Platform, invited: UUID, change: str, code: int
) -> None:
    credentials = platform.credentials()
    if change == "down":
        credentials["url"] = "http://127.0.0.1:9/versions"
    elif change == "html":
        platform.answers["GET", "/versions"] = (200, b"<html>", {})
    elif change == "version":
        platform.versions = ["2.1.1", "3.0"]
    else:
        platform.answers["GET", "/2.2.1"] = (200, {"version": "2.2.1", "endpoints": []}, {})
    heard = await hub.call("POST", "/2.2.1/credentials", credentials)
    assert (heard.http, heard.code) == (200, code)
    async with hub.database.tx() as tx:
        assert (await partner_by_id(tx, invited)).state == "PLANNED"
    assert (await hub.call("GET", "/versions")).code == 1000


@pytest.mark.parametrize(
    "role", [{"party_id": "BAD"}, {"role": "CPO"}, {"role": "KING"}, {"country_code": "N"}]
)
async def test_C_13_roles_beyond_the_invitation_are_refused(
    hub: Hub, platform: Platform, invited: UUID, role: dict[str, str]
) -> None:
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials(**role))
    assert (heard.http, heard.code) == (200, 2001)
    assert platform.asked == []


async def test_C_6_both_tokens_are_exchanged_and_the_old_one_lives_until_the_new_is_used(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    old = hub.token
    heard = await hub.call("PUT", "/2.2.1/credentials", platform.credentials("partner-token-d"))
    assert heard.code == 1000
    assert (await hub.call("GET", "/versions", token=old)).code == 1000
    assert (await hub.call("GET", "/versions", token=heard.data["token"])).code == 1000
    assert (await hub.call("GET", "/versions", token=old)).http == 401


async def test_C_6_a_partner_that_still_wants_its_old_token_gets_it_on_a_401(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    await hub.call("PUT", "/2.2.1/credentials", platform.credentials("partner-token-d"))
    platform.headers.clear()
    platform.answers["GET", "/tokens"] = (401, {"status_code": 2001}, {})
    with pytest.raises(Exception, match="401"):
        await hub.door.token_pull.pull(PLATFORM, partner)
    tried = [h["authorization"] for h in platform.headers]
    assert tried == ["Token cGFydG5lci10b2tlbi1k", "Token cGFydG5lci10b2tlbi1i"]


async def test_C_8_unregistering_voids_all_tokens(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    assert (await hub.call("DELETE", "/2.2.1/credentials")).code == 1000
    assert (await hub.call("GET", "/versions")).http == 401
    async with hub.database.tx() as tx:
        assert (await partner_by_id(tx, partner)).state == "SUSPENDED"


async def test_C_9_get_answers_with_the_token_just_used(hub: Hub, partner: UUID) -> None:
    assert (await hub.call("GET", "/2.2.1/credentials")).data["token"] == hub.token


async def test_V_1_and_V_2_addresses_are_absolute_and_credentials_is_listed_once(
    hub: Hub, partner: UUID
) -> None:
    heard = await hub.call("GET", "/versions")
    assert heard.data == [{"version": "2.2.1", "url": f"{hub.url}/2.2.1"}]
    details = (await hub.call("GET", heard.data[0]["url"])).data
    listed = {(e["identifier"], e["role"]): e["url"] for e in details["endpoints"]}
    assert len(listed) == len(details["endpoints"])
    assert set(listed) == {
        ("credentials", "SENDER"), ("locations", "SENDER"), ("tariffs", "SENDER"),
        ("sessions", "SENDER"), ("cdrs", "SENDER"), ("tokens", "RECEIVER"),
        ("commands", "RECEIVER"),
    }  # fmt: skip
    assert listed["locations", "SENDER"] == f"{hub.url}/2.2.1/sender/locations"


async def test_C_2_we_register_with_a_platform_that_invited_us(
    hub: Hub, platform: Platform
) -> None:
    partner = await hub.door.handshake.connect(
        PLATFORM, f"{platform.url}/versions", "token-a", name="Example"
    )
    assert [(how, path) for how, path, _ in platform.asked] == [
        ("GET", "/versions"), ("GET", "/versions"), ("GET", "/2.2.1"), ("POST", "/credentials"),
    ]  # fmt: skip
    sent = platform.asked[-1][2]
    assert sent["roles"][0]["party_id"] == "HUB"
    assert (await hub.call("GET", "/versions", token=sent["token"])).code == 1000
    async with hub.database.tx() as tx:
        assert (await partner_by_id(tx, partner)).state == "CONNECTED"
        assert [(p.party_id, p.role) for p in await parties_of(tx, partner)] == [("EXM", "EMSP")]
    await hub.runner.drain()
    assert platform.calls("GET", "/tokens") != []
    assert platform.headers[-1]["authorization"] == "Token cGFydG5lci10b2tlbi1j"


@pytest.mark.parametrize("change", ["refused", "taken", "list"])
async def test_a_handshake_of_ours_that_fails_leaves_no_partner_behind(
    hub: Hub, platform: Platform, change: str
) -> None:
    claims: list[PartyClaim] = []
    if change == "refused":
        platform.answers["POST", "/credentials"] = (405, {"status_code": 2000}, {})
    elif change == "list":
        platform.answers["GET", "/versions"] = (200, {"version": 5}, {})
    else:
        claims = [PartyClaim("DE", "ABC", "EMSP")]
    with pytest.raises(HandshakeFailed):
        await hub.door.handshake.connect(
            PLATFORM, f"{platform.url}/versions", "token-a", claims=claims
        )
    async with hub.database.tx() as tx:
        assert await partners(tx) == []


async def test_D5_a_partner_that_puts_objects_into_lists_is_understood(
    hub: Hub, platform: Platform
) -> None:
    platform.answers["POST", "/credentials"] = (200, [platform.credentials("listed")], {})
    await hub.door.handshake.connect(PLATFORM, f"{platform.url}/versions", "token-a")


async def test_D1_a_partner_that_wants_its_token_raw_is_met_halfway(
    hub: Hub, platform: Platform
) -> None:
    platform.raw_only = True
    partner = await hub.door.handshake.connect(PLATFORM, f"{platform.url}/versions", "token-a")
    await hub.door.token_pull.pull(PLATFORM, partner)
    assert platform.headers[-1]["authorization"] == "Token partner-token-c"


async def test_C_7_we_rotate_the_tokens_of_a_connection(hub: Hub, platform: Platform) -> None:
    partner = await hub.door.handshake.connect(PLATFORM, f"{platform.url}/versions", "token-a")
    first = platform.asked[-1][2]["token"]
    platform.credentials_token = "partner-token-e"
    await hub.door.handshake.rotate(PLATFORM, partner)
    second = platform.calls("PUT", "/credentials")[0]["token"]
    assert (await hub.call("GET", "/2.2.1/sender/tariffs", token=second)).code == 1000
    assert (await hub.call("GET", "/versions", token=first)).http == 401
    await hub.door.token_pull.pull(PLATFORM, partner)
    assert platform.headers[-1]["authorization"] == "Token cGFydG5lci10b2tlbi1l"
    await hub.door.handshake.disconnect(PLATFORM, partner)
    assert platform.calls("DELETE", "/credentials") == [None]
    assert (await hub.call("GET", "/versions", token=second)).http == 401


async def test_the_partners_tokens_are_pulled_page_by_page_and_bad_ones_are_held(
    hub: Hub, platform: Platform, invited: UUID
) -> None:
    bad: list[Any] = [{**TOKEN, "uid": "BAD", "whitelist": "?"}, 7, {**TOKEN, "party_id": "ZZZ"}]
    link = f'<{platform.url}/page2?x=1>; rel="next"'
    platform.answers["GET", "/tokens"] = (200, [TOKEN, *bad], {"Link": link})
    platform.answers["GET", "/page2"] = (200, [{**TOKEN, "uid": "SECOND"}], {})
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    hub.token = heard.data["token"]
    await hub.runner.drain()
    path = "/2.2.1/receiver/tokens/NL/EXM"
    assert (await hub.call("GET", f"{path}/SECOND")).code == 1000
    assert (await hub.call("GET", f"{path}/04a1b2c3d4")).data == TOKEN
    assert (await hub.call("GET", f"{path}/BAD")).http == 404
    async with hub.database.tx() as tx:
        held = await tx.rows("SELECT body FROM ocpi.quarantine ORDER BY id")
    assert sorted(bytes(row[0]) for row in held) == sorted(encode(one) for one in bad)


@pytest.mark.parametrize("mark", [b"\xff", b"\\u0000"], ids=["not UTF-8", "NUL"])
async def test_T_C2_details_that_cannot_be_kept_are_3001_not_500(
    hub: Hub, platform: Platform, invited: UUID, mark: bytes
) -> None:
    endpoint = b'{"identifier":"credentials","role":"SENDER","url":"http://127.0.0.1/%b"}' % mark
    details = b'{"status_code":1000,"data":{"version":"2.2.1","endpoints":[%b]}}' % endpoint
    platform.answers["GET", "/2.2.1"] = (200, details, {})
    heard = await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    assert (heard.http, heard.code) == (200, 3001)
