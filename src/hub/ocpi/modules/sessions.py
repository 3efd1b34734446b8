"""Sessions of a partner's drivers at our stations, for that partner to read (SE-1)."""

from __future__ import annotations

from uuid import UUID

from hub.ocpi.call import Call, Route
from hub.ocpi.envelope import Invalid, Reply
from hub.ocpi.paging import Found, asked_page, page_reply
from hub.ocpi.session_reading import page_of_sessions
from hub.runtime import Tx


async def list_sessions(tx: Tx, call: Call) -> Reply:
    """A page of the caller's sessions, oldest first; ``date_from`` is required (T-D1)."""
    page = asked_page(call.query, dates_needed=True)
    check_cursor(page.after)
    sessions, more, total = await page_of_sessions(tx, call.partner.id, page)
    last = sessions[-1].id if sessions else ""
    lowered = [call.dialect.session.lower(one) for one in sessions]
    return page_reply(call, page, Found(lowered, last, total, more))


def check_cursor(after: str) -> None:
    """Refuse a cursor that we never gave."""
    try:
        UUID(after or "0" * 32)
    except ValueError as error:
        raise Invalid("after: not a cursor of ours") from error


ROUTES = [
    Route(
        module="sessions", side="sender", method="GET", path="", action=list_sessions,
        summary="Sessions of the caller's drivers", gives=lambda d: d.session.wire, listed=True,
    ),
]  # fmt: skip
