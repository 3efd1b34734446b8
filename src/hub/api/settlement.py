"""CDRs, and the statements on which they are settled."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.api.tariffs import ocpi_of
from hub.settlement import (
    Cdr,
    Held,
    Statement,
    StatementTotal,
    cdr,
    cdrs,
    close_statement,
    credit_cdr,
    held_sessions,
    statement,
    statement_csv,
    statement_json,
    statements,
)

OfPartner = Annotated[
    str | None, QueryParameter(name="partner", description="Only those of this partner.")
]
Format = Annotated[
    Literal["json", "csv"], QueryParameter(name="format", description="How to write it.")
]


class StatementShape(msgspec.Struct, frozen=True, kw_only=True):
    """A closed statement without its lines. ``partner_id`` null: our own drivers.

    ``currency`` and the totals beside it are those of its one currency; null when it holds CDRs
    of several (see ``totals``) or of none.
    """

    id: str
    partner_id: str | None
    start: datetime
    end: datetime
    closed_at: datetime
    currency: str | None
    energy_kwh: Decimal | None
    total_excl_vat: Decimal | None
    total_incl_vat: Decimal | None
    totals: list[StatementTotal]
    lines: int

    @classmethod
    def of(cls, one: Statement) -> StatementShape:
        """The shape of a stored statement."""
        partner = None if one.partner_id is None else str(one.partner_id)
        sole = one.totals[0] if len(one.totals) == 1 else None
        return cls(
            id=str(one.id), partner_id=partner, start=one.start, end=one.end,
            currency=sole.currency if sole else None,
            energy_kwh=sole.energy_kwh if sole else None,
            total_excl_vat=sole.excl_vat if sole else None,
            total_incl_vat=sole.incl_vat if sole else None,
            closed_at=one.closed_at, totals=list(one.totals), lines=len(one.lines),
        )  # fmt: skip


class NewStatement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to settle: CDRs issued in [start, end) of a partner, or of our own drivers."""

    start: Annotated[datetime, msgspec.Meta(tz=True)]
    end: Annotated[datetime, msgspec.Meta(tz=True)]
    partner_id: str | None = None


class Credit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a CDR is credited."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class HeldShape(msgspec.Struct, frozen=True):
    """A closed session that is not billed, and why."""

    session_id: str
    reason: str
    held_at: datetime

    @classmethod
    def of(cls, one: Held) -> HeldShape:
        """The shape of a held session."""
        return cls(str(one.session_id), one.reason, one.held_at)


def cdr_shape(one: Cdr) -> dict[str, Any]:
    """A CDR in OCPI's words; absent members are left out."""
    found = {
        name: value for name in one.__struct_fields__ if (value := getattr(one, name)) is not None
    }
    return found | {"tariffs": [ocpi_of(tariff) for tariff in one.tariffs]}


@get(
    "/cdrs", tags=["finance"], operation_id="list_cdrs", responses=answers(404),
    guards=[needs("finance:read")],
)  # fmt: skip
async def list_cdrs(
    tx: Work, partner: OfPartner = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """CDRs in order of issue, in OCPI's words, credits included."""
    owner = uuid_of(partner, "partner") if partner else None
    key = key_of(cursor, tuple[datetime, UUID])
    rows = await cdrs(tx, after=key, limit=limit + 1, partner_id=owner)
    return page_of(rows, limit, lambda one: (one.last_updated, one.id), cdr_shape)


@get(
    "/cdrs/{cdr_id:str}", tags=["finance"], operation_id="get_cdr", responses=answers(404),
    guards=[needs("finance:read")],
)  # fmt: skip
async def get_cdr(tx: Work, cdr_id: FromPath[str]) -> dict[str, Any]:
    """One CDR."""
    return cdr_shape(await cdr(tx, uuid_of(cdr_id, "CDR")))


@post(
    "/cdrs/{cdr_id:str}/credit", tags=["finance"], operation_id="credit_cdr",
    responses=answers(404, 409), guards=[needs("finance:write")],
)  # fmt: skip
async def credit(tx: Work, cdr_id: FromPath[str], data: JSONBody[Credit]) -> dict[str, Any]:
    """Credit a CDR in whole, with its reversing entry; once, however often it is asked."""
    return cdr_shape(await credit_cdr(tx, uuid_of(cdr_id, "CDR"), data.reason))


@get(
    "/settlement/held", tags=["finance"], operation_id="list_held_sessions", responses=answers(),
    guards=[needs("finance:read")],
)  # fmt: skip
async def list_held(tx: Work, limit: Limit = 50, cursor: Cursor = None) -> Page[HeldShape]:
    """Closed sessions that wait for somebody before they are billed, oldest first."""
    key = key_of(cursor, tuple[datetime, UUID])
    rows = await held_sessions(tx, limit + 1, after=key)
    return page_of(rows, limit, lambda one: (one.held_at, one.session_id), HeldShape.of)


@get(
    "/settlement/statements", tags=["finance"], operation_id="list_statements",
    responses=answers(), guards=[needs("finance:read")],
)  # fmt: skip
async def list_statements(
    tx: Work, limit: Limit = 50, cursor: Cursor = None
) -> Page[StatementShape]:
    """Closed statements, newest first, those without a CDR included."""
    key = key_of(cursor, tuple[UUID])
    rows = await statements(tx, before=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit, lambda one: (one.id,), StatementShape.of)


@post(
    "/settlement/statements", tags=["finance"], operation_id="close_statement",
    responses=answers(404, 409), guards=[needs("finance:write")],
)  # fmt: skip
async def close(tx: Work, data: JSONBody[NewStatement]) -> StatementShape:
    """Put what was issued in a period, and on no statement yet, on a statement for ever."""
    partner = uuid_of(data.partner_id, "partner") if data.partner_id else None
    return StatementShape.of(await close_statement(tx, partner, data.start, data.end))


@get(
    "/settlement/statements/{statement_id:str}", tags=["finance"], operation_id="get_statement",
    guards=[needs("finance:read")],
    responses={
        **answers(404),
        200: ResponseSpec(
            Statement, description="The statement with its lines (or as CSV).",
            generate_examples=False,
        ),
    },
)  # fmt: skip
async def get_statement(
    tx: Work, statement_id: FromPath[str], written: Format = "json"
) -> Response[bytes]:
    """One statement with its lines, as JSON or (``format=csv``) for a spreadsheet."""
    found = await statement(tx, uuid_of(statement_id, "statement"))
    if written == "csv":
        name = f'attachment; filename="statement-{found.id}.csv"'
        return Response(
            statement_csv(found), media_type="text/csv; charset=utf-8",
            headers={"content-disposition": name},
        )  # fmt: skip
    return Response(statement_json(found), media_type="application/json")
