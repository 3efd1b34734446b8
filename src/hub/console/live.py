"""The live feed of the console: new texts for elements of the page, as server-sent events.

Every look reads the truth from Postgres; the bus only says that a look is worth it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from hub.api.access import Principal, needs
from hub.api.ports import Wired, Wiring
from hub.api.sessions import SessionRow, sessions
from hub.console import words
from hub.console.today import Today, today
from hub.kernel import encode

_MOST = 200
_EVERY = 1
_BREATH = 15


def texts_of(now: datetime, day: Today, running: list[SessionRow]) -> dict[str, str]:
    """What the elements of any page should say: keys are their ``data-live`` names."""
    found = {
        "today:online": str(day.online),
        "today:running": str(day.running),
        "today:energy": words.kwh(day.energy_wh),
        "today:revenue": words.money(day.revenue, day.currency),
        "today:failed": str(day.failed),
    }
    for one in running:
        key = f"session:{one.id}"
        found[f"{key}:energy"] = words.kwh(one.energy_wh)
        found[f"{key}:price"] = words.money(one.price_incl, one.currency)
        found[f"{key}:duration"] = words.since(one.started_at, one.ended_at or now)
    return found


@get("/live", guards=[needs("charging:read")])
async def live(request: Request[Principal, Any, Any], wiring: Wired) -> ServerSentEvent:
    """What has changed since the last look, until the page is left."""
    return ServerSentEvent(_changes(wiring, request.user), headers={"cache-control": "no-store"})


async def _changes(wiring: Wiring, caller: Principal) -> AsyncIterator[ServerSentEventMessage]:
    shown: dict[str, str] = {}
    ids: set[UUID] | None = None
    quiet = 0
    with wiring.bus.subscribe("live*") as told:
        while True:
            async with wiring.database.tx(caller.tenant, actor=caller.name) as tx:
                running = await sessions(tx, state="ACTIVE", limit=_MOST)
                texts = texts_of(tx.now, await today(tx), running)
            present = {one.id for one in running}
            if ids is not None and present != ids:
                yield ServerSentEventMessage(event="reload", data="{}")
            changed = {key: text for key, text in texts.items() if shown.get(key) != text}
            quiet += 1
            if changed:
                yield ServerSentEventMessage(event="text", data=encode(changed).decode())
                quiet = 0
            elif quiet >= _BREATH:
                yield ServerSentEventMessage(comment="still here")
                quiet = 0
            ids, shown = present, texts
            await told.get(_EVERY)
