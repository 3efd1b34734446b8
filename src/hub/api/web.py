"""The HTTP application: routes, problems, OpenAPI document, and the gate before all of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.serialization import default_serializer
from litestar.types import ASGIApp, Serializer

from hub import __version__
from hub.api.access import BearerLock, Gate, Lock
from hub.api.docs import DocsPage
from hub.api.ports import Wiring
from hub.api.problems import NotJson, answer_error
from hub.api.raw import ExactNumbers
from hub.api.routes import HANDLERS, PUBLIC
from hub.kernel import HubError, encode
from hub.runtime import Tx

_MAX_BODY = 32 * 1024 * 1024

_INTRODUCTION = """Stations, sessions, CDRs, tokens, tariffs, partners and books over REST.

Send a token as `Authorization: Bearer ...` (`hub token create --role admin`). Lists answer
`{"items": [...], "next": cursor or null}`; give `next` back as `cursor`. Errors are RFC 9457
problems. Amounts and energies are exact decimal numbers: read them into a decimal type."""

_TAGS = (
    ("stations", "Stations, what they report, and the commands sent to them."),
    ("charging", "Sessions and the tokens that start them."),
    ("tariffs", "What energy costs."),
    ("partners", "Roaming partners and locations."),
    ("finance", "CDRs, the ledger and statements."),
    ("system", "Health, failed work and its repair."),
)


class ExactResponse(Response[Any]):
    """JSON by the kernel's encoder: decimals are exact numbers, members in declared order."""

    def render(
        self, content: Any, media_type: str, enc_hook: Serializer = default_serializer
    ) -> bytes:
        """The body."""
        if isinstance(content, bytes | str) or content is None or "json" not in media_type:
            return super().render(content, media_type, enc_hook)
        return encode(content)


async def provide_tx(request: Request[Any, Any, Any]) -> AsyncGenerator[Tx, None]:
    """One transaction of the caller's tenant, committed before the answer is sent."""
    caller = request.user
    wiring: Wiring = request.app.state.wiring
    async with wiring.database.tx(caller.tenant, actor=caller.name) as tx:
        yield tx


def provide_wiring(request: Request[Any, Any, Any]) -> Wiring:
    """What the composition root gave."""
    wiring: Wiring = request.app.state.wiring
    return wiring


@get("/api/openapi.json", include_in_schema=False, media_type="application/json")
async def openapi_json(request: Request[Any, Any, Any]) -> bytes:
    """The OpenAPI document."""
    return encode(request.app.openapi_schema.to_schema())


# The second is what `curl -d` says of any body.
_READ_AS_JSON = ("application/json", "application/x-www-form-urlencoded", "")


def only_json(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that says it is something else: ``NotJson``."""
    if request.headers.get("content-length", "0") == "0":
        return
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _READ_AS_JSON and not media_type.endswith("+json"):
        raise NotJson(media_type)


def api_router() -> Router:
    """Everything below ``/api/v1``."""
    return Router(
        "/api/v1",
        route_handlers=list(HANDLERS),
        dependencies={"tx": Provide(provide_tx)},
        response_class=ExactResponse,
        before_request=only_json,
        security=[{"token": []}],
    )


def litestar_app(wiring: Wiring, doors: Sequence[Router | ASGIRouteHandler] = ()) -> Litestar:
    """The application behind the gate: our API and the routers of the other HTTP doors."""
    app = Litestar(
        route_handlers=[api_router(), openapi_json, *PUBLIC, *doors],
        dependencies={"wiring": Provide(provide_wiring, sync_to_thread=False)},
        openapi_config=_openapi(),
        exception_handlers={
            HubError: answer_error, HTTPException: answer_error, Exception: answer_error,
        },
        request_max_body_size=_MAX_BODY,
        logging_config=None,
        plugins=[ExactNumbers()],
    )  # fmt: skip
    app.state.wiring = wiring
    return app


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="charging-hub",
        version=__version__,
        description=_INTRODUCTION,
        path="/api/docs",
        render_plugins=[DocsPage()],
        use_handler_docstrings=True,
        tags=[Tag(name=name, description=text) for name, text in _TAGS],
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}
        ),
    )


_PUBLIC = frozenset({"/healthz", "/readyz", "/metrics", "/api/openapi.json", "/api/docs"})


def gated(
    app: Litestar,
    wiring: Wiring,
    locks: Mapping[str, Lock | None],
    *,
    public: frozenset[str] = frozenset(),
) -> ASGIApp:
    """``app`` behind the gate. ``locks`` and ``public`` add the addresses of other doors."""
    bearer = BearerLock(wiring.database, wiring.settings.admin_token)
    return Gate(app, locks, public=_PUBLIC | public, otherwise=bearer)


def openapi_document(wiring: Wiring) -> bytes:
    """The OpenAPI document of our REST API, indented for reading and for diffs."""
    import json

    document = litestar_app(wiring).openapi_schema.to_schema()
    return json.dumps(document, indent=1, sort_keys=False, default=str).encode() + b"\n"
