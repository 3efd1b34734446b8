"""Every page of the console and every button on them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.messages import exchanges, frames_of
from hub.api.pages import Cursor, cursor_of, key_of
from hub.api.ports import Wired, Work
from hub.api.problems import problem_of
from hub.api.sessions import SessionRow, readings, session, sessions
from hub.api.stations import station_url
from hub.api.web import provide_tx
from hub.api.work import job_number
from hub.charging import exceptions, resolve_exception
from hub.console.curve import curve_of
from hub.console.live import live
from hub.console.pages import ASSETS, asset, checked_form, page, sign_in_page
from hub.console.session import ConsoleLock, Visitor
from hub.console.today import balanced, newest_cdrs, today
from hub.kernel import HubError, InvalidValue
from hub.ledger import accounts, transactions
from hub.parties import partners
from hub.runtime.jobs import dead_jobs, drop_job, replay_job
from hub.settlement import held_sessions
from hub.stations import (
    approve_station,
    commands,
    connector_statuses,
    refuse_station,
    station,
    stations,
)

Html = Response[str]
Asked = Request[Visitor, Any, Any]
Chosen = Annotated[str, QueryParameter(name="state")]
_PAGE = 50
_LONGEST = 1000


@get("/static/{name:str}")
async def static(name: FromPath[str]) -> Response[bytes]:
    """One of our own static files; its address changes with its content."""
    if name not in ASSETS:
        raise NotFoundException
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(asset(name), media_type=ASSETS[name], headers=headers)


@get("/sign-in")
async def sign_in_form() -> Html:
    """The sign-in form."""
    return sign_in_page()


@post("/sign-in", status_code=303)
async def sign_in(
    request: Request[Any, Any, Any], lock: NamedDependency[ConsoleLock]
) -> Html | Redirect:
    """Open a session with an API token."""
    form = await request.form()
    cookie = await lock.sign_in(str(form.get("token", "")))
    if cookie is None:
        return sign_in_page(status=401, wrong=True)
    return Redirect("/console", status_code=303, cookies=[cookie])


@post("/sign-out", status_code=303)
async def sign_out(request: Asked, lock: NamedDependency[ConsoleLock]) -> Redirect:
    """End the session in this browser."""
    await checked_form(request)
    return Redirect("/console/sign-in", status_code=303, cookies=[lock.sign_out()])


@get("/")
async def overview(request: Asked, tx: Work) -> Html:
    """How today is."""
    running = await sessions(tx, state="ACTIVE", limit=_PAGE)
    return page(request, "overview.html", now=tx.now, today=await today(tx), running=running)


@get("/stations", guards=[needs("stations:read")])
async def station_list(
    request: Asked, tx: Work, chosen: Chosen = "", cursor: Cursor = None
) -> Html:
    """Stations with the states of their EVSEs."""
    key = key_of(cursor, tuple[str])
    found = await stations(tx, after=key[0] if key else "", limit=_PAGE + 1, state=chosen or None)
    shown = [
        (one, [c for c in await connector_statuses(tx, one.id) if c.evse]) for one in found[:_PAGE]
    ]
    later = cursor_of((found[_PAGE - 1].id,)) if len(found) > _PAGE else None
    return page(request, "stations.html", now=tx.now, stations=shown, chosen=chosen, next=later)


@get("/stations/{station_id:str}", guards=[needs("stations:read")])
async def station_page(request: Asked, tx: Work, wiring: Wired, station_id: FromPath[str]) -> Html:
    """One station."""
    return await _station(request, tx, wiring, station_id)


async def _station(
    request: Asked, tx: Work, wiring: Wired, station_id: str, made: str | None = None
) -> Html:
    one = await station(tx, station_id)
    exchanged = await exchanges(tx, one.id, limit=20)
    return page(
        request, "station.html", now=tx.now, one=one, made=made,
        url=station_url(wiring.settings, one.id, one.profile),
        connectors=await connector_statuses(tx, one.id),
        sessions=await sessions(tx, station=one.id, limit=10),
        commands=await commands(tx, one.id, limit=10),
        frames=[frame for found in exchanged for frame in frames_of(found)],
        may_write=request.user.may("stations:write"),
    )  # fmt: skip


@post("/stations/{station_id:str}/approve", guards=[needs("stations:write")], status_code=200)
async def approve(request: Asked, tx: Work, wiring: Wired, station_id: FromPath[str]) -> Html:
    """Let a waiting station in, with the security profile by which it came."""
    await checked_form(request)
    waiting = await station(tx, station_id)
    registered = await approve_station(tx, station_id, profile=waiting.profile)
    return await _station(request, tx, wiring, station_id, registered.password)


@post("/stations/{station_id:str}/refuse", guards=[needs("stations:write")], status_code=303)
async def refuse(request: Asked, tx: Work, station_id: FromPath[str]) -> Redirect:
    """Keep a station out."""
    await checked_form(request)
    await refuse_station(tx, station_id)
    return Redirect("/console/stations", status_code=303)


@get("/sessions", guards=[needs("charging:read")])
async def session_list(
    request: Asked, tx: Work, chosen: Chosen = "", cursor: Cursor = None
) -> Html:
    """Sessions, newest first."""
    key = key_of(cursor, tuple[UUID])
    found = await sessions(
        tx, before=key[0] if key else None, limit=_PAGE + 1, state=chosen or None
    )
    older = cursor_of((found[_PAGE - 1].id,)) if len(found) > _PAGE else None
    return page(
        request, "sessions.html", now=tx.now, sessions=found[:_PAGE], chosen=chosen, next=older
    )


@get("/sessions/{session_id:str}", guards=[needs("charging:read")])
async def session_page(request: Asked, tx: Work, session_id: FromPath[str]) -> Html:
    """One session with its curve."""
    one = await session(tx, uuid_of(session_id, "session"))
    curve = curve_of(await readings(tx, one.id), _registers(one))
    return page(request, "session.html", now=tx.now, one=one, curve=curve)


def _registers(one: SessionRow) -> list[tuple[datetime, Decimal]]:
    ends = ((one.started_at, one.meter_start), (one.ended_at, one.meter_stop))
    return [(at, wh) for at, wh in ends if at is not None and wh is not None]


@get("/cdrs", guards=[needs("finance:read")])
async def cdr_list(request: Asked, tx: Work, cursor: Cursor = None) -> Html:
    """CDRs, newest first."""
    key = key_of(cursor, tuple[UUID])
    found = await newest_cdrs(tx, before=key[0] if key else None, limit=_PAGE + 1)
    older = cursor_of((found[_PAGE - 1].id,)) if len(found) > _PAGE else None
    names = {one.id: one.name for one in await partners(tx)}
    return page(request, "cdrs.html", cdrs=found[:_PAGE], next=older, names=names)


_KINDS = {
    "A": "asset", "L": "liability", "E": "expense", "R": "revenue", "X": "residue", "M": "memo",
}  # fmt: skip


@get("/books", guards=[needs("finance:read")])
async def books(request: Asked, tx: Work) -> Html:
    """Accounts, the balance light, the latest entries."""
    found = await accounts(tx)
    latest = [
        (one, sum(leg.amount for leg in one.legs if leg.amount > 0))
        for one in await transactions(tx, limit=20)
    ]
    return page(
        request, "books.html", accounts=found, balanced=balanced(found), transactions=latest,
        kinds=_KINDS,
    )  # fmt: skip


@get("/work", guards=[needs("system:read")])
async def work(request: Asked, tx: Work) -> Html:
    """What waits for a person: sessions to decide on, held ones, and dead jobs."""
    may_write = request.user.may("system:write")
    return page(
        request, "work.html", jobs=await dead_jobs(tx, 500), may_write=may_write,
        exceptions=await exceptions(tx, limit=500), held=await held_sessions(tx, 500),
        may_resolve=request.user.may("charging:write"),
    )  # fmt: skip


@post("/work/exceptions/{exception_id:str}/resolve", guards=[needs("charging:write")],
      status_code=303)  # fmt: skip
async def resolve(request: Asked, tx: Work, exception_id: FromPath[str]) -> Redirect:
    """Say what was decided about a session; one that was held is then settled."""
    decided = (await checked_form(request)).get("resolution", "").strip()
    if not 1 <= len(decided) <= _LONGEST:
        raise InvalidValue("resolution", f"say what was decided, in 1 to {_LONGEST} characters")
    await resolve_exception(tx, uuid_of(exception_id, "exception"), decided)
    return Redirect("/console/work", status_code=303)


@post("/work/{job_id:str}/replay", guards=[needs("system:write")], status_code=303)
async def replay(request: Asked, tx: Work, job_id: FromPath[str]) -> Redirect:
    """Try a dead job again."""
    await checked_form(request)
    await replay_job(tx, job_number(job_id))
    return Redirect("/console/work", status_code=303)


@post("/work/{job_id:str}/drop", guards=[needs("system:write")], status_code=303)
async def drop(request: Asked, tx: Work, job_id: FromPath[str]) -> Redirect:
    """Give a dead job up."""
    await checked_form(request)
    await drop_job(tx, job_number(job_id))
    return Redirect("/console/work", status_code=303)


@get("/{rest:path}")
async def nowhere(rest: FromPath[str]) -> None:
    """Any other address: a page that says so, where a browser would show bare JSON."""
    raise NotFoundException(detail=f"The console has no page at {rest}.")


def show_error(request: Asked, error: Exception) -> Html:
    """The page that tells what went wrong."""
    found = problem_of(error)
    if not isinstance(request.scope.get("user"), Visitor):
        return sign_in_page(status=found.status, wrong=True)
    return page(
        request, "problem.html", status=found.status, title=found.title, detail=found.detail
    )


def console_router(lock: ConsoleLock) -> Router:
    """Everything below ``/console``."""
    return Router(
        "/console",
        route_handlers=[
            static, sign_in_form, sign_in, sign_out, overview, live, station_list, station_page,
            approve, refuse, session_list, session_page, cdr_list, books, work, resolve, replay,
            drop, nowhere,
        ],
        dependencies={
            "tx": Provide(provide_tx), "lock": Provide(lambda: lock, sync_to_thread=False),
        },
        exception_handlers={HubError: show_error, HTTPException: show_error},
        include_in_schema=False,
    )  # fmt: skip


PUBLIC = frozenset({"/console/sign-in", *(f"/console/static/{name}" for name in ASSETS)})
"""Addresses that need no session."""
