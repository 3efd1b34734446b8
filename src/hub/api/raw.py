"""What our document says where types alone do not tell it: bodies read by hand, exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition


class ExactNumbers(OpenAPISchemaPlugin):
    """Decimals travel as JSON numbers; the framework would say strings."""

    @staticmethod
    def is_plugin_supported_type(value: object) -> bool:
        """Whether ``value`` is the type of exact numbers."""
        return value is Decimal

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """A number."""
        del field_definition, schema_creator
        return Schema(type=OpenAPIType.NUMBER)


@dataclass
class JsonObjectOperation(Operation):
    """Says in the document that the body is a JSON object described elsewhere."""

    def __post_init__(self) -> None:
        """Add the body to what the signature tells."""
        self.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))},
            description="An object exactly as the standard has it.",
            required=True,
        )


@dataclass
class LocationsOperation(Operation):
    """Says in the document that the body is one location, or a list of them."""

    def __post_init__(self) -> None:
        """Add the body to what the signature tells."""
        one = Schema(type=OpenAPIType.OBJECT)
        either = Schema(one_of=[one, Schema(type=OpenAPIType.ARRAY, items=one)])
        self.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=either)},
            description="An OCPI Location object (2.1.1 to 2.3.0), or a list of them.",
            required=True,
        )


@dataclass
class TokensOperation(Operation):
    """Says in the document that the body is a list of tokens, each read on its own."""

    def __post_init__(self) -> None:
        """Add the body to what the signature tells."""
        rows = Schema(type=OpenAPIType.ARRAY, items=Reference(ref="#/components/schemas/NewToken"))
        self.request_body = RequestBody(
            content={"application/json": OpenAPIMediaType(schema=rows)}, required=True
        )
