"""What the dialects read: units, multipliers, status words, odd numbers and clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.ocpp.stations import AT, energy, event

from hub.charging.messages import MetersSampled, TransactionEnded, TransactionStarted
from hub.ocpp.dialect import Heard, Message
from hub.ocpp.dialects import DIALECTS
from hub.ocpp.errors import PayloadError
from hub.ocpp.payload import read
from hub.ocpp.versions import Version
from hub.runtime import PLATFORM
from hub.stations import StationId, StationRef
from hub.stations.messages import StatusReported

NOW = datetime(2026, 2, 1, tzinfo=UTC)
HEARD = Heard(StationRef(PLATFORM, StationId("CP1")), NOW)


def said(version: Version, action: str, payload: object) -> Message:
    """The message that a payload is read as."""
    inbound = DIALECTS[version].inbound[action]
    value: Any = read(inbound.wire, msgspec.json.encode(payload)).value
    (found,) = inbound.messages(value, HEARD)
    return found


UNITS_16: dict[str, tuple[dict[str, str], str, str]] = {
    "Wh": ({"value": "5000", "unit": "Wh"}, "Wh", "5000"),
    "no unit": ({"value": "5000"}, "Wh", "5000"),
    "kWh": ({"value": "5.000", "unit": "kWh"}, "Wh", "5000"),
    "W": ({"value": "11000", "unit": "W", "measurand": "Power.Active.Import"}, "W", "11000"),
    "kW": ({"value": "11.04", "unit": "kW", "measurand": "Power.Active.Import"}, "W", "11040"),
    "power without unit": ({"value": "7", "measurand": "Power.Active.Import"}, "W", "7"),
    "kvarh": (
        {"value": "1", "unit": "kvarh", "measurand": "Energy.Reactive.Import.Register"},
        "varh", "1000",
    ),
    "current": ({"value": "16.0", "measurand": "Current.Import"}, "A", "16"),
    "Celcius": (
        {"value": "21", "unit": "Celcius", "measurand": "Temperature"}, "Celsius", "21",
    ),
    "22 three decimals": ({"value": "5995441.000", "unit": "Wh"}, "Wh", "5995441"),
    "25 unknown unit": ({"value": "50", "unit": "Hz", "measurand": "Frequency"}, "Hertz", "50"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNITS_16.values(), ids=UNITS_16)
def test_A3_units_come_to_base_units_1_6(case: tuple[dict[str, str], str, str]) -> None:
    sample, unit, value = case
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [sample]}]}
    found = said(Version.V16, "MeterValues", payload)
    assert isinstance(found, MetersSampled)
    assert [(r.unit, r.value) for r in found.readings] == [(unit, Decimal(value))]


UNITS_201: dict[str, tuple[dict[str, Any], str, str]] = {
    "plain": ({"value": 5000}, "Wh", "5000"),
    "kWh": ({"value": 5.25, "unitOfMeasure": {"unit": "kWh"}}, "Wh", "5250"),
    "multiplier": ({"value": 5.25, "unitOfMeasure": {"multiplier": 3}}, "Wh", "5250"),
    "both": ({"value": 5, "unitOfMeasure": {"unit": "kWh", "multiplier": 1}}, "Wh", "50000"),
    "negative": ({"value": 5000, "unitOfMeasure": {"multiplier": -3}}, "Wh", "5"),
    "kW": (
        {"value": 11.5, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}},
        "W", "11500",
    ),
    "exact": ({"value": 0.1, "unitOfMeasure": {"unit": "kWh"}}, "Wh", "100"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNITS_201.values(), ids=UNITS_201)
def test_A3_units_and_multipliers_come_to_base_units_2_0_1(
    case: tuple[dict[str, Any], str, str],
) -> None:
    sample, unit, value = case
    payload = {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [sample]}]}
    found = said(Version.V201, "MeterValues", payload)
    assert isinstance(found, MetersSampled)
    assert [(r.unit, r.value) for r in found.readings] == [(unit, Decimal(value))]


@pytest.mark.parametrize("value", ["", "abc", "NaN", "Infinity", "1e400"])
def test_a_value_that_is_no_number_is_left_out(value: str) -> None:
    samples = [{"value": value}, {"value": "7"}]
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": samples}]}
    found = said(Version.V16, "MeterValues", payload)
    assert isinstance(found, MetersSampled)
    assert [r.value for r in found.readings] == [Decimal(7)]


def test_signed_values_are_kept_word_for_word_1_6() -> None:
    sample = {"value": "OCMF|{}|{}", "format": "SignedData", "context": "Transaction.End"}
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [sample]}]}
    found = said(Version.V16, "MeterValues", payload)
    assert isinstance(found, MetersSampled)
    assert [r.signed for r in found.readings] == ["OCMF|{}|{}"]


def test_a_signed_value_is_kept_beside_its_plain_one_2_0_1() -> None:
    values = energy(5)
    values[0]["sampledValue"][0]["signedMeterValue"] = {
        "signedMeterData": "SIG", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "",
    }  # fmt: skip
    found = said(Version.V201, "MeterValues", {"evseId": 1, "meterValue": values})
    assert isinstance(found, MetersSampled)
    assert [(r.value, r.signed) for r in found.readings] == [
        (Decimal(5), None),
        (Decimal(5), "SIG"),
    ]


STATUSES_16 = {
    "Available": "AVAILABLE", "Preparing": "AVAILABLE", "Charging": "CHARGING",
    "SuspendedEV": "CHARGING", "SuspendedEVSE": "CHARGING", "Finishing": "CHARGING",
    "Reserved": "RESERVED", "Unavailable": "INOPERATIVE", "Faulted": "OUTOFORDER",
    "Occupied": "UNKNOWN",
}  # fmt: skip


@pytest.mark.parametrize(("word", "status"), STATUSES_16.items(), ids=STATUSES_16)
def test_L_8_status_words_1_6(word: str, status: str) -> None:
    payload = {"connectorId": 2, "errorCode": "NoError", "status": word}
    found = said(Version.V16, "StatusNotification", payload)
    assert isinstance(found, StatusReported)
    assert (found.evse, found.connector, found.status, found.raw) == (2, 1, status, word)
    assert found.error is None
    assert found.at == NOW


STATUSES_201 = {
    "Available": "AVAILABLE", "Occupied": "CHARGING", "Reserved": "RESERVED",
    "Unavailable": "INOPERATIVE", "Faulted": "OUTOFORDER",
}  # fmt: skip


@pytest.mark.parametrize(("word", "status"), STATUSES_201.items(), ids=STATUSES_201)
def test_L_8_status_words_2_0_1(word: str, status: str) -> None:
    payload = {"timestamp": AT, "connectorStatus": word, "evseId": 1, "connectorId": 2}
    found = said(Version.V201, "StatusNotification", payload)
    assert isinstance(found, StatusReported)
    assert (found.evse, found.connector, found.status) == (1, 2, status)


CLOCKS = {
    AT: datetime(2026, 1, 1, tzinfo=UTC),
    "2026-01-01T01:00:00+01:00": datetime(2026, 1, 1, tzinfo=UTC),
    "1970-01-01T00:05:00Z": datetime(1970, 1, 1, 0, 5, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1970, 1, 1, tzinfo=UTC),
    "9999-12-31T23:59:59Z": datetime(1970, 1, 1, tzinfo=UTC),
    "yesterday": datetime(1970, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize(("clock", "at"), CLOCKS.items(), ids=CLOCKS)
def test_14_what_a_stations_clock_says_is_kept_with_the_time_of_receipt(
    clock: str, at: datetime
) -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": clock}
    found = said(Version.V16, "StartTransaction", payload)
    assert isinstance(found, TransactionStarted)
    assert (found.at, found.received_at) == (at, NOW)


def test_6_an_overflown_transaction_id_is_read() -> None:
    payload = {"transactionId": 2**63 - 1, "meterStop": 5, "timestamp": AT}
    found = said(Version.V16, "StopTransaction", payload)
    assert isinstance(found, TransactionEnded)
    assert found.transaction.number == 2**63 - 1
    assert found.reason == "Local"


@pytest.mark.parametrize("number", [-1, 2**31, 2**63])
def test_an_evse_number_that_cannot_be_is_refused(number: int) -> None:
    with pytest.raises(PayloadError):
        said(Version.V201, "MeterValues", {"evseId": number, "meterValue": energy(1)})


def test_an_ended_event_carries_registers_reason_and_place() -> None:
    payload = event("Ended", 4, evse={"id": 2, "connectorId": 1}, offline=True,
                    meterValue=energy(9), info={"stoppedReason": "EVDisconnected"})  # fmt: skip
    found = said(Version.V201, "TransactionEvent", payload)
    assert isinstance(found, TransactionEnded)
    assert (found.transaction.ref, found.seq, found.evse, found.connector, found.reason) == (
        "tx-1", 4, 2, 1, "EVDisconnected",
    )  # fmt: skip
    assert found.offline
    assert [r.value for r in found.readings] == [Decimal(9)]
