"""Pages: templates with strict names, headers that forbid foreign code, and forms that are ours."""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from hub.console import words
from hub.console.session import Visitor
from hub.kernel import HubError

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
}

ASSETS: Final = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class ForeignForm(HubError):
    """A form that this console did not hand out, or that belongs to an older session."""

    code = "foreign_form"
    status = 403

    def __str__(self) -> str:
        return "this form is from an older session; go back, load the page again and repeat it"


@cache
def templates() -> Environment:
    """The templates: everything is escaped, and an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("hub.console", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(words.FILTERS)
    made.globals.update(words.GLOBALS)
    made.globals["asset"] = asset_url
    return made


@cache
def asset(name: str) -> bytes:
    """The content of one of our own static files."""
    return files("hub.console").joinpath("static", name).read_bytes()


@cache
def asset_url(name: str) -> str:
    """Where a static file is served; the address changes with its content."""
    return f"/console/static/{name}?v={hashlib.sha256(asset(name)).hexdigest()[:12]}"


def page(
    request: Request[Visitor, Any, Any], template: str, *, status: int = 200, **context: object
) -> Response[str]:
    """A page for somebody who is signed in."""
    text = templates().get_template(template).render(
        path=request.url.path, caller=request.user, csrf=request.user.csrf, **context
    )  # fmt: skip
    return Response(text, status_code=status, media_type="text/html", headers=HEADERS)


def sign_in_page(*, status: int = 200, wrong: bool = False) -> Response[str]:
    """The sign-in form."""
    text = templates().get_template("sign_in.html").render(wrong=wrong)
    return Response(text, status_code=status, media_type="text/html", headers=HEADERS)


async def checked_form(request: Request[Visitor, Any, Any]) -> dict[str, str]:
    """The form of a POST; ``ForeignForm`` when it does not carry the session's CSRF secret."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    given = form.get("csrf", "").encode()
    if not hmac.compare_digest(given, request.user.csrf.encode()):
        raise ForeignForm
    return form
