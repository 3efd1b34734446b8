"""What the program tells about itself: logs, metrics and light traces, never a secret.

One correlation id runs through every door, event and job of one session; ``spans_of`` and a
search of the logs for that id show its whole way.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from hub.kernel import HubError
from hub.runtime import trace
from hub.runtime.redaction import redacted, redacted_fields

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

RING_SIZE: Final = 4096

METRICS: Final = CollectorRegistry()
"""Where every room registers its own counters; scraped as ``metrics_text()``."""
ProcessCollector(registry=METRICS)
PlatformCollector(registry=METRICS)
GCCollector(registry=METRICS)

SPAN_SECONDS: Final = Histogram(
    "hub_span_seconds",
    "Time spent in a named piece of work",
    ("span", "outcome"),
    registry=METRICS,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OUTBOUND_SECONDS: Final = Histogram(
    "hub_outbound_seconds",
    "Time of one HTTP call to others",
    ("method", "outcome"),
    registry=METRICS,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OUTBOUND_CALLS: Final = Counter(
    "hub_outbound_calls", "HTTP calls to others", ("partner", "outcome"), registry=METRICS
)


class Span(msgspec.Struct, frozen=True):
    """One finished piece of work. ``began`` is monotonic; ``error`` is empty when it went well."""

    name: str
    correlation: str
    number: int
    parent: int
    began: float
    seconds: float
    error: str
    fields: dict[str, object]


_RING: Final[deque[Span]] = deque(maxlen=RING_SIZE)
_INSIDE: Final[ContextVar[int]] = ContextVar("span", default=0)
_NUMBERS = iter(range(1, sys.maxsize))
_LEVEL: Final = logging.getLogger("hub.trace")
_LOG: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger("hub.trace")


def configure_logging(
    *, level: Level = "info", style: Format = "auto", stream: TextIO | None = None
) -> None:
    """Send all logs (ours and the libraries') to ``stream`` (standard error), one line each.

    ``auto`` writes for people on a terminal and JSON elsewhere. May be called again.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    people = style == "console" or (style == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _with_correlation,
        _without_secrets,
    ]
    final: structlog.typing.Processor = structlog.processors.JSONRenderer(default=str)
    if people:
        final = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, final],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, final],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)


def metrics_text() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(METRICS)


def observe_outbound(partner: str, method: str, outcome: str, seconds: float) -> None:
    """The observer to give to ``Outbound``."""
    OUTBOUND_SECONDS.labels(method, outcome).observe(seconds)
    OUTBOUND_CALLS.labels(partner, outcome).inc()


@contextmanager
def span(name: str, **fields: object) -> Iterator[None]:
    """Time the block as one step of the present correlation; nests; keeps errors' codes.

    Logged at debug level when it ends (an error as a warning) and kept in the ring.
    """
    parent, number = _INSIDE.get(), next(_NUMBERS)
    token = _INSIDE.set(number)
    began, error = time.monotonic(), ""
    with trace.correlated(trace.current()) as correlation:
        try:
            yield
        except BaseException:
            raised = sys.exception()
            error = raised.code if isinstance(raised, HubError) else type(raised).__name__
            raise
        finally:
            _INSIDE.reset(token)
            seconds = time.monotonic() - began
            kept = redacted_fields(fields)
            _finish(Span(name, correlation, number, parent, began, seconds, error, kept))


def _finish(done: Span) -> None:
    _RING.append(done)
    _timer(done.name, done.error or "ok").observe(done.seconds)
    # Asked first, because most spans end here and structlog costs more than all the rest.
    if not done.error and not _LEVEL.isEnabledFor(logging.DEBUG):
        return
    own = {
        "span": done.number,
        "parent": done.parent,
        "seconds": round(done.seconds, 6),
        "error": done.error,
    }
    said = {
        f"{name}_" if name in own or name == "event" else name: value
        for name, value in done.fields.items()
    }
    (_LOG.warning if done.error else _LOG.debug)(done.name, **own, **said)


@lru_cache(maxsize=1024)
def _timer(name: str, outcome: str) -> Histogram:
    return SPAN_SECONDS.labels(name, outcome)


def spans_of(correlation: str) -> list[Span]:
    """The kept spans of one correlation id, by the time they began."""
    return sorted((kept for kept in _RING if kept.correlation == correlation), key=_began)


def recent_spans() -> list[Span]:
    """Every kept span, oldest first; the ring holds the last ``RING_SIZE``."""
    return list(_RING)


def _began(one: Span) -> tuple[float, int]:
    return one.began, one.number


def _with_correlation(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    current = trace.current()
    if current:
        event.setdefault("correlation", current)
    return event


def _without_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = redacted(name, value)
    return event
