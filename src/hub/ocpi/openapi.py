"""The OpenAPI document of one OCPI version, made from the table of what is served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hub.ocpi.call import Route
from hub.ocpi.dialect import Dialect
from hub.ocpi.headers import FUNCTIONAL
from hub.ocpi.request import pattern

_REF: Final = "#/components/schemas/{name}"
_LIST_PARAMETERS: Final = ("date_from", "date_to", "offset", "limit")
_ROUTING: Final = (
    "OCPI-to-party-id", "OCPI-to-country-code", "OCPI-from-party-id", "OCPI-from-country-code",
)  # fmt: skip


def document(dialect: Dialect, routes: Sequence[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 of ``routes`` in ``dialect``; every answer is an envelope."""
    kinds = [make(dialect) for route in routes for make in (route.takes, route.gives) if make]
    _, schemas = msgspec.json.schema_components(list(dict.fromkeys(kinds)), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = "/ocpi/" + "/".join(pattern(route, dialect))
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, dialect, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"OCPI {dialect.version}", "version": dialect.version},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "`Token ` and the Base64 of the credentials token",
                }
            },
        },
        "security": [{"token": []}],
    }  # fmt: skip


def _operation(route: Route, dialect: Dialect, path: str) -> dict[str, Any]:
    name = f"{route.method.lower()}_{'_'.join(re.findall(r'[A-Za-z_]+', path))}"
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": route.summary,
        "tags": [route.module],
        "parameters": _parameters(route, path),
        "responses": _responses(route, dialect),
    }
    if route.takes is not None:
        schema = _reference(route.takes(dialect))
        if route.method == "PATCH":
            schema = {"type": "object", "required": ["last_updated"], "description": "any members"}
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _reference(kind: Any) -> dict[str, Any]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _parameters(route: Route, path: str) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    if route.listed:
        found += [{"name": name, "in": "query", "schema": text} for name in _LIST_PARAMETERS]
    if route.module in FUNCTIONAL:
        found += [{"name": name, "in": "header", "schema": text} for name in _ROUTING]
    return found


def _responses(route: Route, dialect: Dialect) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if route.gives is not None:
        data = _reference(route.gives(dialect))
        if route.listed:
            data = {"type": "array", "items": data}
    statuses = {"200": "Done, or refused with a status code of 2000 and more", "401": "No token"}
    statuses |= {"400": "Not JSON"} if route.takes is not None else {}
    statuses |= {"404": "Unknown object"} if "{" in route.path else {}
    statuses |= {"201": "Created"} if route.method == "PUT" else {}
    statuses |= {"405": "Not in this state"} if route.module == "credentials" else {}
    return {
        status: {
            "description": text,
            "content": {"application/json": {"schema": _envelope(data if status < "300" else {})}},
        }
        for status, text in sorted(statuses.items())
    }


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status_code", "timestamp"],
        "properties": {
            **({"data": data} if data else {}),
            "status_code": {"type": "integer"},
            "status_message": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
        },
    }
