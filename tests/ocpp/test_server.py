"""Stations of both versions at real sockets: boot, authorise, charge, and be commanded."""

from __future__ import annotations

from decimal import Decimal

from tests.ocpp.stations import AT, door, energy, event, known, station

from hub.runtime import Database


async def test_a_1_6_station_boots_charges_and_stops(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at, station(at) as cp:
        assert (await cp.boot())["status"] == "Accepted"
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        assert await cp.call("StatusNotification", status) == {}
        told = await cp.call("Authorize", {"idTag": "CARD"})
        assert told == {"idTagInfo": {"status": "Accepted"}}
        start = {"connectorId": 1, "idTag": "CARD", "meterStart": 1000, "timestamp": AT}
        started = await cp.call("StartTransaction", start)
        assert started["idTagInfo"]["status"] == "Accepted"
        values = {
            "connectorId": 1,
            "transactionId": started["transactionId"],
            "meterValue": [
                {"timestamp": "2026-01-01T00:30:00Z", "sampledValue": [{"value": "6000"}]}
            ],
        }
        assert await cp.call("MeterValues", values) == {}
        stop = {
            "transactionId": started["transactionId"],
            "meterStop": 11000,
            "timestamp": "2026-01-01T01:00:00Z",
            "idTag": "CARD",
        }
        assert (await cp.call("StopTransaction", stop))["idTagInfo"]["status"] == "Accepted"
        rows = await at.rows("SELECT state, energy_wh FROM charging.session")
        assert rows == [("COMPLETED", Decimal(10000))]
        assert await at.rows("SELECT count(*) FROM charging.reading") == [(1,)]


async def test_a_2_0_1_station_boots_charges_and_stops(database: Database) -> None:
    await known(database, "CP1")
    token = {"idToken": "CARD", "type": "ISO14443"}
    async with door(database) as at, station(at, protocol="ocpp2.0.1") as cs:
        assert (await cs.boot())["status"] == "Accepted"
        told = await cs.call("Authorize", {"idToken": token})
        assert told == {"idTokenInfo": {"status": "Accepted"}}
        started = event("Started", 0, evse={"id": 1, "connectorId": 1}, idToken=token,
                        trigger="Authorized", meterValue=energy(1000, context="Transaction.Begin"))  # fmt: skip
        assert (await cs.call("TransactionEvent", started))["idTokenInfo"]["status"] == "Accepted"
        updated = event("Updated", 1, meterValue=energy(6000, "2026-01-01T00:30:00Z"),
                        at="2026-01-01T00:30:00Z")  # fmt: skip
        assert await cs.call("TransactionEvent", updated) == {}
        end = "2026-01-01T01:00:00Z"
        ended = event("Ended", 2, at=end, trigger="StopAuthorized",
                      meterValue=energy(11000, end, "Transaction.End"),
                      info={"stoppedReason": "Local"})  # fmt: skip
        assert "idTokenInfo" not in await cs.call("TransactionEvent", ended)
        rows = await at.rows("SELECT state, energy_wh FROM charging.session")
        assert rows == [("COMPLETED", Decimal(10000))]
