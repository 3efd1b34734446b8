"""Every action that a central system may ask of a station goes from our API to its socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from hub.ocpp.catalogue import ActionCatalogue
from tests.journeys.world import running_hub


def least(part: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The smallest value that a schema takes: what it requires and nothing else."""
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    if "enum" in part:
        return part["enum"][0]
    match part.get("type"):
        case "object":
            members = part.get("properties", {})
            return {name: least(members[name], definitions) for name in part.get("required", ())}
        case "array":
            return [least(part["items"], definitions)] * max(1, part.get("minItems", 0))
        case "integer" | "number":
            return max(1, int(part.get("minimum", 1)))
        case "boolean":
            return True
    return "2026-01-01T00:00:00Z" if part.get("format") == "date-time" else "x"


async def _hear(line: ClientConnection, heard: dict[str, Any], wanted: int) -> None:
    """Take CALLs, refuse each as a station without the feature does."""
    while len(heard) < wanted:
        frame = msgspec.json.decode(await line.recv())
        if frame[0] == 2:
            heard[frame[2]] = frame[3]
            refusal = [4, frame[1], "NotSupported", "", {}]
            await line.send(msgspec.json.encode(refusal).decode())


@pytest.mark.parametrize(("version", "count"), [("ocpp1.6", 26), ("ocpp2.0.1", 40)])
async def test_every_action_of_a_version_can_be_sent_over_the_api(
    tmp_path: Path, database_url: str, version: str, count: int
) -> None:
    catalogue = ActionCatalogue()
    payloads = {}
    for action in catalogue.actions(version):
        schema = catalogue.schema(version, action)
        payloads[action] = least(schema, schema.get("definitions", {}))
    assert len(payloads) == count
    heard: dict[str, Any] = {}
    async with running_hub(tmp_path, database_url) as hub:
        await hub.api("POST", "/stations", {"station_id": "S"})
        async with connect(
            hub.station_url("S"), subprotocols=[Subprotocol(version)], compression=None, proxy=None
        ) as line:
            boot: dict[str, Any] = {"chargePointVendor": "V", "chargePointModel": "M"}
            if version == "ocpp2.0.1":
                station = {"vendorName": "V", "model": "M"}
                boot = {"reason": "PowerUp", "chargingStation": station}
            await line.send(msgspec.json.encode([2, "1", "BootNotification", boot]).decode())
            assert msgspec.json.decode(await line.recv())[2]["status"] == "Accepted"
            hearing = asyncio.ensure_future(_hear(line, heard, count))
            for action, payload in payloads.items():
                await hub.api("POST", f"/stations/S/commands/{action}", payload)
            await asyncio.wait_for(hearing, 30)
    assert heard == payloads
