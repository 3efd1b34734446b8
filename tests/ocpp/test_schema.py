"""Actions per version: who may ask for what (OCPP 1.6 section 4-5, security whitepaper; 2.0.1)."""

from typing import Any

import pytest

from hub.kernel import NotFound
from hub.ocpp.errors import PayloadError
from hub.ocpp.schema import (
    ACTIONS,
    CSMS_ACTIONS,
    STATION_ACTIONS,
    csms_action,
    json_schema,
    request_body,
    station_action,
)
from hub.ocpp.versions import Fault, Version


@pytest.mark.parametrize(
    ("version", "station", "csms", "every"), [(Version.V16, 14, 26, 39), (Version.V201, 25, 40, 64)]
)
def test_every_action_is_asked_by_someone(
    version: Any, station: Any, csms: Any, every: Any
) -> None:
    assert len(STATION_ACTIONS[version]) == station
    assert len(CSMS_ACTIONS[version]) == csms
    assert len(ACTIONS[version]) == every
    assert set(STATION_ACTIONS[version]) & set(CSMS_ACTIONS[version]) == {"DataTransfer"}


def test_an_unknown_action_is_not_implemented_and_ours_is_not_supported() -> None:
    with pytest.raises(PayloadError) as unknown:
        station_action(Version.V16, "TransactionEvent")
    assert unknown.value.fault is Fault.NOT_IMPLEMENTED
    with pytest.raises(PayloadError) as ours:
        station_action(Version.V16, "Reset")
    assert ours.value.fault is Fault.NOT_SUPPORTED
    with pytest.raises(PayloadError) as theirs:
        csms_action(Version.V201, "TransactionEvent")
    assert theirs.value.fault is Fault.NOT_SUPPORTED


@pytest.mark.parametrize("version", list(Version))
def test_the_json_schema_of_every_action_can_be_had(version: Any) -> None:
    for name in ACTIONS[version]:
        for part in ("request", "response"):
            assert json_schema(version, name, part)["type"] == "object"
    with pytest.raises(NotFound):
        json_schema(version, "../v16/schemas/Reset")


def test_a_payload_of_ours_goes_out_compact_in_the_schemas_order() -> None:
    body = request_body(
        Version.V16, "ChangeAvailability", b'{ "type": "Operative", "connectorId": 1 }'
    )
    assert body == b'{"connectorId":1,"type":"Operative"}'


def test_a_limit_of_ours_keeps_its_decimal_place() -> None:
    body = request_body(
        Version.V16,
        "RemoteStartTransaction",
        b'{"idTag":"A","chargingProfile":{"chargingProfileId":1,"stackLevel":0,'
        b'"chargingProfilePurpose":"TxProfile","chargingProfileKind":"Relative",'
        b'"chargingSchedule":{"chargingRateUnit":"A",'
        b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":16.10}]}}}',
    )
    assert b'"limit":16.10' in body


def test_p_03_custom_data_of_ours_goes_out_whole() -> None:
    body = request_body(
        Version.V201, "ClearCache", b'{"customData": {"vendorId": "v", "my_key": 1.50}}'
    )
    assert body == b'{"customData":{"vendorId":"v","my_key":1.50}}'


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"{}", Fault.OCCURRENCE),
        (b'{"type":"Soft","x":1}', Fault.FORMAT),
        (b'{"type":"Warm"}', Fault.PROPERTY),
        (b'{"type":1}', Fault.TYPE),
        (b"[", Fault.FORMAT),
    ],
)
def test_a_payload_of_ours_against_the_schema_is_refused(payload: Any, fault: Any) -> None:
    with pytest.raises(PayloadError) as refused:
        request_body(Version.V16, "Reset", payload)
    assert refused.value.fault is fault
