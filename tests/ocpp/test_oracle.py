"""Our typed reading against the published JSON schemas: same payloads accepted, same refused.

Known differences, each with a test of its own here: numbers in quotes (we read them), integers
written with a fraction of zero (we refuse; draft 6 does not), integers beyond 64 bits and numbers
beyond 10^32, NUL characters, lone surrogates, and times that are no RFC 3339 with an offset (we
refuse, a schema without a format check does not).
"""

import json
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.ocpp.errors import PayloadError
from hub.ocpp.frames import encode_payload
from hub.ocpp.generate import resolve, schema_files
from hub.ocpp.payload import read, read_strictly
from hub.ocpp.schema import ACTIONS
from hub.ocpp.versions import Version

MESSAGES = [
    (version, kind)
    for version in Version
    for a in ACTIONS[version].values()
    for kind in (a.request, a.response)
]
EVERY = pytest.mark.parametrize(
    ("version", "kind"), MESSAGES, ids=[f"{v}-{k.__name__}" for v, k in MESSAGES]
)
QUICK = settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TIMES = st.datetimes().map(lambda at: at.isoformat() + "Z")
TENTHS = st.integers(-9999, 9999).map(lambda n: Decimal(n) / 10)
NUMBERS = st.decimals(-(10**9), 10**9, places=3)


@cache
def schemas(version: Any) -> Any:
    return schema_files(version)


@cache
def oracle(version: Any, name: Any) -> Any:
    schema = json.loads(json.dumps(schemas(version)[name]), parse_float=Decimal)
    return jsonschema.validators.validator_for(schema)(schema)


class Exact(json.JSONEncoder):
    """JSON with Decimals as numbers."""

    def default(self, o: Any) -> Any:
        return float(o) if isinstance(o, Decimal) else super().default(o)


def to_json(value: Any) -> Any:
    return json.dumps(value, cls=Exact).encode()


def agree(version: Any, kind: Any, payload: Any) -> Any:
    """Whether both accept ``payload``; fails if they differ."""
    exact = json.loads(payload, parse_float=Decimal)
    refusal = jsonschema.exceptions.best_match(oracle(version, kind.__name__).iter_errors(exact))
    try:
        read_strictly(kind, payload)
        ours = None
    except PayloadError as error:
        ours = error
    assert (ours is None) == (refusal is None), (payload, ours, refusal and refusal.message)
    return ours is None


@cache
def valid(version: Any, name: Any) -> Any:
    """Payloads the schema of ``name`` accepts."""
    schema = schemas(version)[name]
    return _valid(schema, schema.get("definitions", {}))


def _valid(part: Any, definitions: Any) -> Any:  # noqa: PLR0911 - one return a type
    part = resolve(part, definitions)
    match part.get("type"):
        case "object":
            required = set(part.get("required", ()))
            members = {k: _valid(v, definitions) for k, v in part.get("properties", {}).items()}
            return st.fixed_dictionaries(
                {k: v for k, v in members.items() if k in required},
                optional={k: v for k, v in members.items() if k not in required},
            )
        case "array":
            low = part.get("minItems", 0)
            high = min(part.get("maxItems", 3), low + 2)
            return st.lists(_valid(part["items"], definitions), min_size=low, max_size=high)
        case "string" if "enum" in part:
            return st.sampled_from(part["enum"])
        case "string" if part.get("format") == "date-time":
            return TIMES
        case "string":
            return st.text(TEXT, max_size=min(part.get("maxLength", 30), 30))
        case "integer":
            low, high = int(part.get("minimum", -(2**40))), int(part.get("maximum", 2**40))
            return st.integers(low, high)
        case "number":
            return TENTHS if "multipleOf" in part else NUMBERS
        case "boolean":
            return st.booleans()
        case None:
            return st.sampled_from([None, 1, "x", [1], {"a": "b"}])


def places(value: Any, part: Any, definitions: Any, path: Any = ()) -> Any:
    """Every place in a payload, with the schema of what belongs there."""
    part = resolve(part, definitions)
    yield path, part
    if part.get("type") == "object":
        for key, inner in value.items():
            if key in part.get("properties", {}):
                yield from places(inner, part["properties"][key], definitions, (*path, key))
    elif part.get("type") == "array":
        for index, inner in enumerate(value):
            yield from places(inner, part["items"], definitions, (*path, index))


def wrong_values(part: Any) -> Any:
    """Values next to what ``part`` allows, on both sides of the line, without the differences."""
    is_time = part.get("format") == "date-time"
    texts = [] if is_time else ["", "no such value", "x" * part.get("maxLength", 20)]
    if "maxLength" in part:
        texts += ["x" * (part["maxLength"] + 1), "😀" * part["maxLength"]]
    numbers = [0, -1, 101, 1.5, 0.25, 2**40]
    if "maximum" in part or "minimum" in part:
        numbers += [int(part.get("minimum", 0)), int(part.get("maximum", 100)) + 1]
    lists = [[], [[]], [{}], [None], ["x"]]
    return [None, True, {}, {"vendorId": "v"}, {"x": 1}, *texts, *numbers, *lists]


def mutations(value: Any, schema: Any) -> Any:
    """Each payload that differs from ``value`` in one place."""
    definitions = schema.get("definitions", {})
    for path, part in list(places(value, schema, definitions)):
        for wrong in wrong_values(part):
            if path:
                yield changed(value, path, lambda _, wrong=wrong: wrong)
            else:
                yield wrong
        if part.get("type") == "object":
            yield changed(value, path, lambda at: at | {"noSuchMember": 1})
            for key in part.get("properties", {}):
                yield changed(
                    value, path, lambda at, key=key: {k: v for k, v in at.items() if k != key}
                )
                yield changed(value, path, lambda at, key=key: at | {key: None})
        if part.get("type") == "array":
            times = part.get("maxItems", 3) + 1
            yield changed(value, path, lambda at, times=times: at * times)


def changed(value: Any, path: Any, change: Any) -> Any:
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], change)
    return copy


@EVERY
@given(st.data())
@QUICK
def test_every_message_goes_round_unchanged(version: Any, kind: Any, data: Any) -> None:
    value = data.draw(valid(version, kind.__name__))
    payload = to_json(value)
    assert agree(version, kind, payload)
    reading = read(kind, payload)
    assert reading.deviations == ()
    again = encode_payload(reading.value)
    assert agree(version, kind, again)
    assert read_strictly(kind, again) == reading.value
    assert_same_members(json.loads(again), value, schemas(version)[kind.__name__])


def assert_same_members(ours: Any, theirs: Any, schema: Any) -> None:
    definitions = schema.get("definitions", {})
    by_path = dict(places(theirs, schema, definitions))
    assert dict(places(ours, schema, definitions)).keys() == by_path.keys()
    for path, part in by_path.items():
        mine, given_ = at(ours, path), at(theirs, path)
        if part.get("type") == "object":
            order = [key for key in part.get("properties", {}) if key in given_]
            assert list(mine) == order
        elif part.get("type") == "string" and part.get("format") != "date-time":
            assert mine == given_


def at(value: Any, path: Any) -> Any:
    for step in path:
        value = value[step]
    return value


@EVERY
@given(st.data())
@QUICK
def test_strict_reading_and_schema_agree_on_a_changed_payload(
    version: Any, kind: Any, data: Any
) -> None:
    value = data.draw(valid(version, kind.__name__))
    every = list(mutations(value, schemas(version)[kind.__name__]))
    for wrong in data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4)):
        payload = to_json(wrong)
        if not agree(version, kind, payload):
            assert_lenient_reading_is_explained(kind, payload)


def assert_lenient_reading_is_explained(kind: Any, payload: Any) -> None:
    """What the schema refuses is either refused leniently as well, or has named deviations."""
    try:
        reading = read(kind, payload)
    except PayloadError:
        return
    assert reading.deviations
    encode_payload(reading.value)


@cache
def owners(version: Version) -> dict[str, str]:
    """The first message that uses each shared definition: changes to it are tried there only."""
    first: dict[str, str] = {}
    for name, schema in schemas(version).items():
        for definition in schema.get("definitions", {}):
            first.setdefault(definition, name)
    return first


def full(part: Any, definitions: Any, mine: Any) -> Any:
    """A payload with every member that is this message's own, and else what is required."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/definitions/")
        return full(definitions[name], definitions, mine and mine(name) and mine)
    if part.get("type") == "object":
        due = set(part["properties"]) if mine else set(part.get("required", ()))
        members = part.get("properties", {}).items()
        return {k: full(v, definitions, mine) for k, v in members if k in due}
    if part.get("type") == "array":
        return [full(part["items"], definitions, mine)] * max(1, part.get("minItems", 0))
    if "enum" in part:
        return part["enum"][0]
    if part.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    plain = {"string": "x", "integer": 1, "number": 1, "boolean": True}
    return plain.get(part.get("type"), {"any": 1})


@EVERY
def test_strict_reading_and_schema_agree_on_every_single_change(version: Any, kind: Any) -> None:
    name = kind.__name__
    schema = schemas(version)[name]
    value = full(
        schema | {"properties": schema.get("properties", {})},
        schema.get("definitions", {}),
        lambda definition: owners(version)[definition] == name,
    )
    assert agree(version, kind, to_json(value))
    for wrong in mutations(value, schema):
        payload = to_json(wrong)
        if not agree(version, kind, payload):
            assert_lenient_reading_is_explained(kind, payload)


DIFFERENCES = {
    # name: (message, payload, whether we accept it, whether the schema does)
    "number in quotes": (
        "CostUpdatedRequest",
        '{"totalCost":"1.5","transactionId":"t"}',
        True,
        False,
    ),
    "fraction of zero": ("CancelReservationRequest", '{"reservationId":1.0}', False, True),
    "beyond 64 bits": (
        "CancelReservationRequest",
        '{"reservationId":9223372036854775808}',
        False,
        True,
    ),
    "beyond 10^32": ("CostUpdatedRequest", '{"totalCost":1e33,"transactionId":"t"}', False, True),
    "NUL": ("CostUpdatedRequest", '{"totalCost":1,"transactionId":"\\u0000"}', False, True),
    "lone surrogate": (
        "CostUpdatedRequest",
        '{"totalCost":1,"transactionId":"\\ud800"}',
        False,
        True,
    ),
    "no time": ("HeartbeatResponse", '{"currentTime":"noon"}', False, True),
    "time without offset": (
        "HeartbeatResponse",
        '{"currentTime":"2026-01-01T00:00:00"}',
        False,
        True,
    ),
    "NaN": ("CostUpdatedRequest", '{"totalCost":NaN,"transactionId":"t"}', False, True),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_known_differences_are_these(name: Any) -> None:
    message, payload, ours, theirs = DIFFERENCES[name]
    action = ACTIONS[Version.V201][message.removesuffix("Request").removesuffix("Response")]
    kind = action.request if message.endswith("Request") else action.response
    try:
        read_strictly(kind, payload.encode())
        accepted = True
    except PayloadError:
        accepted = False
    assert accepted is ours
    assert oracle(Version.V201, message).is_valid(json.loads(payload)) is theirs
