"""What the stations' door counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from hub.runtime.telemetry import METRICS

CALLS: Final = Counter(
    "hub_ocpp_calls", "CALLs of stations", ("protocol", "action", "outcome"), registry=METRICS
)
SECONDS: Final = Histogram(
    "hub_ocpp_call_seconds",
    "From a CALL's arrival to its answer",
    ("protocol", "lane"),
    registry=METRICS,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DEVIATIONS: Final = Counter(
    "hub_ocpp_deviations", "Payloads that left the schema", ("protocol", "action", "kind"),
    registry=METRICS,
)  # fmt: skip
ODD_FRAMES: Final = Counter(
    "hub_ocpp_odd_frames", "Frames dropped, repeated or malformed", ("kind",), registry=METRICS
)
COMMANDS: Final = Counter(
    "hub_ocpp_commands", "CALLs of ours by their end", ("action", "outcome"), registry=METRICS
)
HANDSHAKES: Final = Counter(
    "hub_ocpp_handshakes", "Connection attempts", ("outcome",), registry=METRICS
)
CONNECTIONS: Final = Gauge(
    "hub_ocpp_connections", "Open connections of stations", ("protocol",), registry=METRICS
)
QUARANTINED: Final = Counter(
    "hub_ocpp_quarantined", "Answered frames that could not be folded", registry=METRICS
)
