"""Our tariffs on offer, for partners to read (TA-1)."""

from __future__ import annotations

from hub.ocpi.call import Call, Route
from hub.ocpi.envelope import Reply
from hub.ocpi.paging import Found, asked_page, page_reply
from hub.runtime import Tx
from hub.tariffs import load_tariff

_WHERE = """deleted_at IS NULL AND version > 0
  AND (%s::timestamptz IS NULL OR last_updated >= %s)
  AND (%s::timestamptz IS NULL OR last_updated < %s)"""


async def list_tariffs(tx: Tx, call: Call) -> Reply:
    """A page of our current tariffs, in the order of their ids."""
    page = asked_page(call.query)
    filters = (page.date_from, page.date_from, page.date_to, page.date_to)
    rows = await tx.rows(
        f"""SELECT id FROM tariffs.v_tariff WHERE {_WHERE} AND lower(id) > lower(%s)
            ORDER BY lower(id) LIMIT %s OFFSET %s""",
        *filters, page.after, page.limit + 1, 0 if page.after else page.offset,
    )  # fmt: skip
    total = await tx.value(f"SELECT count(*) FROM tariffs.v_tariff WHERE {_WHERE}", *filters)
    ids = [str(row[0]) for row in rows[: page.limit]]
    shown = [call.dialect.tariff.lower(await load_tariff(tx, one)) for one in ids]
    last = ids[-1] if ids else ""
    return page_reply(call, page, Found(shown, last, int(total), len(rows) > page.limit))


ROUTES = [
    Route(
        module="tariffs", side="sender", method="GET", path="", action=list_tariffs,
        summary="Our tariffs", gives=lambda d: d.tariff.wire, listed=True,
    ),
]  # fmt: skip
