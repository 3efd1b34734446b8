"""The committed wire types are what the generator writes from the published schemas."""

from pathlib import Path
from typing import Any

import pytest

from hub.ocpp import generate, wire16, wire201
from hub.ocpp.versions import Version

HERE = Path(generate.__file__).parent


def test_the_wire_modules_are_what_the_generator_writes(tmp_path: Any) -> None:
    generate.main([str(tmp_path)])
    for name in generate.FILES.values():
        assert (tmp_path / name).read_text() == (HERE / name).read_text(), name


@pytest.mark.parametrize(("version", "messages"), [(Version.V16, 78), (Version.V201, 128)])
def test_every_schema_file_has_a_type(version: Any, messages: Any) -> None:
    module = {Version.V16: wire16, Version.V201: wire201}[version]
    files = generate.schema_files(version)
    assert len(files) == messages
    assert {kind.__name__ for pair in module.MESSAGES.values() for kind in pair} == set(files)


def test_a_shared_definition_is_one_type() -> None:
    in_event = wire201.TransactionEventRequest.__annotations__["meterValue"]
    in_meters = wire201.MeterValuesRequest.__annotations__["meterValue"]
    assert "MeterValueType" in in_event
    assert "MeterValueType" in in_meters


def test_a_schema_type_the_writer_does_not_know_stops_it() -> None:
    with pytest.raises(KeyError):
        generate.Writer().message("XRequest", {"properties": {"a": {"type": "null"}}})
