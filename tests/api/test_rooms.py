"""Tokens, tariffs, partners, books and exceptions over the API."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import pytest

from hub.ledger import Entry, Leg, post
from hub.parties import OwnParty, ensure_own_party
from hub.runtime import PLATFORM, Database

TARIFF = {
    "country_code": "NL", "party_id": "HUB", "id": "T-1", "currency": "EUR",
    "elements": [{
        "price_components": [{"type": "ENERGY", "price": 0.35, "vat": 21.0, "step_size": 1}],
        "restrictions": {"start_time": "08:00", "end_time": "20:30", "day_of_week": ["MONDAY"]},
    }],
    "last_updated": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture(autouse=True)
async def ourselves(database: Database) -> None:
    async with database.tx(PLATFORM) as tx:
        await ensure_own_party(tx, OwnParty("NL", "HUB", "Hub"))


async def test_a_token_is_issued_blocked_unblocked_and_ended(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/v1/tokens", json={"uid": "04AB", "contract_id": "NL-HUB-C1"})
    assert made.status_code == 201
    assert made.json()["country_code"] == "NL"
    assert made.json()["valid"] is True

    async def stored() -> dict[str, object]:
        items = (await admin.get("/api/v1/tokens", params={"uid": "04ab"})).json()["items"]
        assert len(items) == 1
        return dict(items[0])

    assert (await admin.post("/api/v1/tokens/04AB/block")).status_code == 204
    assert (await stored())["valid"] is False
    assert (await admin.post("/api/v1/tokens/04AB/unblock")).status_code == 204
    assert (await stored())["valid"] is True
    ended = await admin.post("/api/v1/tokens/04AB/expire", json={"at": "2030-01-01T00:00:00Z"})
    assert ended.status_code == 204
    assert (await stored())["expires_at"] == "2030-01-01T00:00:00Z"
    assert (await admin.post("/api/v1/tokens/none/block")).status_code == 404


async def test_a_bulk_import_takes_all_tokens_or_none(admin: httpx.AsyncClient) -> None:
    good = [{"uid": f"U{number}"} for number in range(20)]
    answer = await admin.post("/api/v1/tokens/import", json=good)
    assert answer.json() == {"tokens": 20, "changed": 20}
    broken = [{"uid": "V1"}, {"uid": ""}, {"uid": "V2"}, 7, {"uid": "V3", "colour": "red"},
              {"uid": "V\u0000"}]  # fmt: skip
    bad = await admin.post("/api/v1/tokens/import", json=broken)
    assert (bad.status_code, bad.json()["code"]) == (400, "rows_refused")
    assert [one["field"] for one in bad.json()["errors"]] == ["[1]", "[3]", "[4]", "[5]"]
    assert "colour" in bad.json()["errors"][2]["message"]
    assert (await admin.post("/api/v1/tokens/import", json={"uid": "V1"})).status_code == 400
    seen = []
    cursor = None
    while True:
        query = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/api/v1/tokens", params=query)).json()
        seen += [one["uid"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(one["uid"] for one in good)


async def test_an_unknown_member_of_a_token_is_named(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/api/v1/tokens", json={"uid": "U1", "colour": "red"})
    assert answer.status_code == 400
    assert "colour" in answer.text


async def test_a_tariff_comes_back_as_it_was_put_and_keeps_its_version(
    admin: httpx.AsyncClient,
) -> None:
    first = await admin.put("/api/v1/tariffs/T-1?default=true", json=TARIFF)
    again = await admin.put("/api/v1/tariffs/T-1", json=TARIFF)
    assert first.json() == again.json() == {"id": "T-1", "version": 1}
    found = json.loads((await admin.get("/api/v1/tariffs/T-1")).text, parse_float=Decimal)
    component = found["elements"][0]["price_components"][0]
    assert component["price"] == Decimal("0.35")
    assert found["elements"][0]["restrictions"] == {
        "start_time": "08:00", "end_time": "20:30", "day_of_week": ["MONDAY"],
    }  # fmt: skip
    assert [one["id"] for one in (await admin.get("/api/v1/tariffs")).json()["items"]] == ["T-1"]
    assert (await admin.delete("/api/v1/tariffs/T-1")).status_code == 204
    assert (await admin.get("/api/v1/tariffs/T-1")).status_code == 404


async def test_a_tariff_of_another_id_or_without_prices_is_refused(
    admin: httpx.AsyncClient,
) -> None:
    assert (await admin.put("/api/v1/tariffs/T-2", json=TARIFF)).status_code == 400
    assert (await admin.put("/api/v1/tariffs/T-1", content=b"{")).status_code == 400
    empty = TARIFF | {"elements": [{"price_components": []}]}
    answer = await admin.put("/api/v1/tariffs/T-1", json=empty)
    assert answer.status_code == 400
    assert "price_components" in answer.json()["detail"]


async def test_a_partner_is_invited_with_token_and_versions_url(admin: httpx.AsyncClient) -> None:
    role = {"country_code": "DE", "party_id": "EMX", "role": "EMSP"}
    made = await admin.post("/api/v1/partners", json={"roles": [role], "name": "Example"})
    assert made.status_code == 201
    assert made.json()["versions_url"] == "http://127.0.0.1:8000/ocpi/versions"
    assert len(made.json()["token"]) >= 40
    one = (await admin.get(f"/api/v1/partners/{made.json()['partner_id']}")).json()
    assert (one["state"], one["roles"][0]["party_id"]) == ("PLANNED", "EMX")
    assert "token" not in one
    listed = (await admin.get("/api/v1/partners")).json()["items"]
    assert [each["partner_id"] for each in listed] == [made.json()["partner_id"]]
    taken = await admin.post("/api/v1/partners", json={"roles": [role]})
    assert taken.status_code == 409


async def test_the_books_are_shown_in_money_and_proved(
    admin: httpx.AsyncClient, database: Database
) -> None:
    async with database.tx(PLATFORM) as tx:
        await post(
            tx,
            Entry(
                idem="e1", kind="cdr", currency="EUR", effective_at=tx.now, ref_type="cdr",
                ref_id="c1",
                legs=(Leg("ar.emsp.DE-EMX", 1210), Leg("revenue.energy", -1000),
                      Leg("tax.output.NL.21", -210)),
            ),
        )  # fmt: skip
    text = (await admin.get("/api/v1/ledger/accounts")).text
    balances = {
        one["account"]: one["balance"] for one in json.loads(text, parse_float=Decimal)["items"]
    }
    assert balances == {
        "ar.emsp.DE-EMX": Decimal("12.10"), "revenue.energy": Decimal("-10.00"),
        "tax.output.NL.21": Decimal("-2.10"),
    }  # fmt: skip
    assert sum(balances.values()) == 0
    entry = (await admin.get("/api/v1/ledger/transactions")).json()["items"][0]
    assert len(entry["legs"]) == 3
    one = await admin.get(f"/api/v1/ledger/transactions/{entry['id']}")
    assert one.json() == entry
    assert (await admin.get("/api/v1/ledger/verify")).json()["ok"] is True


async def test_lists_of_an_empty_hub_are_empty_pages(admin: httpx.AsyncClient) -> None:
    for path in (
        "stations", "sessions", "tokens", "tariffs", "partners", "locations", "exceptions",
        "ledger/accounts", "ledger/transactions", "jobs/dead",
    ):  # fmt: skip
        answer = await admin.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None}), path


async def test_what_nobody_stored_is_not_found(admin: httpx.AsyncClient) -> None:
    for path in (
        "sessions/none", "tariffs/none", "partners/none", "locations/none",
        "ledger/transactions/none",
    ):  # fmt: skip
        assert (await admin.get(f"/api/v1/{path}")).status_code == 404, path
    answer = await admin.post("/api/v1/exceptions/none/resolve", json={"resolution": "seen"})
    assert answer.status_code == 404
