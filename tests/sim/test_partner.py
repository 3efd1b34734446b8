"""The simulated eMSP registers, authorises, keeps what it gets, and fails on demand."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hub.sim import Driver, SimPartner
from hub.sim.partner import PartnerError

STAMP = "2026-05-01T10:00:00Z"
CDR = {
    "country_code": "DE", "party_id": "CPO", "id": "C1", "start_date_time": STAMP,
    "end_date_time": STAMP, "auth_method": "AUTH_REQUEST", "currency": "EUR",
    "cdr_token": {
        "country_code": "NL", "party_id": "EXM", "uid": "A", "type": "RFID", "contract_id": "C",
    },
    "cdr_location": {
        "id": "L", "address": "A", "city": "C", "country": "DEU", "evse_uid": "1",
        "coordinates": {"latitude": "1", "longitude": "1"}, "evse_id": "DE*1", "connector_id": "1",
        "connector_standard": "CHADEMO", "connector_format": "CABLE", "connector_power_type": "DC",
    },
    "charging_periods": [
        {"start_date_time": STAMP, "dimensions": [{"type": "ENERGY", "volume": 1.5}]}
    ],
    "total_cost": {"excl_vat": 1.1}, "total_energy": 1.5, "total_time": 0.5, "last_updated": STAMP,
}  # fmt: skip


class Cpo:
    """A CPO's platform of a few lines: credentials, tokens receiver, a CDR list in two pages."""

    def __init__(self) -> None:
        self.base = ""
        self.token_a = "token-a"
        self.token_c = "token-c"
        self.partner: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    def envelope(self, data: Any = None, code: int = 1000) -> dict[str, Any]:
        return {"status_code": code, "timestamp": STAMP, "data": data}

    async def serve(self, request: web.Request) -> web.Response:
        sent = request.headers.get("Authorization", "").removeprefix("Token ")
        token = base64.b64decode(sent).decode()
        assert token in {self.token_a, self.token_c}
        self.headers = dict(request.headers)
        path = request.path
        if path == "/versions":
            return web.json_response(
                self.envelope([{"version": "2.2.1", "url": f"{self.base}/2.2.1"}])
            )
        if path == "/2.2.1":
            kinds = [("credentials", "SENDER"), ("tokens", "RECEIVER"), ("cdrs", "SENDER")]
            ends = [
                {"identifier": kind, "role": role, "url": f"{self.base}/{kind}"}
                for kind, role in kinds
            ]
            return web.json_response(self.envelope({"version": "2.2.1", "endpoints": ends}))
        if path == "/credentials":
            self.partner = await request.json()
            role = {"role": "CPO", "country_code": "DE", "party_id": "CPO"}
            mine = {"token": self.token_c, "url": f"{self.base}/versions", "roles": [role]}
            return web.json_response(self.envelope(mine))
        if path == "/cdrs":
            second = "offset" in request.query
            answer = web.json_response(self.envelope([{"id": "2" if second else "1"}]))
            if not second:
                answer.headers["Link"] = f'<{self.base}/cdrs?offset=1>; rel="next"'
            return answer
        self.tokens[path] = await request.json()
        return web.json_response(self.envelope())


@asynccontextmanager
async def cpo() -> AsyncIterator[Cpo]:
    platform = Cpo()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", platform.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    platform.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield platform
    finally:
        await runner.cleanup()


async def _ask(
    partner: SimPartner, method: str, path: str, body: Any = None
) -> tuple[int, Any, Any]:
    raw = base64.b64encode(partner.our_token.encode()).decode()
    headers = {"Authorization": f"Token {raw}", "X-Request-ID": "r-1"}
    async with aiohttp.ClientSession(headers=headers) as http:
        url = f"{partner.base}/{path}"
        async with http.request(method, url, json=body) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else None, answer.headers


async def test_an_invited_partner_registers_and_pushes_a_token() -> None:
    async with cpo() as platform, SimPartner() as partner:
        await partner.join(f"{platform.base}/versions", "token-a")
        assert partner.hub_token == "token-c"
        assert platform.partner["url"] == partner.versions_url
        await partner.push_token(Driver(uid="04AA", contract_id="NL-EXM-C1"))
        (path,) = platform.tokens
        assert path == "/tokens/NL/EXM/04AA"
        assert platform.tokens[path]["contract_id"] == "NL-EXM-C1"
        assert platform.headers["OCPI-to-party-id"] == "CPO"
        assert [cdr["id"] for cdr in await partner.pull("cdrs")] == ["1", "2"]


async def test_an_inviting_partner_answers_the_handshake() -> None:
    async with SimPartner() as partner:
        partner.invite()
        _, versions, _ = await _ask(partner, "GET", "versions")
        assert versions["data"][0]["version"] == "2.2.1"
        _, details, headers = await _ask(partner, "GET", "2.2.1")
        assert headers["X-Request-ID"] == "r-1"
        kinds = {(e["identifier"], e["role"]) for e in details["data"]["endpoints"]}
        assert ("tokens", "SENDER") in kinds
        assert ("cdrs", "RECEIVER") in kinds
        before = partner.our_token
        said = {"token": "hubs", "url": "http://hub/versions", "roles": [
            {"role": "CPO", "country_code": "DE", "party_id": "CPO"}
        ]}  # fmt: skip
        _, answer, _ = await _ask(partner, "POST", "2.2.1/credentials", said)
        assert answer["data"]["token"] == partner.our_token != before
        assert partner.hub_token == "hubs"


@pytest.mark.parametrize(
    ("driver", "http", "code", "allowed"),
    [
        (Driver(uid="A", contract_id="C"), 200, 1000, "ALLOWED"),
        (Driver(uid="A", contract_id="C", allowed="BLOCKED"), 200, 1000, "BLOCKED"),
        (Driver(uid="A", contract_id="C", unknown=True), 404, 2004, None),
        (Driver(uid="B", contract_id="C"), 404, 2004, None),
    ],
    ids=["allowed", "blocked", "unknown", "another"],
)
async def test_a_real_time_question_is_answered_by_the_table(
    driver: Driver, http: int, code: int, allowed: str | None
) -> None:
    async with SimPartner() as partner:
        partner.drivers[driver.uid] = driver
        status, answer, _ = await _ask(
            partner, "POST", "emsp/2.2.1/tokens/A/authorize", {"location_id": "L"}
        )
        assert (status, answer["status_code"]) == (http, code)
        data = answer.get("data") or {}
        assert data.get("allowed") == allowed
        assert ("authorization_reference" in data) == (allowed == "ALLOWED")
        assert partner.asked == [("A", {"location_id": "L"})]


async def test_a_cdr_is_taken_once_and_found_at_its_location() -> None:
    async with SimPartner() as partner:
        status, _, headers = await _ask(partner, "POST", "emsp/2.2.1/cdrs", CDR)
        again, _, same = await _ask(partner, "POST", "emsp/2.2.1/cdrs", CDR)
        assert (status, again) == (201, 200)
        assert headers["Location"] == same["Location"]
        _, answer, _ = await _ask(partner, "POST", "emsp/2.2.1/cdrs", CDR | {"total_energy": 2})
        assert answer["status_code"] == 2001
        _, found, _ = await _ask(partner, "GET", headers["Location"].split("/ocpi/")[1])
        assert found["data"]["id"] == "C1"


@pytest.mark.parametrize("member", [m for m in CDR if m != "cdr_location"])
async def test_a_cdr_that_lacks_a_required_member_is_refused(member: str) -> None:
    async with SimPartner() as partner:
        cdr = {name: value for name, value in CDR.items() if name != member}
        _, answer, _ = await _ask(partner, "POST", "emsp/2.2.1/cdrs", cdr)
        assert answer["status_code"] == 2001
        assert member in answer["status_message"]
        assert partner.stored["cdrs"] == {}


async def test_session_dimensions_have_no_place_in_a_cdr() -> None:
    period = {"start_date_time": STAMP, "dimensions": [{"type": "POWER", "volume": 7}]}
    async with SimPartner() as partner:
        cdr = CDR | {"charging_periods": [period]}
        _, answer, _ = await _ask(partner, "POST", "emsp/2.2.1/cdrs", cdr)
        assert "POWER" in answer["status_message"]


async def test_a_session_is_put_patched_and_its_periods_appended() -> None:
    session = {
        "country_code": "DE", "party_id": "CPO", "id": "S1", "start_date_time": STAMP, "kwh": 0,
        "cdr_token": CDR["cdr_token"], "auth_method": "AUTH_REQUEST", "location_id": "L",
        "evse_uid": "1", "connector_id": "1", "currency": "EUR", "status": "ACTIVE",
        "last_updated": STAMP,
    }  # fmt: skip
    async with SimPartner() as partner:
        path = "emsp/2.2.1/sessions/DE/CPO/S1"
        status, _, _ = await _ask(partner, "PATCH", path, {"kwh": 1, "last_updated": STAMP})
        assert status == 404
        await _ask(partner, "PUT", path, session)
        for _ in range(2):
            more = {"charging_periods": CDR["charging_periods"], "last_updated": STAMP}
            await _ask(partner, "PATCH", path, more)
        assert len(partner.stored["sessions"]["S1"]["charging_periods"]) == 2
        assert [r.status_code for r in partner.received] == [2000, 1000, 1000, 1000]


async def test_faults_break_the_answer_and_a_wrong_token_is_refused() -> None:
    async with SimPartner() as partner:
        for fault, status in (("500", 500), ("html", 200), ("unauthorized", 401), ("", 200)):
            partner.fault = fault  # type: ignore[assignment]
            assert (await _ask(partner, "GET", "versions"))[0] == status
        async with aiohttp.ClientSession() as http, http.get(partner.versions_url) as answer:
            assert answer.status == 401
        port = partner.port
        await partner.go_down()
        with pytest.raises(aiohttp.ClientConnectionError):
            await _ask(partner, "GET", "versions")
        await partner.come_up()
        assert partner.port == port
        assert (await _ask(partner, "GET", "versions"))[0] == 200


async def test_a_refusing_hub_is_an_error_with_its_codes() -> None:
    async with SimPartner() as one, SimPartner(party="TWO") as other:
        other.hub_token = "wrong"
        with pytest.raises(PartnerError, match="HTTP 401"):
            await other.call("GET", one.versions_url)
