"""What may be sent to stations, as the API shows and checks it."""

from __future__ import annotations

import pytest

from hub.kernel import NotFound
from hub.ocpp.catalogue import ActionCatalogue
from hub.ocpp.dialects import DIALECTS
from hub.ocpp.schema import CSMS_ACTIONS, STATION_ACTIONS
from hub.ocpp.versions import Version


def test_every_action_of_a_station_is_answered_in_every_version() -> None:
    for version, dialect in DIALECTS.items():
        assert set(dialect.inbound) == set(STATION_ACTIONS[version])


def test_every_neutral_command_is_an_action_of_its_version() -> None:
    for version, dialect in DIALECTS.items():
        for outbound in dialect.outbound.values():
            assert outbound.action in CSMS_ACTIONS[version]


def test_the_catalogue_lists_what_a_csms_may_send() -> None:
    found = ActionCatalogue().actions("ocpp1.6")
    assert found == sorted(found)
    assert {"Reset", "DataTransfer", "SignedUpdateFirmware"} <= set(found)
    assert "Heartbeat" not in found
    assert ActionCatalogue().actions("ocpp9") == []


def test_the_catalogue_says_what_is_wrong_with_a_payload() -> None:
    catalogue = ActionCatalogue()
    assert catalogue.check("ocpp1.6", "Reset", b'{"type":"Hard"}') is None
    assert "type" in (catalogue.check("ocpp1.6", "Reset", b"{}") or "")
    assert "no action" in (catalogue.check("ocpp1.6", "Nonsense", b"{}") or "")
    assert "other side" in (catalogue.check("ocpp1.6", "Heartbeat", b"{}") or "")


def test_the_catalogue_gives_the_published_schema() -> None:
    assert "type" in ActionCatalogue().schema("ocpp2.0.1", "Reset")["properties"]
    with pytest.raises(NotFound):
        ActionCatalogue().schema("ocpp9", "Reset")
    assert Version.V16 in DIALECTS
