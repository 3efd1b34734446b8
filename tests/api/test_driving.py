"""Every CSMS-initiated action of every version, through the API to a station and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hub.ocpp.catalogue import ActionCatalogue
from hub.ocpp.schema import json_schema
from hub.ocpp.versions import Version
from tests.journeys.world import running_hub

CATALOGUE = ActionCatalogue()

# OCPP 1.6 edition 2 part 2 section 5 and the security whitepaper; 2.0.1 edition 3 part 2.
ACTIONS = {
    "ocpp1.6": (
        "CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache "
        "ClearChargingProfile DataTransfer DeleteCertificate ExtendedTriggerMessage "
        "GetCompositeSchedule GetConfiguration GetDiagnostics GetInstalledCertificateIds "
        "GetLocalListVersion GetLog InstallCertificate RemoteStartTransaction "
        "RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile "
        "SignedUpdateFirmware TriggerMessage UnlockConnector UpdateFirmware"
    ),
    "ocpp2.0.1": (
        "CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile "
        "ClearDisplayMessage ClearVariableMonitoring CostUpdated CustomerInformation DataTransfer "
        "DeleteCertificate GetBaseReport GetChargingProfiles GetCompositeSchedule "
        "GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog "
        "GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate "
        "PublishFirmware RequestStartTransaction RequestStopTransaction ReserveNow Reset "
        "SendLocalList SetChargingProfile SetDisplayMessage SetMonitoringBase SetMonitoringLevel "
        "SetNetworkProfile SetVariableMonitoring SetVariables TriggerMessage UnlockConnector "
        "UnpublishFirmware UpdateFirmware"
    ),
}  # fmt: skip


def smallest(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """The least value that a JSON schema of OCPP admits."""
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return smallest(found, root)
    if "enum" in schema:
        return "Rejected" if "Rejected" in schema["enum"] else schema["enum"][0]
    match schema.get("type"):
        case "object":
            needed = schema.get("required", [])
            return {name: smallest(schema["properties"][name], root) for name in needed}
        case "array":
            return [smallest(schema["items"], root)]
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
    formats = {"date-time": "2026-01-01T00:00:00Z", "uri": "https://example.org/f"}
    return formats.get(schema.get("format", ""), "9")


def reply_to(protocol: str, action: str) -> Any:
    """The least reply, which rejects wherever the standard lets a station reject."""
    return smallest(json_schema(Version(protocol), action, "response"))


@asynccontextmanager
async def rejecting(url: str, protocol: str) -> AsyncIterator[list[tuple[str, Any]]]:
    """A station that answers every command with Rejected; gives what it was sent."""
    heard: list[tuple[str, Any]] = []
    async with connect(url, subprotocols=[Subprotocol(protocol)]) as socket:

        async def answer() -> None:
            with suppress(ConnectionClosed):
                async for frame in socket:
                    message = json.loads(frame)
                    if message[0] == 2:
                        heard.append((message[2], message[3]))
                        reply = reply_to(protocol, message[2])
                        await socket.send(json.dumps([3, message[1], reply]))

        boot: dict[str, Any] = {"chargePointVendor": "V", "chargePointModel": "M"}
        if protocol != "ocpp1.6":
            boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
        await socket.send(json.dumps([2, "b", "BootNotification", boot]))
        assert json.loads(await socket.recv())[2]["status"] == "Accepted"
        answering = asyncio.create_task(answer())
        yield heard
        answering.cancel()


@pytest.mark.parametrize("protocol", list(ACTIONS))
async def test_every_action_reaches_the_station_and_its_rejection_is_a_normal_reply(
    protocol: str, database_url: str, tmp_path: Path
) -> None:
    actions = ACTIONS[protocol].split()
    assert CATALOGUE.actions(protocol) == sorted(actions)
    async with running_hub(tmp_path, database_url) as hub:
        made = await hub.api("POST", "/stations", {"station_id": "ANY"})
        headers = {"authorization": f"Bearer {hub.admin_token}"}
        async with (
            rejecting(made["url"], protocol) as heard,
            httpx.AsyncClient(
                base_url=f"{hub.base}/api/v1/stations/ANY", headers=headers, timeout=40
            ) as http,
        ):
            for action in actions:
                body = smallest(CATALOGUE.schema(protocol, action))
                reply = reply_to(protocol, action)
                answer = await http.post(f"/commands/{action}?wait=30", json=body)
                assert (answer.status_code, answer.json()) == (200, reply), action
                assert heard[-1] == (action, body)
                command = answer.headers["hub-command-id"]
                stored = await hub.api("GET", f"/commands/{command}")
                assert stored["status"] == "answered"
                assert (stored["request"], stored["reply"]) == (body, reply)
            queued = await http.post("/commands/ClearCache", json={})
            assert queued.status_code == 202
            assert set(queued.json()) == {"command_id", "status"}
            frames = (await http.get("/messages?limit=2")).json()["items"]
            assert {frame["direction"] for frame in frames} == {"in", "out"}
            shown = (await http.get("")).json()
            assert (shown["online"], shown["version"]) == (True, protocol)


async def test_ids_that_the_hub_never_made_are_sent_all_the_same(
    database_url: str, tmp_path: Path
) -> None:
    async with running_hub(tmp_path, database_url) as hub:
        made = await hub.api("POST", "/stations", {"station_id": "ANY"})
        async with rejecting(made["url"], "ocpp1.6") as heard:
            for action, body in (
                ("CancelReservation", {"reservationId": 424242}),
                ("RemoteStopTransaction", {"transactionId": 987654}),
                ("ClearChargingProfile", {"id": 777}),
            ):
                path = f"/stations/any/commands/{action}?wait=20"
                assert await hub.api("POST", path, body) == reply_to("ocpp1.6", action)
                assert heard[-1] == (action, body)
