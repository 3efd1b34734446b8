"""CDRs, statements, held sessions and what a session shows, over the API."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from hub.api.ports import Wiring
from hub.kernel import new_id
from hub.ocpp.catalogue import ActionCatalogue
from hub.runtime import PLATFORM, LocalBus, Settings
from hub.runtime.vault import Vault
from tests.charging.field import NOON
from tests.settlement import conftest
from tests.settlement.conftest import Settled

from .conftest import BOOTSTRAP, bearer, served

field = conftest.field
START, END = NOON - timedelta(days=1), NOON + timedelta(days=1)
PERIOD = {"start": START.isoformat(), "end": END.isoformat()}


@pytest.fixture
async def http(field: Settled) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with every scope, on the field's own database."""
    wiring = Wiring(
        settings=Settings(admin_token=BOOTSTRAP), database=field.database, bus=LocalBus(),
        catalogue=ActionCatalogue(), vault=Vault([bytes(32)]),
    )  # fmt: skip
    async with served(wiring) as client:
        client.headers.update(bearer(BOOTSTRAP))
        yield client


def exact(answer: httpx.Response) -> Any:
    """The body of a good answer, its numbers as they were written."""
    assert answer.status_code < 300, answer.text
    return json.loads(answer.text, parse_float=Decimal)


async def everything(http: httpx.AsyncClient, path: str, limit: int = 2) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        page = exact(await http.get(httpx.URL(path).copy_merge_params(query)))
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["next"]
    return items


async def billed(field: Settled) -> UUID:
    """Three sessions of a partner's driver and one of ours, all billed; the partner's id."""
    partner = await field.roaming_card("ROAM1")
    await field.place()
    for wh in (5000, 7500, 333):
        await field.charge(wh, 21, tag="ROAM1")
    await field.charge(4000, 10)
    assert len(await field.bill()) == 4
    return partner


async def test_cdrs_are_listed_in_ocpis_words_and_by_partner(
    field: Settled, http: httpx.AsyncClient
) -> None:
    partner = await billed(field)
    found = await everything(http, "/api/v1/cdrs", limit=3)
    assert sorted(one["total_energy"] for one in found) == [
        Decimal("0.333"), Decimal(4), Decimal(5), Decimal("7.5"),
    ]  # fmt: skip
    one = exact(await http.get(f"/api/v1/cdrs/{found[0]['id']}"))
    assert one == found[0]
    assert one["total_cost"]["incl_vat"] >= one["total_cost"]["excl_vat"]
    theirs = exact(await http.get("/api/v1/cdrs", params={"partner": str(partner)}))["items"]
    assert [cdr["cdr_token"]["uid"] for cdr in theirs] == ["ROAM1"] * 3
    assert (await http.get("/api/v1/cdrs?partner=nobody")).status_code == 404
    assert exact(await http.get(f"/api/v1/cdrs?partner={new_id()}"))["items"] == []
    assert (await http.get(f"/api/v1/cdrs/{new_id()}")).status_code == 404


async def test_a_cdr_is_credited_once_and_the_books_stay_balanced(
    field: Settled, http: httpx.AsyncClient
) -> None:
    await billed(field)
    wrong = (await everything(http, "/api/v1/cdrs"))[0]
    path = f"/api/v1/cdrs/{wrong['id']}/credit"
    assert (await http.post(path, json={"reason": ""})).status_code == 400
    credit = exact(await http.post(path, json={"reason": "meter was wrong"}))
    assert (credit["credit"], credit["credit_reference_id"]) == (True, wrong["id"])
    assert exact(await http.post(path, json={"reason": "again"}))["id"] == credit["id"]
    of_credit = await http.post(f"/api/v1/cdrs/{credit['id']}/credit", json={"reason": "no"})
    assert of_credit.status_code == 404
    assert len(await everything(http, "/api/v1/cdrs")) == 5
    assert exact(await http.get("/api/v1/ledger/verify"))["ok"] is True
    accounts = exact(await http.get("/api/v1/ledger/accounts"))["items"]
    assert sum(one["balance"] for one in accounts) == 0
    owed = exact(await http.get("/api/v1/ledger/accounts?prefix=ar."))["items"]
    assert {one["account"].partition(".")[0] for one in owed} == {"ar"}
    entries = await everything(http, "/api/v1/ledger/transactions")
    assert len(entries) == 5
    assert sum(one["reverses"] is not None for one in entries) == 1
    of_partner = await everything(http, "/api/v1/ledger/transactions?account=ar.emsp.DE-EMS", 50)
    assert 0 < len(of_partner) < len(entries)


async def test_a_statement_is_closed_once_listed_and_written_as_json_and_csv(
    field: Settled, http: httpx.AsyncClient
) -> None:
    partner = await billed(field)
    wanted = PERIOD | {"partner_id": str(partner)}
    made = exact(await http.post("/api/v1/settlement/statements", json=wanted))
    assert (made["lines"], made["currency"]) == (3, "EUR")
    assert made["energy_kwh"] == Decimal("12.833")
    again = exact(await http.post("/api/v1/settlement/statements", json=wanted))
    assert again["id"] == made["id"]
    path = f"/api/v1/settlement/statements/{made['id']}"
    full = exact(await http.get(path))
    assert sum(line["incl_vat"] for line in full["lines"]) == made["total_incl_vat"]
    sheet = await http.get(path, params={"format": "csv"})
    assert sheet.headers["content-type"].startswith("text/csv")
    assert "attachment" in sheet.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(sheet.content.decode("utf-8-sig"))))
    assert {str(line["cdr_id"]) for line in full["lines"]} <= {r.get("cdr_id") for r in rows}
    backwards = {"start": PERIOD["end"], "end": PERIOD["start"]}
    assert (await http.post("/api/v1/settlement/statements", json=backwards)).status_code == 400
    assert (await http.get("/api/v1/settlement/statements/none")).status_code == 404


async def test_statements_without_a_cdr_are_listed_too_newest_first(
    field: Settled, http: httpx.AsyncClient
) -> None:
    await billed(field)
    made = []
    for day in range(5):
        period = {
            "start": (START - timedelta(days=day + 1)).isoformat(),
            "end": (START - timedelta(days=day)).isoformat(),
        }
        made.append(exact(await http.post("/api/v1/settlement/statements", json=period)))
    made.append(exact(await http.post("/api/v1/settlement/statements", json=PERIOD)))
    assert [one["lines"] for one in made] == [0, 0, 0, 0, 0, 1]
    listed = await everything(http, "/api/v1/settlement/statements")
    assert [one["id"] for one in listed] == [one["id"] for one in reversed(made)]


async def test_held_sessions_and_dead_jobs_are_paged_to_the_end(
    field: Settled, http: httpx.AsyncClient
) -> None:
    async with field.database.tx() as tx:
        for _ in range(5):
            await tx.run(
                """INSERT INTO settlement.held (tenant_id, session_id, reason, held_at)
                   VALUES (%s, %s, 'no tariff', %s)""",
                tx.tenant, new_id(), tx.now,
            )  # fmt: skip
    async with field.database.system_tx() as tx:
        for number in range(5):
            await tx.run(
                """WITH told AS (
                     INSERT INTO runtime.event (tenant_id, name, version, payload, at, actor, trace)
                     VALUES (%s, 'test.Told', 1, '{}', now(), 'test', 't') RETURNING *)
                   INSERT INTO runtime.job
                     (tenant_id, event_id, name, payload, run_at, state, attempts, trace, parks)
                   SELECT tenant_id, id, %s, payload, at, 'dead', 8, trace, false FROM told""",
                PLATFORM, f"test.{number}",
            )  # fmt: skip
    held = await everything(http, "/api/v1/settlement/held")
    assert len({one["session_id"] for one in held}) == 5
    dead = await everything(http, "/api/v1/jobs/dead")
    assert [one["name"] for one in dead] == [f"test.{n}" for n in (4, 3, 2, 1, 0)]
    assert (await http.post(f"/api/v1/jobs/{dead[0]['id']}/replay")).status_code == 204
    assert (await http.post(f"/api/v1/jobs/{dead[1]['id']}/drop")).status_code == 204
    assert len(await everything(http, "/api/v1/jobs/dead")) == 3
    assert (await http.post(f"/api/v1/jobs/{dead[1]['id']}/replay")).status_code == 404


async def test_a_session_shows_times_energy_stop_reason_and_price(
    field: Settled, http: httpx.AsyncClient
) -> None:
    await billed(field)
    listed = await everything(http, "/api/v1/sessions?state=COMPLETED&token=ROAM1", 50)
    assert len(listed) == 3
    one = exact(await http.get(f"/api/v1/sessions/{listed[0]['id']}"))
    assert one["stop_reason"] == "Local"
    assert one["station_id"] == "CP1"
    assert one["energy_kwh"] == Decimal("0.333")
    assert one["price"]["incl_vat"] > one["price"]["excl_vat"] > 0
    assert exact(await http.get("/api/v1/sessions?station=CP1&state=ACTIVE"))["items"] == []
    assert one["held_reason"] is None


async def test_a_session_without_a_cdr_says_why(field: Settled, http: httpx.AsyncClient) -> None:
    await billed(field)
    (one,) = (await everything(http, "/api/v1/sessions?state=COMPLETED&token=ROAM1", 50))[:1]
    async with field.database.tx() as tx:
        await tx.run(
            """INSERT INTO settlement.held (tenant_id, session_id, reason, held_at)
               VALUES (%s, %s, 'no tariff governed the session', %s)""",
            tx.tenant, UUID(one["id"]), tx.now,
        )  # fmt: skip
    shown = exact(await http.get(f"/api/v1/sessions/{one['id']}"))
    assert shown["held_reason"] == "no tariff governed the session"


async def test_an_exception_is_listed_resolved_once_and_told_by_whom(
    field: Settled, http: httpx.AsyncClient
) -> None:
    await field.stop(987654, 5000, at=NOON, reason="Local")
    (found,) = await everything(http, "/api/v1/exceptions")
    path = f"/api/v1/exceptions/{found['id']}/resolve"
    assert (await http.post(path, json={})).status_code == 400
    assert (await http.post(path, json={"resolution": "station replaced"})).status_code == 204
    assert (await http.post(path, json={"resolution": "twice"})).status_code == 409
    assert await everything(http, "/api/v1/exceptions") == []
    (done,) = await everything(http, "/api/v1/exceptions?resolved=true")
    assert (done["resolution"], done["resolved_by"]) == ("station replaced", "bootstrap")
