"""Which actions a version has, who may ask for them, and their types and JSON schemas."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

from msgspec import Struct

from hub.kernel import NotFound
from hub.ocpp import wire16, wire201
from hub.ocpp.errors import PayloadError
from hub.ocpp.payload import compact
from hub.ocpp.versions import Fault, Version

Side = Literal["station", "csms", "both"]
Part = Literal["request", "response"]


class Action(Struct, frozen=True):
    """One action of a version: who may ask for it, and what request and response look like."""

    name: str
    asked_by: Side
    request: type[Struct]
    response: type[Struct]


_BY_STATION_16 = {
    "Authorize",
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
}

_BY_STATION_201 = {
    "Authorize",
    "BootNotification",
    "ClearedChargingLimit",
    "FirmwareStatusNotification",
    "Get15118EVCertificate",
    "GetCertificateStatus",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
    "SignCertificate",
    "StatusNotification",
    "TransactionEvent",
}

_BY_BOTH = {"DataTransfer"}


def _actions(
    messages: dict[str, tuple[type[Struct], type[Struct]]], by_station: set[str]
) -> dict[str, Action]:
    return {
        name: Action(name, _side(name, by_station), request, response)
        for name, (request, response) in messages.items()
    }


def _side(name: str, by_station: set[str]) -> Side:
    if name in _BY_BOTH:
        return "both"
    return "station" if name in by_station else "csms"


ACTIONS: dict[Version, dict[str, Action]] = {
    Version.V16: _actions(wire16.MESSAGES, _BY_STATION_16),
    Version.V201: _actions(wire201.MESSAGES, _BY_STATION_201),
}

STATION_ACTIONS: dict[Version, dict[str, Action]] = {
    version: {name: a for name, a in actions.items() if a.asked_by != "csms"}
    for version, actions in ACTIONS.items()
}

CSMS_ACTIONS: dict[Version, dict[str, Action]] = {
    version: {name: a for name, a in actions.items() if a.asked_by != "station"}
    for version, actions in ACTIONS.items()
}

# The package the schemas come in, and what a request's file is called.
_SCHEMAS = {
    Version.V16: ("ocpp.v16", "{}.json"),
    Version.V201: ("ocpp.v201", "{}Request.json"),
}


def station_action(version: Version, name: str) -> Action:
    """The action a station asks for; ``PayloadError`` NOT_IMPLEMENTED if the version has none.

    One that only we may ask for is NOT_SUPPORTED.
    """
    return _action(version, name, STATION_ACTIONS)


def csms_action(version: Version, name: str) -> Action:
    """The action we ask a station for; ``PayloadError`` as for ``station_action``."""
    return _action(version, name, CSMS_ACTIONS)


def request_body(version: Version, name: str, payload: bytes) -> bytes:
    """The payload of a CALL of ours as it goes out, checked; raises ``PayloadError``."""
    return compact(csms_action(version, name).request, payload)


def json_schema(version: Version, name: str, part: Part = "request") -> dict[str, Any]:
    """The published JSON schema of an action's request or response; ``NotFound`` if there is none.

    The result is shared: do not change it.
    """
    if name not in ACTIONS[version]:
        raise NotFound(f"{version} action", name)
    package, request_file = _SCHEMAS[version]
    file = request_file.format(name) if part == "request" else f"{name}Response.json"
    return _load(package, file)


def _action(version: Version, name: str, side: dict[Version, dict[str, Action]]) -> Action:
    found = side[version].get(name)
    if found is not None:
        return found
    if name in ACTIONS[version]:
        raise PayloadError(Fault.NOT_SUPPORTED, f"{name} is asked for by the other side")
    raise PayloadError(Fault.NOT_IMPLEMENTED, f"{version} has no action {name[:50]!r}")


@cache
def _load(package: str, file: str) -> dict[str, Any]:
    text = (resources.files(package) / "schemas" / file).read_text(encoding="utf-8-sig")
    schema: dict[str, Any] = json.loads(text)
    return schema
