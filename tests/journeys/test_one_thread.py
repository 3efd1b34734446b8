"""One session is followed through every door by one correlation id, from the card to the bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.sim import Driver, SimPartner, SimStation
from hub.sim.child import HubChild
from hub.sim.stage import TARIFF, site
from tests.journeys.world import enrolled, rows, running_hub

ROSA = "04A2B3C4D5E6F7"
OWN = "04AABBCCDDEEFF"
EVENTS = {
    "charging.SessionOpened", "charging.SessionClosed", "settlement.CdrIssued", "ocpi.PushWanted",
    "ocpi.CdrPushWanted",
}  # fmt: skip
"""What happens in every roaming session."""


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubChild]:
    """A running hub with a tariff, a site and a card of its own."""
    async with running_hub(tmp_path, database_url, HUB_LOG_LEVEL="info") as child:
        await child.api("PUT", "/tariffs/DEMO?default=true", TARIFF)
        await child.import_locations([site([("ROAM-1", "", 22_000, "AC_3_PHASE")])])
        await child.api("POST", "/tokens", {"uid": OWN})
        yield child


@pytest.fixture
async def partner(hub: HubChild) -> AsyncIterator[SimPartner]:
    """A connected eMSP whose customer Rosa must be asked about in real time."""
    async with SimPartner() as emsp:
        role = {"role": "EMSP", "country_code": "NL", "party_id": "EXM", "name": "Example"}
        invited = await hub.api("POST", "/partners", {"name": "Example", "roles": [role]})
        await emsp.join(invited["versions_url"], invited["token"])
        await emsp.push_token(Driver(uid=ROSA, contract_id="NL-EXM-C1", whitelist="NEVER"))
        yield emsp


@pytest.fixture(params=["ocpp1.6", "ocpp2.0.1"])
async def station(hub: HubChild, request: pytest.FixtureRequest) -> AsyncIterator[SimStation]:
    """A station of the site."""
    made = await enrolled(hub, "ROAM-1", request.param, sample_every=0)
    await hub.bind_evse("ROAM-1", 1, "ROAM-1-1")
    async with made as on:
        yield on


class Thread:
    """What the database holds of one session, by its correlation id."""

    def __init__(self, url: str, trace: str) -> None:
        self.url = url
        self.trace = trace

    def all(self, sql: str) -> list[Any]:
        """The first column of a query with the trace as its parameter."""
        return [next(iter(row.values())) for row in rows(self.url, sql, self.trace)]

    @property
    def frames(self) -> list[str]:
        return self.all("SELECT action FROM ocpp.frame WHERE trace = %s ORDER BY id")

    @property
    def events(self) -> set[str]:
        return set(self.all("SELECT name FROM runtime.event WHERE trace = %s"))

    @property
    def jobs(self) -> set[str]:
        return set(self.all("SELECT name FROM runtime.job WHERE trace = %s"))

    @property
    def calls(self) -> set[tuple[str, str]]:
        sql = "SELECT module || ' ' || method FROM ocpi.message WHERE correlation_id = %s"
        return {(one.split()[0], one.split()[1]) for one in self.all(sql)}

    @property
    def postings(self) -> list[str]:
        # The books name what they are about, and that carries the id.
        return self.all("""SELECT t.kind FROM ledger.txn t
            JOIN settlement.cdr c ON t.ref_type = 'cdr' AND t.ref_id = c.id::text
            JOIN charging.session s ON s.id::text = c.session_id WHERE s.trace = %s""")


def _only_thread(url: str) -> Thread:
    (session,) = rows(url, "SELECT trace FROM charging.session")
    return Thread(url, session["trace"])


async def test_a_roaming_session_keeps_its_correlation_id_through_every_door(
    partner: SimPartner, station: SimStation, database_url: str
) -> None:
    await station.settled(await station.charge(ROSA, wh=2_000))
    await partner.until(lambda: bool(partner.stored["cdrs"]), "a CDR")

    thread = _only_thread(database_url)
    assert {"Authorize"} <= set(thread.frames)
    transactions = {"StartTransaction", "StopTransaction", "MeterValues"}
    if station.protocol == "ocpp2.0.1":
        transactions = {"TransactionEvent"}
    assert transactions <= set(thread.frames)
    strangers = """SELECT action FROM ocpp.frame WHERE trace <> %s AND (action = 'Authorize'
        OR action LIKE '%%Transaction%%' OR action = 'MeterValues')"""
    assert thread.all(strangers) == []
    assert thread.events >= EVENTS
    assert {"issue_cdr"} <= {name.rpartition(".")[2] for name in thread.jobs}
    assert {("tokens", "POST"), ("sessions", "PUT"), ("cdrs", "POST")} <= thread.calls
    assert thread.postings == ["cdr"]
    posted = [request for request in partner.received if request.module == "cdrs"]
    assert {request.headers["X-Correlation-ID"] for request in posted} == {thread.trace}


async def test_a_remote_start_hands_its_correlation_id_on_to_its_session(
    hub: HubChild, partner: SimPartner, station: SimStation, database_url: str
) -> None:
    await station.plug_in()
    start = {
        "token": partner.token(partner.drivers[ROSA]), "location_id": "DEMO-SITE",
        "evse_uid": "ROAM-1-1",
    }  # fmt: skip
    answer, result = await partner.command("START_SESSION", start)
    assert (answer["result"], result and result["result"]) == ("ACCEPTED", "ACCEPTED")
    await station.until(lambda: bool(station.charges), "a charge")
    await station.until(lambda: bool(station.charges[0].readings), "a first sample")
    await partner.until(lambda: bool(partner.stored["sessions"]), "a session")

    thread = _only_thread(database_url)
    begun = "RemoteStartTransaction"
    if station.protocol == "ocpp2.0.1":
        begun = "RequestStartTransaction"
    assert begun in thread.frames
    assert ("commands", "POST") in thread.calls
    assert ("sessions", "PUT") in thread.calls


async def test_a_session_keeps_its_correlation_id_when_the_hub_is_killed(
    hub: HubChild, station: SimStation, database_url: str
) -> None:
    charge = await station.begin(OWN, wh=3_000)
    await station.until(lambda: bool(charge.readings), "a first sample")
    before = _only_thread(database_url)
    await hub.kill()
    await hub.start()
    await station.until(lambda: charge.meter_stop is not None, "the end", within=60)
    await station.settled(charge, within=60)
    thread = _only_thread(database_url)
    assert thread.trace == before.trace
    ended = "TransactionEvent" if station.protocol == "ocpp2.0.1" else "StopTransaction"
    assert ended in thread.frames
    strangers = """SELECT action FROM ocpp.frame WHERE trace <> %s
        AND (action LIKE '%%Transaction%%' OR action = 'MeterValues')"""
    assert thread.all(strangers) == []
