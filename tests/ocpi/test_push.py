"""Pushes: sessions and CDRs to the owner of the token, places and tariffs to who takes them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.charging import Authorizer, close_session, open_session
from hub.charging.events import SessionClosed, SessionUpdated
from hub.charging.messages import (
    AuthorizeAsked,
    IdToken,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)
from hub.ocpi import wire221 as wire
from hub.ocpi.events import PushWanted
from hub.runtime import PLATFORM, JobRunner
from hub.settlement import issue_cdr
from hub.stations.links import report_status
from hub.stations.locations import save_location
from hub.stations.messages import StatusReported
from hub.stations.model import StationId, StationRef
from hub.tariffs import delete_tariff
from tests.ocpi.conftest import LOCATION, TOKEN, Hub, Platform
from tests.ocpi.test_commands import Ahead

pytestmark = pytest.mark.usefixtures("network")

STATION = StationRef(PLATFORM, StationId("ST1"))


async def _report(hub: Hub, status: Any) -> None:
    async with hub.database.tx() as tx:
        await report_status(
            tx,
            StatusReported(
                station=STATION, at=tx.now, evse=1, connector=1, status=status, raw=status
            ),
        )
    await hub.runner.drain()


async def test_L_13_a_status_is_patched_once_per_change(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    await _report(hub, "CHARGING")
    await _report(hub, "CHARGING")
    path = "/locations/NL/HUB/LOC1/EV1"
    (patch,) = platform.calls("PATCH", path)
    assert patch["status"] == "CHARGING"
    assert set(patch) == {"status", "last_updated"}
    async with hub.database.tx() as tx:
        tx.emit(PushWanted(
            tenant_id=PLATFORM, partner_id=partner, kind="evse", object_id="LOC1/EV1"
        ))  # fmt: skip
    await hub.runner.drain()
    assert len(platform.calls("PATCH", path)) == 1


async def test_HUB_15_a_partner_without_the_EVSE_gets_it_whole(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    platform.answers["PATCH", "/locations"] = (404, {"status_code": 2003}, {})
    await _report(hub, "CHARGING")
    (whole,) = platform.calls("PUT", "/locations/NL/HUB/LOC1/EV1")
    assert msgspec.convert(whole, wire.Evse).status == "CHARGING"


async def test_a_changed_location_and_a_deleted_tariff_reach_who_takes_them(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    async with hub.database.tx() as tx:
        await save_location(tx, msgspec.structs.replace(LOCATION, name="New yard"))
        await hub.runner.drain()
    await hub.runner.drain()
    assert platform.calls("PUT", "/locations/NL/HUB/LOC1")[-1]["name"] == "New yard"
    async with hub.database.tx() as tx:
        tx.emit(PushWanted(tenant_id=PLATFORM, partner_id=partner, kind="tariff", object_id="T1"))
    await hub.runner.drain()
    assert platform.calls("PUT", "/tariffs/NL/HUB/T1")[0]["id"] == "T1"
    async with hub.database.tx() as tx:
        await delete_tariff(tx, "T1")
    await hub.runner.drain()
    assert platform.calls("DELETE", "/tariffs/NL/HUB/T1") == [None]


async def test_only_partners_with_the_receiver_are_pushed_to(
    hub: Hub, platform: Platform, invited: UUID
) -> None:
    platform.modules = [("tokens", "SENDER")]
    await hub.call("POST", "/2.2.1/credentials", platform.credentials())
    await _report(hub, "CHARGING")
    assert platform.calls("PATCH", "/locations") == []


async def _charge(hub: Hub, partner: UUID) -> UUID:
    """A roaming session of two hours and 10 kWh, ended."""
    await hub.call("PUT", f"/2.2.1/receiver/tokens/NL/EXM/{TOKEN['uid']}", TOKEN)
    token = IdToken(str(TOKEN["uid"]))
    async with hub.database.tx() as tx:
        asked = AuthorizeAsked(station=STATION, token=token, evse=1)
        granted = await Authorizer(hub.database, None).local(tx, asked)
        assert granted is not None
        assert granted.partner_id == partner
        began = tx.now - timedelta(hours=2)
        started = TransactionStarted(
            station=STATION, transaction=Transaction(), at=began, received_at=began, evse=1,
            connector=1, token=token, meter_start=Decimal(1000),
        )  # fmt: skip
        number = (await open_session(tx, started, granted)).number
    await hub.runner.drain()
    async with hub.database.tx() as tx:
        ended = TransactionEnded(
            station=STATION, transaction=Transaction(number=number), at=tx.now, received_at=tx.now,
            meter_stop=Decimal(11000), reason="Local",
        )  # fmt: skip
        await close_session(tx, ended)
        session_id = await tx.value("SELECT id FROM charging.v_session")
    assert isinstance(session_id, UUID)
    return session_id


async def test_SE_1_a_session_is_pushed_from_its_start_to_its_end(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    session_id = await _charge(hub, partner)
    await hub.runner.drain()
    sent = platform.calls("PUT", f"/sessions/NL/HUB/{session_id}")
    assert [one["status"] for one in sent] == ["ACTIVE", "COMPLETED"]
    last = msgspec.convert(sent[-1], wire.Session, strict=False)
    assert (last.kwh, last.location_id, last.evse_uid, last.connector_id) == (
        10,
        "LOC1",
        "EV1",
        "1",
    )
    energy = [d.volume for p in last.charging_periods for d in p.dimensions if d.type == "ENERGY"]
    assert sum(energy) == 10
    listed = await hub.call("GET", "/2.2.1/sender/sessions?date_from=2020-01-01T00:00:00Z")
    assert listed.data == [sent[-1]]
    assert listed.headers["x-total-count"] == "1"
    async with hub.database.tx() as tx:
        tx.emit(SessionUpdated(session_id=session_id, partner_id=partner, at=tx.now))
    await hub.runner.drain()
    assert len(platform.calls("PUT", "/sessions")) == 2


async def test_CD_1_a_cdr_is_posted_once_and_its_address_kept(
    hub: Hub, platform: Platform, partner: UUID
) -> None:
    hub.database.subscriptions = {**hub.database.subscriptions}
    closed = [*hub.database.subscriptions[SessionClosed], issue_cdr]
    hub.database.subscriptions = {**hub.database.subscriptions, SessionClosed: closed}
    runner = JobRunner(hub.database, [*hub.door.jobs(), issue_cdr])
    platform.answers["POST", "/cdrs"] = (500, b"down", {})
    session_id = await _charge(hub, partner)
    await runner.drain()
    platform.answers["POST", "/cdrs"] = (200, None, {"Location": f"{platform.url}/cdrs/77"})
    hub.database.clock = Ahead(hub.database.clock, 10)
    await runner.drain()
    first, second = platform.calls("POST", "/cdrs")
    assert first == second
    cdr = msgspec.convert(first, wire.Cdr, strict=False)
    assert (cdr.session_id, cdr.total_energy, cdr.total_cost.excl_vat) == (str(session_id), 10, 4)
    assert cdr.total_cost.incl_vat == Decimal("4.84")
    assert (cdr.cdr_location.id, cdr.cdr_token.uid) == ("LOC1", TOKEN["uid"])
    async with hub.database.tx() as tx:
        kept = await tx.row("SELECT object_id, location FROM ocpi.delivery WHERE kind = 'cdr'")
    assert kept == (cdr.id, f"{platform.url}/cdrs/77")
    listed = await hub.call("GET", "/2.2.1/sender/cdrs")
    assert listed.data == [first]
    assert listed.headers["x-total-count"] == "1"
