"""Payloads read by the schema, or leniently with every deviation named (quirks 6, 14, 22-27)."""

import timeit
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from hub.ocpp import wire16, wire201
from hub.ocpp.errors import PayloadError
from hub.ocpp.frames import Call, encode_payload, split
from hub.ocpp.lenient import UNREADABLE_TIME, Deviation
from hub.ocpp.payload import read, read_strictly
from hub.ocpp.versions import Fault, Version

AT = '"timestamp":"2026-01-01T00:00:00Z"'
START = '{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}'


def meters(sample: Any = '{"value":"1"}', at: Any = AT, more: Any = "") -> Any:
    return f'{{"connectorId":1,"meterValue":[{{{at},"sampledValue":[{sample}]}}]{more}}}'.encode()


def event(**members: Any) -> Any:
    whole = {
        "eventType": "Updated",
        "timestamp": "2026-01-01T00:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 1,
        "transactionInfo": {"transactionId": "t"},
    }
    return msgspec.json.encode(whole | members)


STRICT_FAULTS: dict[str, tuple[Any, bytes, Fault, str]] = {
    "missing": (wire16.AuthorizeRequest, b"{}", Fault.OCCURRENCE, "$"),
    "unknown": (wire16.AuthorizeRequest, b'{"idTag":"A","x":1}', Fault.FORMAT, "$"),
    "not an object": (wire16.AuthorizeRequest, b"[]", Fault.FORMAT, "$"),
    "null payload": (wire16.AuthorizeRequest, b"null", Fault.FORMAT, "$"),
    "null": (wire16.AuthorizeRequest, b'{"idTag":null}', Fault.TYPE, "$.idTag"),
    "number for text": (wire16.AuthorizeRequest, b'{"idTag":1}', Fault.TYPE, "$.idTag"),
    "too long": (
        wire16.AuthorizeRequest,
        b'{"idTag":"' + b"A" * 21 + b'"}',
        Fault.PROPERTY,
        "$.idTag",
    ),
    "surrogate": (wire16.AuthorizeRequest, b'{"idTag":"\\ud800"}', Fault.FORMAT, "$"),
    "NUL": (wire16.AuthorizeRequest, b'{"idTag":"A\\u0000"}', Fault.PROPERTY, "$"),
    "enum": (
        wire16.MeterValuesRequest,
        meters('{"value":"1","unit":"Hz"}'),
        Fault.PROPERTY,
        "$.meterValue[0].sampledValue[0].unit",
    ),
    "empty list": (
        wire16.MeterValuesRequest,
        b'{"connectorId":1,"meterValue":[]}',
        Fault.OCCURRENCE,
        "$.meterValue",
    ),
    "time without offset": (
        wire16.MeterValuesRequest,
        meters(at='"timestamp":"2026-01-01T00:00:00"'),
        Fault.PROPERTY,
        "$.meterValue[0].timestamp",
    ),
    "no time": (
        wire16.MeterValuesRequest,
        meters(at='"timestamp":"soon"'),
        Fault.PROPERTY,
        "$.meterValue[0].timestamp",
    ),
    "text for integer": (
        wire201.TransactionEventRequest,
        event(cableMaxCurrent="x"),
        Fault.TYPE,
        "$.cableMaxCurrent",
    ),
    "64 bits": (
        wire16.CancelReservationRequest,
        b'{"reservationId":9223372036854775808}',
        Fault.PROPERTY,
        "$.reservationId",
    ),
    "fraction": (
        wire16.CancelReservationRequest,
        b'{"reservationId":1.5}',
        Fault.TYPE,
        "$.reservationId",
    ),
    "not finite": (
        wire201.CostUpdatedRequest,
        b'{"totalCost":"NaN","transactionId":"t"}',
        Fault.PROPERTY,
        "$",
    ),
    "magnitude": (
        wire201.CostUpdatedRequest,
        b'{"totalCost":1e999999999,"transactionId":"t"}',
        Fault.PROPERTY,
        "$",
    ),
    "above": (
        wire201.NotifyEVChargingNeedsRequest,
        (
            b'{"evseId":1,"chargingNeeds":{"requestedEnergyTransfer":"DC",'
            b'"dcChargingParameters":{"evMaxCurrent":1,"evMaxVoltage":1,"stateOfCharge":101}}}'
        ),
        Fault.PROPERTY,
        "$.chargingNeeds.dcChargingParameters.stateOfCharge",
    ),
    "below": (
        wire201.NotifyEVChargingNeedsRequest,
        (
            b'{"evseId":1,"chargingNeeds":{"requestedEnergyTransfer":"DC",'
            b'"dcChargingParameters":{"evMaxCurrent":1,"evMaxVoltage":1,"stateOfCharge":-1}}}'
        ),
        Fault.PROPERTY,
        "$.chargingNeeds.dcChargingParameters.stateOfCharge",
    ),
    "steps": (
        wire16.GetCompositeScheduleResponse,
        (
            b'{"status":"Accepted","chargingSchedule":{"chargingRateUnit":"A",'
            b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":16.15}]}}'
        ),
        Fault.PROPERTY,
        "$.chargingSchedule.chargingSchedulePeriod[0]",
    ),
}


@pytest.mark.parametrize("name", STRICT_FAULTS)
def test_a_strict_reading_names_the_fault_and_the_member(name: Any) -> None:
    kind, payload, fault, path = STRICT_FAULTS[name]
    with pytest.raises(PayloadError) as refused:
        read(kind, payload, strict=True)
    assert refused.value.fault is fault
    assert refused.value.path == path


def test_a_payload_by_the_schema_has_no_deviations() -> None:
    reading = read(wire16.MeterValuesRequest, meters())
    assert reading.deviations == ()
    assert reading.value.meterValue[0].timestamp == datetime(2026, 1, 1, tzinfo=UTC)
    assert reading.value.transactionId is msgspec.UNSET


def test_numbers_keep_every_digit() -> None:
    payload = event(
        meterValue=[
            {
                "timestamp": "2026-01-01T00:00:00Z",
                "sampledValue": [{"value": msgspec.Raw(b"12345678.123456789012345600")}],
            }
        ]
    )
    value: Any = read(wire201.TransactionEventRequest, payload).value
    sampled = value.meterValue[0].sampledValue[0]
    assert str(sampled.value) == "12345678.123456789012345600"
    assert b"12345678.123456789012345600" in encode_payload(sampled)


def odd(kind: Any, payload: Any) -> Any:
    reading = read(kind, payload)
    return reading.value, [(d.kind, d.path) for d in reading.deviations]


S = "$.meterValue[].sampledValue[]"


def test_quirk_6_a_transaction_id_of_63_bits_is_by_the_schema() -> None:
    value, deviations = odd(
        wire16.MeterValuesRequest, meters(more=',"transactionId":9223372036854775807')
    )
    assert (value.transactionId, deviations) == (2**63 - 1, [])


@pytest.mark.parametrize(
    ("text", "at", "deviations"),
    [
        (
            "2026-01-01T00:00:00",
            datetime(2026, 1, 1, tzinfo=UTC),
            [("bad_time", "$.meterValue[].timestamp")],
        ),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC), []),
        ("0000-00-00T00:00:00Z", UNREADABLE_TIME, [("bad_time", "$.meterValue[].timestamp")]),
        ("", UNREADABLE_TIME, [("bad_time", "$.meterValue[].timestamp")]),
    ],
)
def test_quirk_14_times_are_read_as_far_as_they_can_be(text: Any, at: Any, deviations: Any) -> None:
    value, found = odd(wire16.MeterValuesRequest, meters(at=f'"timestamp":"{text}"'))
    assert value.meterValue[0].timestamp == at
    assert found == deviations


def test_quirk_22_a_meter_value_written_as_a_number_is_read_as_text() -> None:
    value, found = odd(wire16.MeterValuesRequest, meters('{"value":5995441.000}'))
    assert value.meterValue[0].sampledValue[0].value == "5995441.000"
    assert found == [("wrong_type", f"{S}.value")]


def test_quirk_23_a_single_object_stands_for_a_list_of_one() -> None:
    value, found = odd(
        wire16.MeterValuesRequest,
        f'{{"connectorId":1,"meterValue":{{{AT},"sampledValue":{{"value":"1"}}}}}}'.encode(),
    )
    assert value.meterValue[0].sampledValue[0].value == "1"
    assert found == [
        ("single_object", "$.meterValue"),
        ("single_object", "$.meterValue[].sampledValue"),
    ]


def test_quirk_24_a_configuration_value_may_be_a_number_or_a_boolean() -> None:
    value, found = odd(
        wire16.GetConfigurationResponse,
        b'{"configurationKey":[{"key":"NumberOfConnectors","readonly":"true","value":2},'
        b'{"key":"X","readonly":false,"value":true}]}',
    )
    assert [key.value for key in value.configurationKey] == ["2", "true"]
    assert value.configurationKey[0].readonly is True
    assert found == [
        ("wrong_type", "$.configurationKey[].readonly"),
        ("wrong_type", "$.configurationKey[].value"),
    ]


def test_quirk_25_a_value_outside_its_enum_stays_as_it_is() -> None:
    value, found = odd(
        wire16.StatusNotificationRequest,
        b'{"connectorId":1,"errorCode":"Error","status":"Available"}',
    )
    assert (value.errorCode, found) == ("Error", [("unknown_value", "$.errorCode")])


def test_quirk_26_an_over_long_serial_stays_whole() -> None:
    serial = "S" * 34
    value, found = odd(
        wire16.BootNotificationRequest,
        f'{{"chargePointVendor":"V","chargePointModel":"M","chargePointSerialNumber":"{serial}"}}'.encode(),
    )
    assert value.chargePointSerialNumber == serial
    assert found == [("too_long", "$.chargePointSerialNumber")]


def test_quirk_27_members_outside_the_schema_are_passed_over_and_named() -> None:
    _, found = odd(
        wire16.MeterValuesRequest, meters('{"value":"1","q":{"r":1}}', more=',"extra":1')
    )
    assert found == [("unknown_field", "$.extra"), ("unknown_field", f"{S}.q")]


def test_a_serial_padded_with_nul_characters_is_read_without_them() -> None:
    value, found = odd(
        wire16.BootNotificationRequest,
        b'{"chargePointVendor":"V","chargePointModel":"M\\u0000\\u0000"}',
    )
    assert (value.chargePointModel, found) == ("M", [("nul_character", "$.chargePointModel")])


def test_an_identifier_with_nul_characters_inside_is_refused_and_not_made_another_one() -> None:
    value, found = odd(wire16.AuthorizeRequest, b'{"idTag":"AB\\u0000"}')
    assert (value.idTag, found) == ("AB", [("nul_character", "$.idTag")])
    with pytest.raises(PayloadError) as refused:
        odd(wire16.AuthorizeRequest, b'{"idTag":"A\\u0000B"}')
    assert (refused.value.fault, refused.value.path) == (Fault.PROPERTY, "$.idTag")


def test_a_backslash_before_u0000_is_no_nul() -> None:
    value, found = odd(wire16.AuthorizeRequest, b'{"idTag":"\\\\u0000"}')
    assert (value.idTag, found) == ("\\u0000", [])


def test_null_for_an_optional_member_counts_as_absent() -> None:
    value, found = odd(wire16.MeterValuesRequest, meters(more=',"transactionId":null'))
    assert value.transactionId is msgspec.UNSET
    assert found == [("null", "$.transactionId")]


@pytest.mark.parametrize(
    ("written", "read_as", "kinds"),
    [
        ('"12"', 12, ["wrong_type"]),
        ("12.0", 12, ["wrong_type"]),
        ("1.5", msgspec.UNSET, ["wrong_type"]),
        ("{}", msgspec.UNSET, ["wrong_type"]),
    ],
)
def test_an_optional_integer_is_read_from_what_means_one(
    written: Any, read_as: Any, kinds: Any
) -> None:
    value, found = odd(wire16.MeterValuesRequest, meters(more=f',"transactionId":{written}'))
    assert value.transactionId == read_as
    assert [kind for kind, _ in found] == kinds


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('"meterStart":0', '"meterStart":"many"'), Fault.TYPE),
        (('"meterStart":0', '"meterStart":1.5'), Fault.TYPE),
        (('"meterStart":0', '"meterStart":9223372036854775808'), Fault.PROPERTY),
        (('"meterStart":0', '"meterStart":1e999999999'), Fault.PROPERTY),
        (('"meterStart":0', '"meterStart":null'), Fault.OCCURRENCE),
        (('"meterStart":0,', ""), Fault.OCCURRENCE),
        (('"meterStart":0', '"meterStart":[1]'), Fault.TYPE),
    ],
)
def test_a_register_that_cannot_be_read_is_never_guessed(change: Any, fault: Any) -> None:
    with pytest.raises(PayloadError) as refused:
        read(wire16.StartTransactionRequest, START.replace(*change).encode())
    assert refused.value.fault is fault
    assert refused.value.path == "$.meterStart"


def test_meter_values_that_cannot_be_read_refuse_their_message() -> None:
    with pytest.raises(PayloadError) as refused:
        read(wire201.TransactionEventRequest, event(meterValue=[{"sampledValue": 3}]))
    assert refused.value.path == "$.meterValue[].sampledValue[]"


def test_a_limit_between_tenths_is_rounded_and_named() -> None:
    value, found = odd(
        wire16.GetCompositeScheduleResponse,
        b'{"status":"Accepted","chargingSchedule":{"chargingRateUnit":"A",'
        b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":16.16}]}}',
    )
    period = value.chargingSchedule.chargingSchedulePeriod[0]
    assert period.limit == Decimal("16.2")
    assert found == [("precision", "$.chargingSchedule.chargingSchedulePeriod[].limit")]


def test_data_of_any_type_is_kept_raw() -> None:
    data = b'{"vendorId":"v","data":{"a":[1.50,null]}}'
    by_schema: Any = read(wire201.DataTransferRequest, data).value
    assert bytes(by_schema.data) == b'{"a":[1.50,null]}'
    odd_one = data[:-1] + b',"x":1}'
    value, found = odd(wire201.DataTransferRequest, odd_one)
    assert bytes(value.data) == b'{"a":[1.50,null]}'
    assert found == [("unknown_field", "$.x")]


def test_an_object_where_text_is_due_is_read_as_its_json() -> None:
    value, found = odd(wire16.DataTransferRequest, b'{"vendorId":"v","data":{"a": 1}}')
    assert (value.data, found) == ('{"a":1}', [("wrong_type", "$.data")])


def test_the_same_deviation_in_many_samples_is_named_once() -> None:
    sample = '{"value":"1","unit":"Hz"}'
    reading = read(wire16.MeterValuesRequest, meters(",".join([sample] * 50)))
    assert reading.deviations == (Deviation("unknown_value", f"{S}.unit"),)


def test_p3_a_meter_values_call_of_a_kilobyte_is_read_in_under_20_microseconds() -> None:
    sample = (
        '{"value":"1234.5","context":"Sample.Periodic","format":"Raw",'
        '"measurand":"Energy.Active.Import.Register","location":"Outlet","unit":"Wh"}'
    )
    frame = b'[2,"19223201","MeterValues",' + meters(",".join([sample] * 8)) + b"]"
    assert len(frame) > 1000

    def handle() -> Any:
        call = split(frame, Version.V16)
        assert isinstance(call, Call)
        read_strictly(wire16.MeterValuesRequest, call.payload)

    handle()
    assert min(timeit.repeat(handle, number=200, repeat=10)) / 200 < 20e-6
