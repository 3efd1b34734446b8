"""The OpenAPI document names everything that is served, and only that."""

from __future__ import annotations

from typing import Any

from hub.ocpi import ocpi_openapi
from hub.ocpi.door import routes_of
from hub.ocpi.request import pattern
from hub.ocpi.v221 import V221
from tests.ocpi.conftest import Hub


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(_references, node.values()))
    if isinstance(node, list):
        return set().union(*map(_references, node))
    return set()


async def test_every_route_is_documented_and_every_reference_resolves(hub: Hub) -> None:
    document = ocpi_openapi(hub.door)
    served = {
        ("/ocpi/" + "/".join(pattern(route, V221)), route.method.lower())
        for route in routes_of(hub.door.handshake, (V221,))
    }
    documented = {(path, how) for path, item in document["paths"].items() for how in item}
    assert documented == served
    schemas = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in _references(document)} <= set(schemas)
    cdr = schemas["Cdr"]
    assert "total_cost" in cdr["required"]
    assert "remark" not in cdr["required"]
    names = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(names) == len(set(names))
