"""The page for people at ``/api/docs``: the OpenAPI document as plain HTML, nothing from afar."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

_METHODS: Final = ("get", "put", "post", "patch", "delete")


class DocsPage(OpenAPIRenderPlugin):
    """Renders the document with a template of ours: no script, no style from another host."""

    def __init__(self) -> None:
        super().__init__(path="/", favicon="", style="")
        self._templates = Environment(
            loader=PackageLoader("hub.api", "html"),
            autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        del request
        source = self._templates.loader
        assert source is not None
        style = source.get_source(self._templates, "docs.css")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return self._page(openapi_schema, style, digest).encode()

    def _page(self, document: dict[str, Any], style: str, digest: str) -> str:
        return self._templates.get_template("docs.html").render(
            document=document,
            tags=list(_by_tag(document)),
            style=style,
            digest=digest,
            shape=lambda schema: _shape(schema, document),
        )


def _by_tag(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    operations = [
        {"path": path, "method": method, **operation}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    for tag in document.get("tags", []):
        yield tag, [one for one in operations if tag["name"] in one.get("tags", [])]


def _shape(schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> str:
    """A schema as one readable line: ``{id: string, tags: [string]}``."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[1]
        if depth > 1:
            return name
        named: dict[str, Any] = document["components"]["schemas"][name]
        return _shape(named, document, depth + 1)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_shape(one, document, depth) for one in schema[key]))
    if "enum" in schema:
        return " | ".join(f'"{one}"' for one in schema["enum"])
    if schema.get("properties"):
        needed = set(schema.get("required", []))
        members = (
            f"{name}{'' if name in needed else '?'}: {_shape(one, document, depth + 1)}"
            for name, one in schema["properties"].items()
        )
        return "{" + ", ".join(members) + "}"
    if schema.get("type") == "array":
        return f"[{_shape(schema.get('items', {}), document, depth)}]"
    kind = schema.get("type", "any")
    text = " | ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} ({schema['format']})" if "format" in schema else text
