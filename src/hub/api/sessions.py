"""Sessions as operators see them: times, energy, why it stopped, and the price so far."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from hub.api.access import needs
from hub.api.commands import uuid_of
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.kernel import NotFound
from hub.runtime import Tx

SessionState = Literal["PENDING", "ACTIVE", "COMPLETED", "INVALID", "RESERVATION"]

OfStation = Annotated[
    str | None, QueryParameter(name="station", description="Only sessions of this station.")
]
OfToken = Annotated[
    str | None, QueryParameter(name="token", description="Only sessions of this token uid.")
]
InState = Annotated[
    SessionState | None, QueryParameter(name="state", description="Only sessions in this state.")
]


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session as the view ``charging.v_session`` shows it."""

    id: UUID
    station_id: str
    number: int
    ref: str | None
    evse: int | None
    connector: int | None
    evse_uid: str | None
    location_id: str | None
    token_uid: str | None
    token_type: str | None
    contract_id: str | None
    partner_id: UUID | None
    auth_method: str | None
    authorization_reference: str | None
    state: SessionState
    started_at: datetime
    ended_at: datetime | None
    meter_start: Decimal | None
    meter_stop: Decimal | None
    energy_wh: Decimal
    stop_reason: str | None
    tariff_id: str | None
    tariff_version: int | None
    currency: str
    time_zone: str
    estimated: bool
    flags: list[str]
    price_excl: Decimal | None
    price_incl: Decimal | None
    last_updated: datetime
    held_reason: str | None

    @property
    def energy_kwh(self) -> Decimal:
        """Energy in kWh, exact."""
        return self.energy_wh.scaleb(-3)

    @property
    def transaction(self) -> str:
        """How the station names it: its own reference (2.x) or our number (1.6)."""
        return self.ref if self.ref is not None else str(self.number)


class ReadingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reading as the view ``charging.v_reading`` shows it."""

    at: datetime
    measurand: str
    phase: str | None
    context: str
    unit: str
    value: Decimal


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a session costs so far, or in the end; null while nothing is priced."""

    currency: str
    excl_vat: Decimal | None
    incl_vat: Decimal | None


class SessionShape(msgspec.Struct, frozen=True, kw_only=True):
    """A session. ``transaction_id`` is the station's own name of it."""

    id: str
    station_id: str
    transaction_id: str
    evse: int | None
    connector: int | None
    evse_uid: str | None
    location_id: str | None
    token_uid: str | None
    token_type: str | None
    contract_id: str | None
    partner_id: str | None
    auth_method: str | None
    authorization_reference: str | None
    state: SessionState
    started_at: datetime
    ended_at: datetime | None
    stop_reason: str | None
    meter_start_wh: Decimal | None
    meter_stop_wh: Decimal | None
    energy_wh: Decimal
    energy_kwh: Decimal
    tariff_id: str | None
    tariff_version: int | None
    price: Price
    estimated: bool
    flags: list[str]
    held_reason: str | None
    """Why the session got no CDR yet; null when it has one, runs, or needs none."""
    last_updated: datetime

    @classmethod
    def of(cls, row: SessionRow) -> SessionShape:
        """The shape of a stored session."""
        same = {name: getattr(row, name) for name in cls.__struct_fields__ if hasattr(row, name)}
        return cls(**(same | {
            "id": str(row.id),
            "partner_id": None if row.partner_id is None else str(row.partner_id),
            "transaction_id": row.transaction,
            "meter_start_wh": row.meter_start,
            "meter_stop_wh": row.meter_stop,
            "price": Price(
                currency=row.currency, excl_vat=row.price_excl, incl_vat=row.price_incl
            ),
        }))  # fmt: skip


_HELD = """(SELECT h.reason FROM settlement.v_held h
  WHERE h.session_id = s.id AND h.resolved_at IS NULL) AS held_reason"""
_COLUMNS = ", ".join(_HELD if n == "held_reason" else n for n in SessionRow.__struct_fields__)


async def sessions(
    tx: Tx,
    *,
    before: UUID | None = None,
    limit: int = 50,
    station: str | None = None,
    token: str | None = None,
    state: str | None = None,
) -> list[SessionRow]:
    """A page of the tenant's sessions, newest first, older than ``before``."""
    return await tx.all(
        SessionRow,
        f"""SELECT {_COLUMNS} FROM charging.v_session s
            WHERE (%s::uuid IS NULL OR id < %s)
              AND (%s::text IS NULL OR lower(station_id) = lower(%s))
              AND (%s::text IS NULL OR lower(token_uid) = lower(%s))
              AND (%s::text IS NULL OR state = %s)
            ORDER BY id DESC LIMIT %s""",
        before, before, station, station, token, token, state, state, limit,
    )  # fmt: skip


async def session(tx: Tx, session_id: UUID) -> SessionRow:
    """One session; ``NotFound`` when the tenant has none of that id."""
    found = await tx.one(
        SessionRow, f"SELECT {_COLUMNS} FROM charging.v_session s WHERE id = %s", session_id
    )
    if found is None:
        raise NotFound("session", str(session_id))
    return found


async def readings(tx: Tx, session_id: UUID, limit: int = 5000) -> list[ReadingRow]:
    """What was measured during a session, oldest first."""
    return await tx.all(
        ReadingRow,
        """SELECT at, measurand, phase, context, unit, value FROM charging.v_reading
           WHERE session_id = %s ORDER BY at, measurand, phase LIMIT %s""",
        session_id, limit,
    )  # fmt: skip


@get(
    "/sessions", tags=["charging"], operation_id="list_sessions", responses=answers(),
    guards=[needs("charging:read")],
)  # fmt: skip
async def list_sessions(
    tx: Work,
    *,
    station: OfStation = None,
    token: OfToken = None,
    in_state: InState = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SessionShape]:
    """The tenant's sessions, newest first."""
    key = key_of(cursor, tuple[UUID])
    rows = await sessions(
        tx, before=key[0] if key else None, limit=limit + 1, station=station, token=token,
        state=in_state,
    )  # fmt: skip
    return page_of(rows, limit, lambda row: (row.id,), SessionShape.of)


@get(
    "/sessions/{session_id:str}", tags=["charging"], operation_id="get_session",
    responses=answers(404), guards=[needs("charging:read")],
)  # fmt: skip
async def get_session(tx: Work, session_id: FromPath[str]) -> SessionShape:
    """One session: times, energy, stop reason, price so far."""
    return SessionShape.of(await session(tx, uuid_of(session_id, "session")))
