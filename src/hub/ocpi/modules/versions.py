"""Which versions we speak, and what each serves (V-1, V-2). Absolute URLs from our settings."""

from __future__ import annotations

from collections.abc import Sequence

from hub.ocpi import objects
from hub.ocpi.call import Call, Route
from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import Reply
from hub.parties import may_exchange
from hub.runtime import Tx


def version_routes(dialects: Sequence[Dialect], served: Sequence[Route]) -> list[Route]:
    """The version list and each version's details, for ``served``."""

    async def list_versions(tx: Tx, call: Call) -> Reply:  # noqa: ARG001 - needs no row
        base = f"{call.settings.base_url}/ocpi"
        return Reply(data=[{"version": d.version, "url": f"{base}/{d.version}"} for d in dialects])

    async def show_details(tx: Tx, call: Call) -> Reply:
        endpoints = []
        for module, side in dict.fromkeys((route.module, route.side) for route in served):
            default = call.settings.roaming_default
            if not side or await may_exchange(tx, call.partner.id, module, default=default):
                parts = "/".join(part for part in (call.base, side, module) if part)
                endpoints.append(objects.Endpoint(module, (side or "sender").upper(), parts))
        details = objects.VersionDetails(call.dialect.version, tuple(endpoints))
        return Reply(data=call.dialect.details.lower(details))

    return [
        Route(
            module="versions", side="", method="GET", path="", open_to_invited=True,
            summary="The versions that are served", action=list_versions,
        ),
        Route(
            module="versions", side="", method="GET", path="{version}", open_to_invited=True,
            summary="The endpoints of this version", action=show_details,
            gives=lambda dialect: dialect.details.wire,
        ),
    ]  # fmt: skip
