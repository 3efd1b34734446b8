"""What a CSMS may send in each version, for whoever composes commands."""

from __future__ import annotations

from typing import Any

from hub.kernel import NotFound
from hub.ocpp.errors import PayloadError
from hub.ocpp.schema import CSMS_ACTIONS, json_schema, request_body
from hub.ocpp.versions import Version


class ActionCatalogue:
    """The CSMS-initiated actions of ``ocpp1.6`` and ``ocpp2.0.1`` and their schemas."""

    def actions(self, protocol: str) -> list[str]:
        """Every CSMS-initiated action of a version, sorted; none of an unknown version."""
        return sorted(CSMS_ACTIONS[Version(protocol)]) if protocol in set(Version) else []

    def check(self, protocol: str, action: str, payload: bytes) -> str | None:
        """What the schema has against ``payload``, as a sentence; ``None`` when it fits."""
        try:
            request_body(Version(protocol), action, payload)
        except PayloadError as error:
            return str(error)
        return None

    def schema(self, protocol: str, action: str) -> dict[str, Any]:
        """The published JSON schema of an action's request; ``NotFound`` if there is none."""
        if protocol not in set(Version):
            raise NotFound("protocol", protocol)
        return json_schema(Version(protocol), action)
