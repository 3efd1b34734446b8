"""Locations, tariffs, sessions and tokens as partners read and write them."""

from __future__ import annotations

from itertools import product
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.ocpi import wire221 as wire
from hub.stations.locations import save_location
from tests.ocpi.conftest import LOCATION, TOKEN, Hub

TOKENS = "/2.2.1/receiver/tokens/NL/EXM"
LOCATIONS = "/2.2.1/sender/locations"


async def test_TO_1_a_token_is_created_replaced_and_read_back_by_its_owner(
    hub: Hub, partner: UUID
) -> None:
    path = f"{TOKENS}/{TOKEN['uid']}"
    assert (await hub.call("PUT", path, TOKEN)).http == 201
    changed = {**TOKEN, "valid": False, "last_updated": "2026-01-02T00:00:00Z"}
    assert (await hub.call("PUT", path, changed)).http == 200
    assert (await hub.call("GET", path)).data == changed
    other = {**TOKEN, "type": "APP_USER", "contract_id": "NL-EXM-X"}
    assert (await hub.call("PUT", f"{path}?type=APP_USER", other)).http == 201
    assert (await hub.call("GET", f"{path}?type=APP_USER")).data == other
    assert (await hub.call("GET", path)).data == changed


async def test_TO_4_an_unknown_token_is_http_404_with_2004(hub: Hub, partner: UUID) -> None:
    for method in ("GET", "PATCH"):
        heard = await hub.call(method, f"{TOKENS}/NOPE", {"last_updated": "2026-01-01T00:00:00Z"})
        assert (heard.http, heard.code) == (404, 2004)
        assert heard.data is None


async def test_T_E2_a_patch_changes_the_named_members_only(hub: Hub, partner: UUID) -> None:
    path = f"{TOKENS}/{TOKEN['uid']}"
    await hub.call("PUT", path, {**TOKEN, "visual_number": "V1", "language": "nl"})
    change = {"valid": False, "language": None, "last_updated": "2026-02-01T00:00:00Z"}
    assert (await hub.call("PATCH", path, change)).code == 1000
    expected = {**TOKEN, **change, "visual_number": "V1"}
    del expected["language"]
    assert (await hub.call("GET", path)).data == expected


@pytest.mark.parametrize(
    "change",
    [
        {"valid": False},
        {"valid": None, "last_updated": "2026-02-01T00:00:00Z"},
        {"uid": "OTHER", "last_updated": "2026-02-01T00:00:00Z"},
        [1],
    ],
    ids=["T-B11 no last_updated", "T-E5 null for a required member", "T-B12 other id", "no object"],
)
async def test_a_bad_patch_is_2001_and_changes_nothing(
    hub: Hub, partner: UUID, change: Any
) -> None:
    path = f"{TOKENS}/{TOKEN['uid']}"
    await hub.call("PUT", path, TOKEN)
    heard = await hub.call("PATCH", path, change)
    assert (heard.http, heard.code) == (200, 2001)
    assert (await hub.call("GET", path)).data == TOKEN


async def test_T_E4_an_older_update_is_taken_for_granted_and_ignored(
    hub: Hub, partner: UUID
) -> None:
    path = f"{TOKENS}/{TOKEN['uid']}"
    await hub.call("PUT", path, TOKEN)
    older = {**TOKEN, "valid": False, "last_updated": "2025-01-01T00:00:00Z"}
    assert (await hub.call("PUT", path, older)).code == 1000
    assert (await hub.call("GET", path)).data["valid"] is True


async def test_T_B12_a_path_of_another_party_is_404(hub: Hub, partner: UUID) -> None:
    heard = await hub.call("PUT", "/2.2.1/receiver/tokens/NL/BAD/X", TOKEN)
    assert (heard.http, heard.code) == (404, 2001)


async def test_T_C8_unknown_members_and_odd_instants_are_taken(hub: Hub, partner: UUID) -> None:
    odd = {**TOKEN, "gireve_id": 7, "last_updated": "2026-01-01 11:00:00.123456789+01:00"}
    assert (await hub.call("PUT", f"{TOKENS}/{TOKEN['uid']}", odd)).http == 201


@pytest.mark.usefixtures("network")
async def test_L_1_locations_are_read_at_three_depths(hub: Hub, partner: UUID) -> None:
    found = (await hub.call("GET", f"{LOCATIONS}/LOC1")).data
    assert msgspec.convert(found, wire.Location).id == "LOC1"
    assert found["coordinates"] == {"latitude": "52.10000", "longitude": "5.1234568"}
    assert found["evses"][0]["connectors"][0]["tariff_ids"] == ["T1"]
    assert "null" not in msgspec.json.encode(found).decode()
    evse = (await hub.call("GET", f"{LOCATIONS}/LOC1/ev1")).data
    assert (evse["uid"], evse["status"]) == ("EV1", "AVAILABLE")
    connector = (await hub.call("GET", f"{LOCATIONS}/LOC1/EV1/1")).data
    assert connector == evse["connectors"][0]
    for path in ("NOPE", "LOC1/NOPE", "LOC1/EV1/9"):
        heard = await hub.call("GET", f"{LOCATIONS}/{path}")
        assert (heard.http, heard.code) == (404, 2003)


async def test_T_D2_pages_follow_our_links_and_tell_the_true_total(hub: Hub, partner: UUID) -> None:
    async with hub.database.tx() as tx:
        for number in range(7):
            place = msgspec.structs.replace(LOCATION, id=f"L{number}", evses=())
            await save_location(tx, place)
    seen: list[str] = []
    url: str | None = f"{LOCATIONS}?limit=3&date_from=2020-01-01T00:00:00+00:00"
    while url:
        heard = await hub.call("GET", url)
        assert (heard.headers["x-total-count"], heard.headers["x-limit"]) == ("7", "100")
        seen += [one["id"] for one in heard.data]
        link = heard.headers.get("link")
        assert link is None or "date_from=2020" in link
        url = link.partition(">")[0][1:] if link else None
    assert seen == [f"L{number}" for number in range(7)]
    heard = await hub.call("GET", f"{LOCATIONS}?offset=5&limit=10")
    assert [one["id"] for one in heard.data] == ["L5", "L6"]
    assert "link" not in heard.headers
    heard = await hub.call("GET", f"{LOCATIONS}?date_from=2999-01-01T00:00:00Z")
    assert (heard.data, heard.headers["x-total-count"]) == ([], "0")


async def test_T_D6_malformed_list_queries_are_2001(hub: Hub, partner: UUID) -> None:
    queries = [
        "limit=0",
        "limit=-1",
        "limit=x",
        "offset=-1",
        "offset=1.5",
        "date_from=now",
        "date_to=1",
        "after=%00",
    ]
    for module, query in product(("locations", "tariffs"), queries):
        heard = await hub.call("GET", f"/2.2.1/sender/{module}?{query}")
        assert (heard.http, heard.code) == (200, 2001)


@pytest.mark.usefixtures("network")
async def test_TA_1_tariffs_are_listed(hub: Hub, partner: UUID) -> None:
    heard = await hub.call("GET", "/2.2.1/sender/tariffs")
    assert heard.headers["x-total-count"] == "1"
    tariff = msgspec.convert(heard.data[0], wire.Tariff, strict=False)
    assert (tariff.id, tariff.elements[0].price_components[0].type) == ("T1", "ENERGY")
    assert b'"price":0.40,"vat":21' in msgspec.json.encode(heard.data[0]).replace(b"0.4,", b"0.40,")


async def test_T_D1_sessions_need_date_from(hub: Hub, partner: UUID) -> None:
    heard = await hub.call("GET", "/2.2.1/sender/sessions")
    assert (heard.http, heard.code) == (200, 2001)
    for module in ("sessions", "cdrs"):
        heard = await hub.call("GET", f"/2.2.1/sender/{module}?date_from=2020-01-01T00:00:00Z")
        assert (heard.data, heard.headers["x-total-count"]) == ([], "0")
        heard = await hub.call(
            "GET", f"/2.2.1/sender/{module}?date_from=2020-01-01T00:00:00Z&after=x"
        )
        assert heard.code == 2001
