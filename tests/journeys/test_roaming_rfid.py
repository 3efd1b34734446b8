"""A roaming driver's card at one of our stations, from the swipe to the bill that the eMSP has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from hub.sim import Driver, SimPartner, SimStation
from hub.sim.child import HubChild
from hub.sim.stage import TARIFF, site
from tests.journeys.world import enrolled, rows, running_hub

ROSA = "04A2B3C4D5E6F7"


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubChild]:
    """A running hub with a tariff and a site."""
    async with running_hub(tmp_path, database_url) as child:
        await child.api("PUT", "/tariffs/DEMO?default=true", TARIFF)
        imported = await child.import_locations([site([("ROAM-1", "", 22_000, "AC_3_PHASE")])])
        assert imported["refused"] == []
        yield child


@pytest.fixture
async def partner(hub: HubChild) -> AsyncIterator[SimPartner]:
    """A connected eMSP with one customer, Rosa, who must be asked about in real time."""
    async with SimPartner() as emsp:
        role = {"role": "EMSP", "country_code": "NL", "party_id": "EXM", "name": "Example"}
        invited = await hub.api("POST", "/partners", {"name": "Example", "roles": [role]})
        await emsp.join(invited["versions_url"], invited["token"])
        await emsp.push_token(Driver(uid=ROSA, contract_id="NL-EXM-C1", whitelist="NEVER"))
        yield emsp


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1"])
async def station(hub: HubChild, request: pytest.FixtureRequest) -> AsyncIterator[SimStation]:
    """A station of the site that sends a sample as soon as the one before was answered."""
    made = await enrolled(hub, "ROAM-1", request.param, sample_every=0)
    await hub.bind_evse("ROAM-1", 1, "ROAM-1-1")
    async with made as on:
        yield on


async def test_a_roaming_charge_is_seen_by_the_emsp_and_ends_in_one_priced_cdr(
    partner: SimPartner, station: SimStation, database_url: str
) -> None:
    charge = await station.settled(await station.charge(ROSA, wh=5_000))
    await partner.until(lambda: bool(partner.stored["cdrs"]), "a CDR")
    (cdr,) = partner.stored["cdrs"].values()
    assert partner.asked[0][0] == ROSA
    assert charge.energy_wh == 5_000
    assert Decimal(str(cdr["total_energy"])) == 5
    assert Decimal(str(cdr["total_cost"]["excl_vat"])) == Decimal("2.80")
    assert cdr["authorization_reference"].startswith("AUTH-")
    assert cdr["cdr_token"]["contract_id"] == "NL-EXM-C1"
    assert cdr["cdr_location"]["evse_uid"] == "ROAM-1-1"
    (booked,) = rows(database_url, "SELECT count(*) AS n FROM settlement.cdr")
    assert booked["n"] == 1

    def completed() -> bool:
        return any(s["status"] == "COMPLETED" for s in partner.stored["sessions"].values())

    await partner.until(completed, "a completed session")
    (session,) = partner.stored["sessions"].values()
    assert Decimal(str(session["kwh"])) == 5
    assert session["cdr_token"]["uid"] == ROSA


async def test_an_emsp_that_refuses_is_obeyed_and_a_strange_card_refused(
    partner: SimPartner, station: SimStation
) -> None:
    refusals = {
        "BLOCKED": {"Blocked"},
        "EXPIRED": {"Expired"},
        "NO_CREDIT": {"Blocked", "NoCredit"},
        "NOT_ALLOWED": {"Invalid", "Blocked", "NotAtThisLocation"},
    }
    await station.plug_in()
    for allowed, answers in refusals.items():
        partner.drivers[ROSA].allowed = allowed
        assert await station.swipe(ROSA) in answers, allowed
    assert await station.swipe("04FFFFFFFFFFFF") in {"Invalid", "Unknown"}
    assert partner.stored["sessions"] == {}


async def test_a_cdr_waits_for_an_emsp_that_is_down_and_arrives_once(
    partner: SimPartner, station: SimStation
) -> None:
    charge = await station.charge(ROSA, wh=5_000)
    partner.fault = "500"
    await station.settled(charge)
    await partner.until(
        lambda: any(r.module == "cdrs" for r in partner.received), "a first attempt"
    )
    assert partner.stored["cdrs"] == {}
    partner.fault = ""
    await partner.until(lambda: bool(partner.stored["cdrs"]), "the CDR", within=40)
    assert len(partner.stored["cdrs"]) == 1
