"""Bodies whose shape is a standard's and not ours: any JSON object in our document."""

from __future__ import annotations

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)


class JsonObjectOperation(Operation):
    """Says in the document that the body is a JSON object described elsewhere."""

    def __post_init__(self) -> None:
        """Add the body to what the signature tells."""
        self.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))},
            description="An object exactly as the standard has it.",
            required=True,
        )
