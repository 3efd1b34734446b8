"""OCPP-J frames: what is read, what is refused, and with which CALLERROR (OCPP-J 4.1-4.3)."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hub.ocpp.errors import FrameError
from hub.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    encode_call,
    encode_error,
    encode_payload,
    encode_refusal,
    encode_result,
    split,
)
from hub.ocpp.versions import RULES, Fault, Version
from hub.ocpp.wire16 import BootNotificationRequest

BOTH = pytest.mark.parametrize("version", list(Version))


def nested(depth: Any) -> Any:
    """A CALL whose brackets nest ``depth`` deep, the frame's own included."""
    inner = depth - 2
    return b'[2,"1","DataTransfer",{"a":' + b"[" * (inner) + b"]" * (inner) + b"}]"


def refused(frame: Any, version: Any) -> Any:
    with pytest.raises(FrameError) as caught:
        split(frame, version)
    reply = encode_refusal(caught.value, version)
    return None if reply is None else json.loads(reply)


@BOTH
def test_a_call_keeps_its_payload_raw(version: Any) -> None:
    call = split('[2,"19223201","Authorize",{ "idTag" : "A1" }]', version)
    assert isinstance(call, Call)
    assert (call.id, call.action, bytes(call.payload)) == (
        "19223201",
        "Authorize",
        b'{ "idTag" : "A1" }',
    )


@BOTH
def test_a_result_and_an_error_are_told_apart(version: Any) -> None:
    result = split(b'[3,"a",{"status":"Accepted"}]', version)
    error = split(b'[4,"a","NotSupported","no such thing",{"why":1}]', version)
    assert isinstance(result, CallResult)
    assert bytes(result.payload) == b'{"status":"Accepted"}'
    assert isinstance(error, CallError)
    assert (error.code, error.description) == ("NotSupported", "no such thing")
    assert bytes(error.details) == b'{"why":1}'


@BOTH
def test_a_call_error_without_its_last_elements_is_still_one(version: Any) -> None:
    error = split(b'[4,"a","GenericError"]', version)
    assert isinstance(error, CallError)
    assert (error.description, bytes(error.details)) == ("", b"{}")


@BOTH
def test_integer_message_ids_are_echoed_as_integers(version: Any) -> None:
    call = split('[2,42,"Heartbeat",{}]', version)
    assert isinstance(call, Call)
    assert encode_result(call.id, Raw(b"{}")) == b"[3,42,{}]"


@BOTH
def test_a_fifth_element_is_passed_over(version: Any) -> None:
    call = split('[2,"1","Heartbeat",{},{"signature":"x"}]', version)
    assert isinstance(call, Call)
    assert bytes(call.payload) == b"{}"


@BOTH
@pytest.mark.parametrize("frame", ["", b"", "  \r\n", b"\n"])
def test_quirk_45_empty_frames_mean_nothing(version: Any, frame: Any) -> None:
    assert split(frame, version) is None


@BOTH
def test_quirk_45_binary_frames_are_read_as_utf8(version: Any) -> None:
    call = split('[2,"1","DataTransfer",{"data":"grün"}]'.encode(), version)
    assert isinstance(call, Call)
    assert json.loads(bytes(call.payload)) == {"data": "grün"}


MALFORMED = {
    # name: (frame, CALLERROR code of 1.6 or None, code of 2.0.1 or None, id of the answer)
    "bad JSON": (b'[2,"7","Heartbeat",{]', "FormationViolation", "FormatViolation", "7"),
    "cut short": (b'[2,"7","Heartbeat",{"a":', "FormationViolation", "FormatViolation", "7"),
    "trailing text": (b'[2,"7","Heartbeat",{}] x', "FormationViolation", "FormatViolation", "7"),
    "NaN": (b'[2,"7","Heartbeat",{"a":NaN}]', "FormationViolation", "FormatViolation", "7"),
    "no text of ours": (b"hello", None, "RpcFrameworkError", "-1"),
    "an object": (b"{}", None, "RpcFrameworkError", "-1"),
    "null": (b"null", None, "RpcFrameworkError", "-1"),
    "empty array": (b"[]", None, "RpcFrameworkError", "-1"),
    "type alone": (b"[2]", None, "RpcFrameworkError", "-1"),
    "no action": (b'[2,"7"]', "FormationViolation", "RpcFrameworkError", "7"),
    "no payload": (b'[2,"7","Heartbeat"]', "FormationViolation", "RpcFrameworkError", "7"),
    "list action": (b'[2,"7",["x"],{}]', "FormationViolation", "RpcFrameworkError", "7"),
    "number action": (b'[2,"7",1,{}]', "FormationViolation", "RpcFrameworkError", "7"),
    "null action": (b'[2,"7",null,{}]', "FormationViolation", "RpcFrameworkError", "7"),
    "text type": (b'["2","7","Heartbeat",{}]', "FormationViolation", "RpcFrameworkError", "7"),
    "object id": (b'[2,{},"Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "null id": (b'[2,null,"Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "fraction id": (b'[2,1.5,"Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "huge id": (b'[2,"' + b"i" * 300 + b'","Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "huge integer id": (b"[2," + b"9" * 40 + b',"Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "NUL id": (b'[2,"a\\u0000","Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "NUL action": (b'[2,"7","Heart\\u0000",{}]', "FormationViolation", "RpcFrameworkError", "7"),
    "surrogate action": (
        b'[2,"7","\\ud800",{}]',
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "not UTF-8": (
        b'[2,"7","DataTransfer",{"a":"\xff"}]',
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "id not UTF-8": (b'[2,"\xff\xfe","Heartbeat",{}]', None, "RpcFrameworkError", "-1"),
    "type 5": (b'[5,"7","x","",{}]', None, "MessageTypeNotSupported", "7"),
    "type 6": (b'[6,"7","NotifyPeriodicEventStream",{}]', None, "MessageTypeNotSupported", "7"),
    "type -1": (b'[-1,"7",{}]', None, "MessageTypeNotSupported", "7"),
    "deep": (nested(33), "FormationViolation", "FormatViolation", "1"),
    "very deep": (nested(200_00), "FormationViolation", "FormatViolation", "1"),
    "deep and open": (
        b'[2,"7","A",' + b"[" * 100_000,
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "only brackets": (b"[" * 200_000, None, "RpcFrameworkError", "-1"),
    "deep objects": (
        b'[2,"7","A",' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]",
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "deep behind a bracket in a text": (
        b'[2,"7","A",{"a":"]]]]]]","b":' + b"[" * 40 + b"]" * 40 + b"}]",
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "deep behind an escaped quote": (
        b'[2,"7","A",{"a":"\\"]]]]]\\\\","b":' + b"[" * 40 + b"]" * 40 + b"}]",
        "FormationViolation",
        "FormatViolation",
        "7",
    ),
    "result without payload": (b'[3,"7"]', None, None, None),
    "bad JSON result": (b'[3,"7",{]', None, None, None),
    "deep result": (b'[3,"7",' + b"[" * 50 + b"]" * 50 + b"]", None, None, None),
    "error without code": (b'[4,"7"]', None, None, None),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_gets_the_call_error_of_its_version(name: Any) -> None:
    frame, code16, code201, message_id = MALFORMED[name]
    for version, code in ((Version.V16, code16), (Version.V201, code201)):
        reply = refused(frame, version)
        if code is None:
            assert reply is None
        else:
            assert reply[:3] == [4, message_id, code]
            assert 0 < len(reply[3]) <= 255
            assert reply[4] == {}


@BOTH
def test_a_text_frame_with_a_lone_surrogate_is_refused(version: Any) -> None:
    assert refused('[2,"7","A",{"a":"\ud800"}]', version)[1] == "7"


@pytest.mark.parametrize(
    ("version", "limit"), [(Version.V16, 256 * 1024), (Version.V201, 1024 * 1024)]
)
def test_frames_up_to_the_limit_are_read_and_longer_ones_refused(version: Any, limit: Any) -> None:
    head, tail = b'[2,"9","DataTransfer",{"data":"', b'"}]'
    fits = head + b"x" * (limit - len(head) - len(tail)) + tail
    assert isinstance(split(fits, version), Call)
    assert refused(fits + b" ", version)[1:3] == ["9", RULES[version].codes[Fault.FORMAT]]
    assert refused(head.decode() + "ü" * (limit // 2) + tail.decode(), version)[1] == "9"


@BOTH
def test_nesting_up_to_the_limit_is_read(version: Any) -> None:
    assert isinstance(split(nested(32), version), Call)
    many = b'[2,"1","A",{"a":[' + b",".join([b'{"[":["]","\\"{"]}'] * 200) + b"]}]"
    assert isinstance(split(many, version), Call)


@BOTH
@pytest.mark.parametrize("unit", [b"[]", b"[{}]", b'{"a":[[["["]]]}', b'"\\"["'])
def test_a_large_frame_of_many_brackets_is_judged_quickly(version: Any, unit: Any) -> None:
    size = RULES[version].max_bytes - 100
    frame = b'[2,"1","A",[' + b",".join([unit] * (size // (len(unit) + 1))) + b"]]"
    start = time.process_time()
    assert isinstance(split(frame, version), Call)
    assert time.process_time() - start < 0.5


def test_the_spelling_of_error_codes_follows_the_version() -> None:
    assert b"OccurenceConstraintViolation" in encode_error(
        "1", Fault.OCCURRENCE, "", version=Version.V16
    )
    assert b"OccurrenceConstraintViolation" in encode_error(
        "1", Fault.OCCURRENCE, "", version=Version.V201
    )


@BOTH
def test_every_fault_has_a_code_the_reference_package_knows(version: Any) -> None:
    from ocpp import exceptions

    published = {
        kind.code
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and hasattr(kind, "code")
    }
    only_201 = {"RpcFrameworkError", "MessageTypeNotSupported"}
    for fault in Fault:
        code = RULES[version].codes[fault]
        assert code in published | (only_201 if version is Version.V201 else set())


def test_an_error_description_is_at_most_255_characters() -> None:
    sent = json.loads(encode_error("1", Fault.GENERIC, "ü" * 400, version=Version.V201))
    assert sent == [4, "1", "GenericError", "ü" * 255, {}]


def test_frames_go_out_compact_and_in_the_schemas_order() -> None:
    boot = BootNotificationRequest(
        firmwareVersion="1.0", chargePointModel="M", chargePointVendor="V"
    )
    assert encode_call("x", "BootNotification", boot) == (
        b'[2,"x","BootNotification",'
        b'{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"1.0"}]'
    )
    assert encode_result("x", Raw(encode_payload(boot))) == encode_result("x", boot)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(list(Version)), st.booleans())
def test_any_json_is_a_frame_or_a_frame_error(value: Any, version: Any, ascii_only: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    try:
        split(text, version)
    except FrameError as error:
        encode_refusal(error, version)


@given(st.binary(max_size=200), st.sampled_from(list(Version)))
def test_any_bytes_are_a_frame_or_a_frame_error(noise: Any, version: Any) -> None:
    for frame in (
        noise, b'[2,"1","A",' + noise, b'[2,"1","A",' + b"[" * 40 + noise, b'[2,"%b","A",{}]' % noise
    ):  # fmt: skip
        try:
            split(frame, version)
        except FrameError as error:
            encode_refusal(error, version)


@given(JSON)
def test_the_depth_limit_counts_brackets_outside_texts_only(value: Any) -> None:
    frame = json.dumps([2, "1", "A", {"a": value, "pad": [[]] * 40}])

    def depth(part: Any) -> Any:
        if isinstance(part, dict):
            part = list(part.values())
        return 1 + max(map(depth, part), default=0) if isinstance(part, list) else 0

    wrapped = depth(json.loads(frame))
    if wrapped <= 32:
        assert isinstance(split(frame, Version.V16), Call)
    for extra in (32 - wrapped, 33 - wrapped):
        deeper = "[" * extra + json.dumps({"a": value, "pad": [[]] * 40}) + "]" * extra
        deep_frame = f'[2,"1","A",{deeper}]'
        if wrapped + extra <= 32:
            assert isinstance(split(deep_frame, Version.V16), Call)
        else:
            with pytest.raises(FrameError, match="deeper than 32"):
                split(deep_frame, Version.V16)
