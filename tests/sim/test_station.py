"""Simulated stations keep the standard's promises towards any central system."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp.v16 import call as c16
from ocpp.v201 import call as c201

from hub.sim import Car, Faults, SimStation
from hub.sim.plate import NotAllowed
from tests.sim.central import Central, central_system

BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
ENDS = ("StopTransaction", "TransactionEvent")


def _station(central: Central, protocol: str, **more: Any) -> SimStation:
    return SimStation("CS-1", central.url("CS-1"), protocol=protocol, sample_every=0, **more)


def _register(payload: dict[str, Any]) -> int:
    if "meterStop" in payload:
        return int(payload["meterStop"])
    return int(payload["meterValue"][0]["sampledValue"][0]["value"])


@BOTH
async def test_a_charge_is_told_from_start_to_stop_to_the_watt_hour(protocol: str) -> None:
    async with central_system() as central, _station(central, protocol, register_wh=5_000) as cs:
        charge = await cs.settled(await cs.charge("CARD", car=Car(), wh=1_234))
        told = central.said(*ENDS)
        assert (charge.energy_wh, charge.meter_stop) == (1_234, 6_234)
        assert _register(told[-1]) == 6_234
        assert charge.told["sample"] == len(charge.readings) > 3
        assert [wh for _, wh in charge.readings] == sorted(wh for _, wh in charge.readings)


@BOTH
async def test_a_refused_card_does_not_charge(protocol: str) -> None:
    async with central_system() as central, _station(central, protocol) as cs:
        central.blocked = {"CARD"}
        with pytest.raises(NotAllowed, match="Blocked"):
            await cs.charge("CARD", wh=100)
        assert central.said("StartTransaction", "TransactionEvent") == []


@BOTH
async def test_a_transaction_that_is_refused_at_its_start_is_stopped(protocol: str) -> None:
    async with central_system() as central, _station(central, protocol) as cs:
        central.blocked = {"CARD"} if protocol == "ocpp1.6" else set()
        charge = await cs.begin("CARD", wh=None if protocol == "ocpp1.6" else 300)
        await cs.settled(charge)
        assert charge.reason == ("DeAuthorized" if protocol == "ocpp1.6" else "Local")


@BOTH
async def test_what_happens_offline_is_told_later_in_order(protocol: str) -> None:
    async with central_system() as central, _station(central, protocol) as cs:
        port, central.port = central.port, 1
        cs.url = central.url("CS-1")
        cs.drop()
        await cs.until(lambda: not cs.accepted)
        charge = await cs.begin("CARD", wh=50)
        await cs.until(lambda: charge.meter_stop is not None)
        assert central.said("StartTransaction", "TransactionEvent") == []
        central.port = port
        cs.url = central.url("CS-1")
        await cs.settled(charge)
        actions = [a for _, a, _ in central.calls if a not in {"StatusNotification", "Heartbeat"}]
        if protocol == "ocpp1.6":
            assert actions[2:] == ["StartTransaction", "StopTransaction"]
        else:
            events = central.said("TransactionEvent")
            assert [e["eventType"] for e in events] == ["Started", "Ended"]
            assert [e["seqNo"] for e in events] == [0, 1]
            assert all(e["offline"] for e in events)


@BOTH
@pytest.mark.parametrize("same_id", [True, False])
async def test_a_message_whose_answer_was_lost_is_sent_again(protocol: str, same_id: bool) -> None:
    async with central_system() as central:
        faults = Faults(lost_answers=1, same_id=same_id)
        async with _station(central, protocol, faults=faults) as cs:
            await cs.settled(await cs.charge("CARD", wh=400))
            starts = [
                (i, p)
                for i, a, p in central.calls
                if a == "StartTransaction" or p.get("eventType") == "Started"
            ]
            assert len(starts) == 2
            assert starts[0][1] == starts[1][1]
            assert (starts[0][0] == starts[1][0]) is same_id
            assert cs.boots == 2


async def test_a_doubled_start_carries_a_message_id_of_its_own() -> None:
    faults = Faults(duplicate_start=True)
    async with central_system() as central, _station(central, "ocpp1.6", faults=faults) as cs:
        await cs.settled(await cs.charge("CARD", wh=400))
        ids = [i for i, a, _ in central.calls if a == "StartTransaction"]
        assert len(ids) == len(set(ids)) == 2


async def test_a_remote_start_and_stop_are_obeyed_in_16() -> None:
    async with central_system() as central, _station(central, "ocpp1.6") as cs:
        answer = await central.tell(c16.RemoteStartTransaction(id_tag="APP", connector_id=1))
        assert answer.status == "Accepted"
        await cs.until(lambda: bool(cs.charges and cs.charges[0].number))
        number = cs.charges[0].number
        await central.tell(c16.RemoteStopTransaction(transaction_id=number))
        await cs.settled(cs.charges[0])
        assert central.said("StopTransaction")[0]["reason"] == "Remote"
        refused = await central.tell(c16.RemoteStopTransaction(transaction_id=number))
        assert refused.status == "Rejected"


async def test_a_remote_start_and_stop_are_obeyed_in_201() -> None:
    async with central_system() as central, _station(central, "ocpp2.0.1") as cs:
        await central.tell(
            c201.RequestStartTransaction(
                id_token={"idToken": "APP", "type": "Central"}, remote_start_id=7, evse_id=1
            )
        )
        await cs.until(lambda: bool(cs.charges and cs.charges[0].told["start"]))
        started = central.said("TransactionEvent")[0]
        assert started["transactionInfo"]["remoteStartId"] == 7
        await central.tell(c201.RequestStopTransaction(transaction_id=cs.charges[0].ref))
        await cs.settled(cs.charges[0])
        assert central.said("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "Remote"


async def test_a_reset_ends_the_transaction_disconnects_and_boots_again() -> None:
    async with central_system() as central, _station(central, "ocpp1.6") as cs:
        charge = await cs.charge("CARD")
        await cs.until(lambda: charge.number is not None)
        await central.tell(c16.Reset(type="Hard"))
        await cs.until(lambda: cs.boots == 2)
        await cs.settled(charge)
        assert len(central.links) == 2
        assert central.said("StopTransaction")[0]["reason"] == "HardReset"


async def test_a_lingering_socket_overlaps_with_the_new_one() -> None:
    faults = Faults(linger=True)
    async with central_system() as central, _station(central, "ocpp1.6", faults=faults) as cs:
        old = cs.wire
        cs.drop()
        await cs.until(lambda: cs.boots == 2)
        assert old
        await old.socket.wait_closed()
        assert cs.wire is not old
        assert (await central.tell(c16.GetLocalListVersion())).list_version == 0


async def test_configuration_is_read_and_changed() -> None:
    async with central_system() as central, _station(central, "ocpp1.6") as cs:
        await central.tell(c16.ChangeConfiguration(key="HeartbeatInterval", value="77"))
        answer = await central.tell(c16.GetConfiguration(key=["HeartbeatInterval", "Nonsense"]))
        assert answer.configuration_key[0]["value"] == "77"
        assert answer.unknown_key == ["Nonsense"]
        read_only = await central.tell(c16.ChangeConfiguration(key="NumberOfConnectors", value="9"))
        assert read_only.status == "Rejected"
        assert cs.settings["NumberOfConnectors"] == "1"


async def test_variables_are_read_and_set() -> None:
    async with central_system() as central, _station(central, "ocpp2.0.1"):
        model = {"component": {"name": "ChargingStation"}, "variable": {"name": "Model"}}
        nothing = {"component": {"name": "No"}, "variable": {"name": "Such"}}
        answer = await central.tell(c201.GetVariables(get_variable_data=[model, nothing]))
        statuses = [r["attribute_status"] for r in answer.get_variable_result]
        assert statuses == ["Accepted", "UnknownVariable"]


async def test_a_profile_lowers_the_power() -> None:
    async with central_system() as central, _station(central, "ocpp1.6") as cs:
        schedule = {
            "charging_rate_unit": "A",
            "charging_schedule_period": [{"start_period": 0, "limit": 6}],
        }
        profile = {
            "charging_profile_id": 1,
            "stack_level": 0,
            "charging_profile_purpose": "TxDefaultProfile",
            "charging_profile_kind": "Absolute",
            "charging_schedule": schedule,
        }
        await central.tell(c16.SetChargingProfile(connector_id=0, cs_charging_profiles=profile))
        assert cs.evses[1].limit_w == 4140


async def test_muted_commands_get_no_answer_and_refused_ones_a_refusal() -> None:
    faults = Faults(reject=frozenset({"UnlockConnector"}))
    async with central_system() as central, _station(central, "ocpp1.6", faults=faults) as cs:
        answer = await central.tell(c16.UnlockConnector(connector_id=1))
        assert answer.status == "UnlockFailed"
        assert [h.action for h in cs.heard] == ["UnlockConnector"]


async def test_a_full_car_takes_nothing_more() -> None:
    car = Car(capacity_wh=10_000, soc=99)
    assert car.draw(3_600_000, 22_000) <= 100 * 3_600_000
    while not car.full:
        car.draw(3_600_000, 22_000)
    assert car.power_w(22_000) == 0
    assert car.draw(3_600_000, 22_000) == 0
