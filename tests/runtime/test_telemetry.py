"""Logs without secrets, metrics in Prometheus' format, and one session followed by its id."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from hub.kernel import NotFound
from hub.runtime.redaction import redacted
from hub.runtime.telemetry import (
    RING_SIZE,
    configure_logging,
    metrics_text,
    observe_outbound,
    recent_spans,
    span,
    spans_of,
)
from hub.runtime.trace import correlated, current

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """JSON logs at debug level; what was logged so far."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(level="debug", style="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_is_json_with_event_level_time_and_correlation(lines: Lines) -> None:
    log = structlog.get_logger()
    log.info("hub_started", port=8000)
    with correlated("abc"):
        log.warning("cdr_refused", cdr="c-1")
    first, second = lines()
    assert (first["event"], first["level"], first["port"]) == ("hub_started", "info", 8000)
    assert first["timestamp"].endswith("Z")
    assert "correlation" not in first
    assert (second["correlation"], second["cdr"]) == ("abc", "c-1")


def test_logs_of_libraries_take_the_same_way(lines: Lines) -> None:
    with correlated("abc"):
        logging.getLogger("some.library").error("sent %s", "Authorization: Bearer abcdef123456")
    (line,) = lines()
    assert (line["logger"], line["level"], line["correlation"]) == ("some.library", "error", "abc")
    assert "abcdef123456" not in json.dumps(line)


def test_a_logged_exception_shows_its_trace_without_the_secret_in_it(lines: Lines) -> None:
    try:
        raise ValueError("postgresql://hub:hunter22@host/db is bad")
    except ValueError:
        structlog.get_logger().exception("start_failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
    assert "hunter22" not in line["exception"]


def test_the_level_is_honoured_and_console_lines_are_for_people() -> None:
    stream = io.StringIO()
    configure_logging(level="warning", style="console", stream=stream)
    try:
        structlog.get_logger().info("hidden")
        structlog.get_logger().warning("seen", password="hunter22")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    (line,) = stream.getvalue().splitlines()
    assert "seen" in line
    assert "hunter22" not in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter22"),
        ("station_password", "hunter22"),
        ("Authorization", "Token hunter22"),
        ("headers", {"authorization": "Basic hunter22", "Cookie": "hunter22"}),
        ("headers", [{"X-Api-Key": "hunter22"}]),
        ("token", "hunter22"),
        ("tokenC", "hunter22"),
        ("access_token", b"hunter22"),
        ("secret_key", "hunter22"),
        ("stripe_signature", "hunter22"),
        ("text", "got Authorization: Token hunter22"),
        ("text", "Bearer hunter-two-two-hunter22"),
        ("text", "https://user:hunter22@example.com/x"),
        ("text", '{"password": "hunter22"}'),
        ("text", "api_key=hunter22&x=1"),
        ("text", "sk_test_hunter22aaaa"),
        ("text", "whsec_hunter22aaaa"),
    ],
)
def test_secrets_never_show(name: str, value: object) -> None:
    assert "hunter22" not in str(redacted(name, value))


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1111", "paid with 5555555555554444.", "378282246310005"]
)
def test_card_numbers_keep_four_digits(text: str) -> None:
    shown = str(redacted("text", text))
    assert sum(mark.isdigit() for mark in shown) == 4


@pytest.mark.parametrize("name", ["token_uid", "uid", "id_tag", "idTag", "emaid"])
def test_driver_tokens_keep_their_end_only(name: str) -> None:
    assert redacted(name, "04A1B2C3D4E5F6") == "***E5F6"
    assert redacted(name, "04A1") == "***"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event", "token_refused"),
        ("reason", "the token expired yesterday"),
        ("token_id", "0190e5b2-7000-7000-8000-000000000001"),
        ("token_type", "RFID"),
        ("correlation", "01234567-8901-7345-8789-012345678901"),
        ("number", "4111111111111112"),
        ("at", "2026-11-21T02:48:03.522Z"),
        ("pin_count_is_not", None),
        ("evse", "NL*ABC*E1234567"),
        ("seconds", 1.25),
    ],
)
def test_what_is_no_secret_stays_as_it_is(name: str, value: object) -> None:
    assert redacted(name, value) == value


async def test_one_session_is_followed_by_its_id_through_tasks_and_nested_spans(
    lines: Lines,
) -> None:
    async def door(name: str) -> None:
        with span(name, evse="E1", token_uid="04A1B2C3D4E5F6"):
            await asyncio.sleep(0)
            with span(f"{name}_commit"):
                await asyncio.sleep(0)

    with correlated("session-1"):
        await asyncio.gather(door("ocpp_start"), door("ocpi_push"))
    with correlated("session-2"):
        await door("other")
    found = spans_of("session-1")
    assert sorted(one.name for one in found) == [
        "ocpi_push",
        "ocpi_push_commit",
        "ocpp_start",
        "ocpp_start_commit",
    ]
    by_name = {one.name: one for one in found}
    for name in ("ocpp_start", "ocpi_push"):
        assert by_name[name].parent == 0
        assert by_name[f"{name}_commit"].parent == by_name[name].number
        assert by_name[name].seconds >= by_name[f"{name}_commit"].seconds
        assert by_name[name].fields == {"evse": "E1", "token_uid": "***E5F6"}
    logged = [line for line in lines() if line.get("correlation") == "session-1"]
    assert {line["event"] for line in logged} == set(by_name)


def test_a_failed_span_keeps_the_code_of_its_error_and_lets_it_pass(lines: Lines) -> None:
    with correlated("failing"), pytest.raises(NotFound), span("look_up", event="odd", error="own"):
        raise NotFound("cdr", "7")
    (kept,) = spans_of("failing")
    assert kept.error == "not_found"
    (line,) = lines()
    assert (line["level"], line["error"], line["error_"], line["event_"]) == (
        "warning",
        "not_found",
        "own",
        "odd",
    )


def test_a_span_outside_any_correlation_begins_one_for_itself_only() -> None:
    with span("alone"):
        inside = current()
    assert inside
    assert not current()
    assert [one.name for one in spans_of(inside)] == ["alone"]


def test_the_ring_of_spans_is_bounded() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with correlated("many"):
            for _ in range(RING_SIZE + 10):
                with span("small"):
                    pass
    finally:
        structlog.reset_defaults()
    assert len(recent_spans()) == RING_SIZE


def test_metrics_are_prometheus_text_with_spans_and_outbound_calls() -> None:
    with span("measured_work"):
        pass
    observe_outbound("NL-ABC", "PUT", "2xx", 0.02)
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics_text().decode())
        for sample in family.samples
    }
    assert found["hub_span_seconds_count", (("outcome", "ok"), ("span", "measured_work"))] == 1
    calls = "hub_outbound_calls_total", (("outcome", "2xx"), ("partner", "NL-ABC"))
    assert found[calls] >= 1
    assert found["process_resident_memory_bytes", ()] > 0
