"""CDRs of the settlement room that belong to one partner: one, or a page."""

from __future__ import annotations

from uuid import UUID

from hub.kernel import decode
from hub.ocpi.paging import Page
from hub.runtime import Tx
from hub.settlement.model import Cdr

_WHERE = """partner_id = %s AND (%s::timestamptz IS NULL OR issued_at >= %s)
  AND (%s::timestamptz IS NULL OR issued_at < %s)"""


async def cdr_of_partner(tx: Tx, partner_id: UUID, cdr_id: UUID) -> Cdr | None:
    """One CDR of a partner's driver, or ``None``."""
    body = await tx.value(
        "SELECT body FROM settlement.v_cdr WHERE id = %s AND partner_id = %s", cdr_id, partner_id
    )
    return None if body is None else decode(bytes(body), Cdr)


async def page_of_cdrs(tx: Tx, partner_id: UUID, page: Page) -> tuple[list[Cdr], bool, int]:
    """A page of a partner's CDRs, oldest first; whether more follow; how many in all."""
    filters = (partner_id, page.date_from, page.date_from, page.date_to, page.date_to)
    after = UUID(page.after) if page.after else None
    rows = await tx.rows(
        f"""SELECT body FROM settlement.v_cdr
            WHERE {_WHERE} AND (%s::uuid IS NULL OR id > %s) ORDER BY id LIMIT %s OFFSET %s""",
        *filters, after, after, page.limit + 1, 0 if after else page.offset,
    )  # fmt: skip
    total = await tx.value(f"SELECT count(*) FROM settlement.v_cdr WHERE {_WHERE}", *filters)
    found = [decode(bytes(row[0]), Cdr) for row in rows[: page.limit]]
    return found, len(rows) > page.limit, int(total)
