"""A CPO's file becomes our locations; what was mended, refused or doubted is told by path."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.runtime import Database
from hub.stations import location
from hub.stations.feed import Feed, FeedError, Imported, import_feed, read_feed
from hub.tariffs import load_tariff


def _location(**more: Any) -> dict[str, Any]:
    connector = {
        "id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
        "max_voltage": 230, "max_amperage": 32, "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    evse = {
        "uid": "E1", "evse_id": "DE*ABC*E1", "status": "AVAILABLE", "connectors": [connector],
        "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {
        "country_code": "DE", "party_id": "ABC", "id": "L1", "publish": True, "address": "Way 1",
        "city": "Town", "country": "DEU", "time_zone": "Europe/Berlin", "evses": [evse],
        "coordinates": {"latitude": "48.1", "longitude": "9.1"},
        "last_updated": "2026-01-01T00:00:00Z",
    } | more  # fmt: skip


def _real_network() -> bytes:
    return Path(os.environ["HUB_TEST_DATA"], "real/ludwigsburg_locations.json").read_bytes()


def _with_evse(**more: Any) -> dict[str, Any]:
    location = _location()
    location["evses"][0] |= more
    return location


def _with_connector(**more: Any) -> dict[str, Any]:
    location = _location()
    location["evses"][0]["connectors"][0] |= more
    return location


def _read(*locations: object) -> Feed:
    return read_feed(json.dumps(list(locations)).encode())


def test_a_correct_location_is_taken_without_a_word() -> None:
    feed = _read(_location())
    assert (feed.mended, feed.refused, feed.doubts) == ((), (), ())
    (location,) = feed.locations
    assert location.coordinates.latitude == Decimal("48.1")
    assert location.evses[0].connectors[0].max_amperage == 32


@pytest.mark.parametrize("wrap", [None, "data", "items", "locations"])
def test_every_wrapping_of_a_list_is_read(wrap: str | None) -> None:
    body: object = _location() if wrap is None else {wrap: [_location()]}
    assert len(read_feed(json.dumps(body).encode()).locations) == 1


@pytest.mark.parametrize(
    ("location", "path", "reads"),
    [
        (_location(country="DE"), "[0].country", lambda x: x.country == "DEU"),
        (_location(time_zone=None), "[0].time_zone", lambda x: x.time_zone == "Europe/Berlin"),
        (_location(party_id=None), "[0].party_id", lambda x: x.party_id == "ABC"),
        (_location(publish=None), "[0].publish", lambda x: x.publish is False),
        (_location(publish=None, type="ON_STREET"), "[0].publish", lambda x: x.publish is True),
        (_location(name="A\r\nB"), "[0].name", lambda x: x.name == "A B"),
        (_location(name=""), "[0].name", lambda x: x.name is None),
        (_location(address="x" * 50), "[0].address", lambda x: len(x.address) == 45),
        (_location(coordinates={"latitude": 48.25, "longitude": "9"}), "[0].coordinates.latitude",
         lambda x: x.coordinates.latitude == Decimal("48.25")),
        (_location(surprise=1), "[0].surprise", lambda x: x.id == "L1"),
        (_location(last_updated=None), "[0].last_updated", lambda x: x.last_updated is None),
        (_with_evse(status="Free"), "[0].evses[0].status", lambda x: x.evses[0].status == "UNKNOWN"),
        (_with_evse(uid=None), "[0].evses[0].uid", lambda x: x.evses[0].uid == "DE*ABC*E1"),
        (_with_evse(uid=77), "[0].evses[0].uid", lambda x: x.evses[0].uid == "77"),
        (_with_evse(floor=-1), "[0].evses[0].floor", lambda x: x.evses[0].floor_level == "-1"),
        (_with_connector(max_voltage=None, voltage=231), "[0].evses[0].connectors[0].voltage",
         lambda x: x.evses[0].connectors[0].max_voltage == 231),
        (_with_connector(max_voltage=400, max_electric_power=22000),
         "[0].evses[0].connectors[0].max_voltage",
         lambda x: x.evses[0].connectors[0].max_voltage == 230),
        (_with_connector(max_electric_power=22), "[0].evses[0].connectors[0].max_electric_power",
         lambda x: x.evses[0].connectors[0].max_electric_power == 22_000),
        (_with_connector(tariff_id="T"), "[0].evses[0].connectors[0].tariff_id",
         lambda x: x.evses[0].connectors[0].tariff_ids == ("T",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_plain_is_mended_and_told(location: Any, path: str, reads: Any) -> None:
    feed = _read(location)
    assert path in {note.path for note in feed.mended}
    assert reads(feed.locations[0])
    assert feed.refused == ()


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (_location(address=None), "[0].address"),
        (_location(coordinates=None), "[0].coordinates"),
        (_location(coordinates={"latitude": "91", "longitude": "0"}), "[0].coordinates.latitude"),
        (_location(coordinates={"latitude": "NaN", "longitude": "0"}), "[0].coordinates.latitude"),
        (_location(time_zone="Mars/Base"), "[0].time_zone"),
        (_location(time_zone="../../etc/passwd"), "[0].time_zone"),
        (_location(country="Germany"), "[0].country"),
        (_location(id=None), "[0].id"),
        ("a text", "[0]"),
    ],
)
def test_a_location_without_sense_is_refused_by_path(location: Any, path: str) -> None:
    feed = _read(location, _location(id="L2", evses=[]))
    assert [note.path for note in feed.refused] == [path]
    assert [known.id for known in feed.locations] == ["L2"]


def test_a_bad_evse_does_not_cost_its_neighbours() -> None:
    location = _location()
    good = location["evses"][0]
    location["evses"] = [good, {**good, "uid": "E2", "connectors": []}, {**good, "uid": "e1"}]
    feed = _read(location)
    assert [evse.uid for evse in feed.locations[0].evses] == ["E1"]
    assert {note.path for note in feed.refused} == {"[0].evses[1].connectors", "[0].evses[2].uid"}


def _tariff(price: str = "0.59", **more: Any) -> dict[str, Any]:
    element = {"price_components": [{"type": "ENERGY", "price": Decimal(price), "step_size": 1}]}
    return {"id": "T1", "currency": "EUR", "elements": [element], **more}


def _raw(location: dict[str, Any]) -> bytes:
    return json.dumps([location], default=float).encode()


def test_inline_tariffs_become_tariffs_of_the_connectors_exactly() -> None:
    feed = read_feed(_raw(_with_evse(tariffs=[_tariff()])))
    assert feed.locations[0].evses[0].connectors[0].tariff_ids == ("T1",)
    (tariff,) = feed.tariffs
    assert (tariff.country_code, tariff.party_id) == ("DE", "ABC")
    assert tariff.elements[0].price_components[0].price == Decimal("0.59")


def test_one_tariff_id_with_two_contents_becomes_two_tariffs() -> None:
    location = _with_evse(tariffs=[_tariff()])
    second = {**location["evses"][0], "uid": "E2", "tariffs": [_tariff("0.79")]}
    location["evses"].append(second)
    feed = read_feed(_raw(location))
    assert [t.id for t in feed.tariffs] == ["T1", "T1~"]
    assert [e.tariff_id for e in feed.locations[0].evses] == ["T1", "T1~"]


def test_an_end_at_the_last_second_is_moved_to_the_exclusive_end() -> None:
    tariff = _tariff()
    tariff["elements"][0]["restrictions"] = [{"start_time": "08:00:00", "end_time": "19:59:59"}]
    feed = read_feed(_raw(_with_evse(tariffs=[tariff])))
    rule = feed.tariffs[0].elements[0].restrictions
    assert rule
    assert (rule.start_time, rule.end_time) == (8 * 3600, 20 * 3600)


def test_a_price_that_can_never_apply_is_doubted() -> None:
    tariff = _tariff()
    late = {
        "price_components": [{"type": "ENERGY", "price": 9, "step_size": 1}],
        "restrictions": {"min_duration": 3600},
    }
    tariff["elements"].append(late)
    (doubt,) = read_feed(_raw(_with_evse(tariffs=[tariff]))).doubts
    assert doubt.path == "tariffs[T1].elements[1]"
    tariff["elements"].reverse()
    assert read_feed(_raw(_with_evse(tariffs=[tariff]))).doubts == ()


def test_a_broken_inline_tariff_is_refused_and_its_evse_kept() -> None:
    feed = read_feed(_raw(_with_evse(tariffs=[_tariff(elements=[])])))
    assert [note.path for note in feed.refused] == ["[0].evses[0].tariffs[0].elements"]
    assert feed.locations[0].evses[0].tariff_id is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'"x"', b"\xff\xfe"])
def test_a_file_without_locations_is_an_error(body: bytes) -> None:
    with pytest.raises(FeedError):
        read_feed(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_MEMBERS = st.sampled_from(sorted(_location()))
_EVSE_MEMBERS = st.sampled_from(
    ["uid", "status", "connectors", "tariffs", "capabilities", "floor", "coordinates"]
)


@settings(max_examples=400, deadline=None)
@given(_MEMBERS, _EVSE_MEMBERS, _JSON, _JSON)
def test_whatever_stands_in_a_member_the_reader_answers(
    member: str, evse_member: str, value: Any, inner: Any
) -> None:
    location = _with_evse(**{evse_member: inner})
    location[member] = value
    feed = _read(location)
    assert len(feed.locations) + len(feed.refused) >= 1


@pytest.mark.skipif("HUB_TEST_DATA" not in os.environ, reason="HUB_TEST_DATA names no folder")
def test_a_real_network_is_read_whole() -> None:
    feed = read_feed(_real_network())
    assert (len(feed.locations), sum(len(x.evses) for x in feed.locations)) == (100, 273)
    assert (len(feed.tariffs), feed.refused) == (5, ())
    assert all(c.max_voltage == 230 for x in feed.locations for e in x.evses
               for c in e.connectors if c.power_type == "AC_3_PHASE")  # fmt: skip


async def test_a_feed_is_stored_once_and_again_without_change(database: Database) -> None:
    feed = read_feed(_raw(_with_evse(tariffs=[_tariff()])))
    async with database.tx() as tx:
        assert await import_feed(tx, feed) == Imported(locations=1, changed=1, tariffs=1)
    async with database.tx() as tx:
        assert await import_feed(tx, feed) == Imported(locations=1, changed=0, tariffs=1)
        place = await location(tx, "L1")
        tariff = await load_tariff(tx, "T1")
    assert place.evses[0].connectors[0].tariff_ids == ("T1",)
    assert place.last_updated
    assert tariff.elements[0].price_components[0].price == Decimal("0.59")


@pytest.mark.skipif("HUB_TEST_DATA" not in os.environ, reason="HUB_TEST_DATA names no folder")
async def test_a_real_network_is_stored_whole(database: Database) -> None:
    body = _real_network()
    async with database.tx() as tx:
        assert (await import_feed(tx, read_feed(body))).changed == 100
    async with database.tx() as tx:
        place = await location(tx, "1588625")
    assert [evse.uid for evse in place.evses] == ["8976020", "8976021"]
    assert place.evses[0].tariff_id == "22132ac"
