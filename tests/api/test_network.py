"""Entering a network: locations, EVSEs and who speaks for them, over the API."""

from __future__ import annotations

from typing import Any

import httpx


def site(name: str = "L1", *uids: str, **more: Any) -> dict[str, Any]:
    """An OCPI 2.2.1 location with an EVSE per uid."""
    plug = {
        "id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
        "max_voltage": 230, "max_amperage": 32, "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    evses = [
        {"uid": uid, "evse_id": f"NL*HUB*{uid}", "status": "AVAILABLE", "connectors": [plug],
         "last_updated": "2026-01-01T00:00:00Z"}
        for uid in uids or ("E1",)
    ]  # fmt: skip
    return {
        "country_code": "NL", "party_id": "HUB", "id": name, "publish": True, "address": "Neude 1",
        "city": "Utrecht", "country": "NLD", "time_zone": "Europe/Amsterdam", "evses": evses,
        "coordinates": {"latitude": "52.0928", "longitude": "5.1185"},
        "last_updated": "2026-01-01T00:00:00Z",
    } | more  # fmt: skip


async def test_a_location_comes_back_as_it_was_entered(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/v1/locations", json=site())
    assert made.status_code == 200
    assert made.json() == {
        "locations": 1, "changed": 1, "evses": 1, "tariffs": 0, "mended": [], "refused": [],
        "doubts": [],
    }  # fmt: skip
    again = await admin.post("/api/v1/locations", json=site())
    assert again.json()["changed"] == 0
    found = (await admin.get("/api/v1/locations/L1")).json()
    assert found["coordinates"] == {"latitude": "52.0928", "longitude": "5.1185"}
    assert found["evses"][0]["connectors"][0]["max_amperage"] == 32
    assert found["city"] == "Utrecht"


async def test_an_evse_that_a_location_no_longer_lists_is_removed(
    admin: httpx.AsyncClient,
) -> None:
    await admin.post("/api/v1/locations", json=site("L1", "E1", "E2"))
    await admin.post("/api/v1/locations", json=site("L1", "E2"))
    found = (await admin.get("/api/v1/locations/L1")).json()
    states = {one["uid"]: one["status"] for one in found["evses"]}
    assert states["E1"] == "REMOVED"
    assert states["E2"] != "REMOVED"


async def test_a_feed_is_stored_with_a_report_of_what_was_mended_and_refused(
    admin: httpx.AsyncClient,
) -> None:
    feed = [
        site("L1", "E1", country="NL"), site("L2", "E2", time_zone="Mars/Olympus"), 7,
        site("L3", "E3"),
    ]  # fmt: skip
    report = (await admin.post("/api/v1/locations", json=feed)).json()
    assert (report["locations"], report["evses"]) == (2, 2)
    assert [note["path"] for note in report["mended"]] == ["[0].country"]
    assert [note["path"] for note in report["refused"]] == ["[1].time_zone", "[2]"]
    pages = []
    cursor = ""
    while cursor is not None:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/api/v1/locations", params=query)).json()
        pages.append([one["id"] for one in page["items"]])
        cursor = page["next"]
    assert pages == [["L1"], ["L3"]]


async def test_a_body_without_a_readable_location_is_refused_with_its_reasons(
    admin: httpx.AsyncClient,
) -> None:
    broken = site()
    del broken["coordinates"]
    answer = await admin.post("/api/v1/locations", json=broken)
    assert (answer.status_code, answer.json()["code"]) == (400, "nothing_readable")
    assert answer.json()["errors"] == [{"field": "[0].coordinates", "message": "missing"}]
    for body in (b"", b"[]", b"{", b"5", b'"text"', b"[" * 5000):
        answer = await admin.post("/api/v1/locations", content=body)
        assert answer.status_code == 400, body[:9]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_station_is_bound_to_the_evse_that_it_speaks_for(admin: httpx.AsyncClient) -> None:
    await admin.post("/api/v1/locations", json=site("L1", "E1"))
    await admin.post("/api/v1/stations", json={"station_id": "CP1"})
    path = "/api/v1/stations/CP1/evses/1"
    assert (await admin.put(path, json={"evse_uid": "E1"})).status_code == 204
    assert (await admin.put(path, json={"evse_uid": "none"})).status_code == 404
    evse = (await admin.get("/api/v1/locations/L1")).json()["evses"][0]
    assert (evse["station_id"], evse["number"]) == ("CP1", 1)
