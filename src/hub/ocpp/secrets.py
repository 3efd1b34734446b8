"""Passwords inside OCPP messages: found so that we keep them, masked so that no log does.

A station's password travels as configuration key ``AuthorizationKey`` (1.6 whitepaper) or as
variable ``BasicAuthPassword`` (2.0.1 A01).
"""

from __future__ import annotations

from typing import Any

import msgspec

_NAMES = frozenset({"authorizationkey", "basicauthpassword"})
_ACCEPTED = frozenset({"Accepted", "RebootRequired"})
MASK = "***"


def accepted_password(action: str, request: bytes, reply: bytes) -> str | None:
    """The new password, if the CALL set one and the station took it."""
    told = msgspec.json.decode(reply)
    for index, entry in _entries(action, msgspec.json.decode(request)):
        if action == "ChangeConfiguration" and told.get("status") in _ACCEPTED:
            return str(entry["value"])
        if action == "SetVariables":
            results = told.get("setVariableResult") or []
            if index < len(results) and results[index].get("attributeStatus") in _ACCEPTED:
                return str(entry["attributeValue"])
    return None


def masked(action: str, request: bytes) -> bytes:
    """The request without its passwords; the very same bytes if it has none."""
    if action not in ("ChangeConfiguration", "SetVariables"):
        return request
    body = msgspec.json.decode(request)
    found = _entries(action, body)
    for _, entry in found:
        entry["value" if action == "ChangeConfiguration" else "attributeValue"] = MASK
    return msgspec.json.encode(body) if found else request


def _entries(action: str, body: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The members of a request that hold a password, by place."""
    if action == "ChangeConfiguration":
        return [(0, body)] if str(body.get("key")).casefold() in _NAMES else []
    if action != "SetVariables":
        return []
    return [
        (index, entry)
        for index, entry in enumerate(body.get("setVariableData") or [])
        if str(entry["variable"]["name"]).casefold() in _NAMES
    ]
