"""Other people's stations, eMSPs that take their time, and a database that goes away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from tests.ocpp.stations import AT, card, door, known, station
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from hub.charging import save_token
from hub.charging.ports import AuthorityAnswer
from hub.parties import Endpoint, PartyClaim, plan_partner, save_endpoints, set_partner_state
from hub.runtime import PLATFORM, Database
from hub.stations import StationId, StationRef, send_command


class SlowOwner:
    """An eMSP's side of real-time authorisation that answers when told to."""

    def __init__(self, allowed: Any = "ALLOWED") -> None:
        self.allowed = allowed
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def ask(self, partner_id: UUID, **_: Any) -> AuthorityAnswer | None:
        """The answer, once ``go`` is set."""
        self.asked.set()
        await self.go.wait()
        return AuthorityAnswer(allowed=self.allowed, authorization_reference="REF")


async def roaming_card(database: Database, uid: str) -> None:
    """A card whose eMSP must be asked every time."""
    async with database.tx() as tx:
        partner = await plan_partner(tx, "eMSP", [PartyClaim("DE", "EMS", "EMSP", "eMSP")])
        await save_endpoints(tx, partner, [Endpoint("tokens", "SENDER", "https://emsp/tokens")])
        await set_partner_state(tx, partner, "CONNECTED")
        token = card(uid, country_code="DE", party_id="EMS", whitelist="NEVER", partner_id=partner)
        await save_token(tx, token)


START = {"connectorId": 1, "idTag": "ROAM", "meterStart": 0, "timestamp": AT}


@pytest.mark.parametrize(("allowed", "status"), [("ALLOWED", "Accepted"), ("BLOCKED", "Blocked")])
async def test_the_cards_owner_is_asked_and_its_word_counts(
    database: Database, allowed: str, status: str
) -> None:
    await known(database, "CP1")
    await roaming_card(database, "ROAM")
    owner = SlowOwner(allowed)
    owner.go.set()
    async with door(database, owner) as at, station(at) as cp:
        assert (await cp.call("StartTransaction", START))["idTagInfo"]["status"] == status
        rows = await at.rows("SELECT authorization_reference FROM charging.session")
        assert rows == [("REF",)]


async def test_while_an_owner_is_asked_others_are_served_and_commands_answered(
    database: Database,
) -> None:
    await known(database, "CP1", "CP2")
    await roaming_card(database, "ROAM")
    owner = SlowOwner()
    async with door(database, owner) as at, station(at) as cp, station(at, "CP2") as other:
        await cp.boot()
        await cp.raw([2, "slow", "StartTransaction", START])
        await owner.asked.wait()
        assert "currentTime" in await other.call("Heartbeat", {})
        async with database.tx() as tx:
            await send_command(tx, StationRef(PLATFORM, StationId("CP1")), "ClearCache", b"{}")
        at.bus.publish("command:CP1")
        _, message_id, action, _ = await cp.frame()
        assert action == "ClearCache"
        await cp.raw([3, message_id, {"status": "Accepted"}])
        await cp.raw([2, "behind", "Heartbeat", {}])
        owner.go.set()
        assert [(await cp.frame())[1], (await cp.frame())[1]] == ["slow", "behind"]


async def test_a_message_sent_again_while_its_owner_is_asked_is_handled_once(
    database: Database,
) -> None:
    await known(database, "CP1")
    await roaming_card(database, "ROAM")
    owner = SlowOwner()
    async with door(database, owner) as at, station(at) as cp:
        for _ in range(3):
            await cp.raw([2, "same", "StartTransaction", START])
        await owner.asked.wait()
        owner.go.set()
        assert (await cp.frame())[1] == "same"
        assert "currentTime" in await cp.call("Heartbeat", {})
        assert await at.rows("SELECT count(*) FROM charging.session") == [(1,)]


async def test_a_lost_database_connection_is_said_and_survived(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        await cp.boot()
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as admin:
            await admin.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
        # Some pooled connections are dead: each answer is stored or an error, never a lie.
        for turn in range(40):
            told = await cp.call("StartTransaction", START, f"try {turn}")
            if isinstance(told, dict):
                break
            assert told[0] == "InternalError"
        rows = await at.rows("SELECT number FROM charging.session")
        assert rows == [(told["transactionId"],)]


async def test_the_ocpp_packages_1_6_client_charges(database: Database) -> None:
    await known(database, "CP1")
    async with (
        door(database) as at,
        connect(at.url("CP1"), subprotocols=[Subprotocol("ocpp1.6")], proxy=None) as socket,
    ):
        client = ChargePoint16("CP1", socket)
        reading = asyncio.create_task(client.start())
        boot = call16.BootNotification(charge_point_model="M", charge_point_vendor="V")
        assert (await client.call(boot)).status == "Accepted"
        begin = call16.StartTransaction(connector_id=1, id_tag="CARD", meter_start=0, timestamp=AT)
        started = await client.call(begin)
        assert started.id_tag_info["status"] == "Accepted"
        sample = {"value": "500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        values = [{"timestamp": AT, "sampled_value": [sample]}]
        await client.call(
            call16.MeterValues(
                connector_id=1, meter_value=values, transaction_id=started.transaction_id
            )
        )
        end = call16.StopTransaction(
            meter_stop=1500, timestamp="2026-01-01T01:00:00Z",
            transaction_id=started.transaction_id, id_tag="CARD",
        )  # fmt: skip
        assert (await client.call(end)).id_tag_info["status"] == "Accepted"
        rows = await at.rows("SELECT state, energy_wh::int FROM charging.session")
        assert rows == [("COMPLETED", 1500)]
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def test_the_ocpp_packages_2_0_1_client_charges(database: Database) -> None:
    await known(database, "CP1")
    async with (
        door(database) as at,
        connect(at.url("CP1"), subprotocols=[Subprotocol("ocpp2.0.1")], proxy=None) as socket,
    ):
        client = ChargePoint201("CP1", socket)
        reading = asyncio.create_task(client.start())
        boot = call201.BootNotification(
            charging_station={"model": "M", "vendor_name": "V"}, reason="PowerUp"
        )
        assert (await client.call(boot)).status == "Accepted"
        for seq, kind, value in ((0, "Started", 0), (1, "Updated", 700), (2, "Ended", 1500)):
            stamp = f"2026-01-01T0{seq}:00:00Z"
            context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(
                kind, "Sample.Periodic"
            )
            values = [{"timestamp": stamp, "sampled_value": [{"value": value, "context": context}]}]
            told = await client.call(
                call201.TransactionEvent(
                    event_type=kind, timestamp=stamp, trigger_reason="MeterValuePeriodic",
                    seq_no=seq, transaction_info={"transaction_id": "tx"}, meter_value=values,
                    evse={"id": 1}, id_token={"id_token": "CARD", "type": "ISO14443"},
                )
            )  # fmt: skip
            assert told.id_token_info["status"] == "Accepted"
        rows = await at.rows("SELECT state, energy_wh::int FROM charging.session")
        assert rows == [("COMPLETED", 1500)]
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
