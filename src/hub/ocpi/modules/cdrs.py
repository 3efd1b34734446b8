"""CDRs of a partner's drivers, for that partner to read (CD-1, CD-15)."""

from __future__ import annotations

from hub.ocpi.call import Call, Route
from hub.ocpi.cdr_reading import page_of_cdrs
from hub.ocpi.envelope import Reply
from hub.ocpi.modules.sessions import check_cursor
from hub.ocpi.paging import Found, asked_page, page_reply
from hub.runtime import Tx


async def list_cdrs(tx: Tx, call: Call) -> Reply:
    """A page of the caller's CDRs, oldest first."""
    page = asked_page(call.query)
    check_cursor(page.after)
    cdrs, more, total = await page_of_cdrs(tx, call.partner.id, page)
    last = cdrs[-1].id if cdrs else ""
    lowered = [call.dialect.cdr.lower(one) for one in cdrs]
    return page_reply(call, page, Found(lowered, last, total, more))


ROUTES = [
    Route(
        module="cdrs", side="sender", method="GET", path="", action=list_cdrs,
        summary="CDRs of the caller's drivers", gives=lambda d: d.cdr.wire, listed=True,
    ),
]  # fmt: skip
