"""Registration: the partner's side of the handshake (C-1 to C-9). The work is in ``handshake``."""

from __future__ import annotations

from hub.ocpi.call import Route
from hub.ocpi.handshake import Handshake


def credentials_routes(handshake: Handshake) -> list[Route]:
    """GET, POST, PUT and DELETE of credentials."""
    flows = (
        ("GET", "Our credentials for the caller", handshake.show),
        ("POST", "Register", handshake.register),
        ("PUT", "Exchange tokens and endpoints anew", handshake.update),
        ("DELETE", "Unregister", handshake.unregister),
    )
    return [
        Route(
            module="credentials", side="", method=method, path="", summary=summary, flow=flow,
            open_to_invited=True,
            takes=(lambda d: d.credentials.wire) if method in {"POST", "PUT"} else None,
            gives=None if method == "DELETE" else (lambda d: d.credentials.wire),
        )
        for method, summary, flow in flows
    ]  # fmt: skip
