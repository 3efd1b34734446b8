"""Speaking to the charging room as a station does, one committed message at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hub.charging import (
    Authorizer,
    Session,
    Token,
    close_session,
    exceptions,
    open_session,
    record_meters,
    save_token,
    sessions,
    update_session,
)
from hub.charging.messages import (
    AuthorizeAsked,
    EndAnswer,
    IdToken,
    MetersSampled,
    Reading,
    StartAnswer,
    Transaction,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from hub.runtime import PLATFORM, Database
from hub.stations import StationRef

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class HandClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, at: datetime) -> None:
        self.at = max(self.at, at)


def minute(n: float) -> datetime:
    """``n`` minutes after noon."""
    return NOON + timedelta(minutes=n)


def reading(at: datetime, wh: int | str, context: str = "Sample.Periodic", **more: Any) -> Reading:
    return Reading(at=at, value=Decimal(wh), unit="Wh", context=context, **more)


class Field:
    """One station's messages, each handled as the OCPP door handles it."""

    def __init__(self, database: Database, clock: HandClock, station: StationRef) -> None:
        self.database = database
        self.clock = clock
        self.station = station
        self.authorizer = Authorizer(database, None)

    def at_station(self, name: str) -> Field:
        other = Field(self.database, self.clock, StationRef(PLATFORM, name))  # type: ignore[arg-type]
        other.authorizer = self.authorizer
        return other

    async def card(self, uid: str, **more: Any) -> Token:
        token = Token(
            country_code="NL", party_id="HUB", uid=uid, contract_id=f"NL-HUB-{uid}",
            issuer="Hub", **more,
        )  # fmt: skip
        async with self.database.tx() as tx:
            await save_token(tx, token)
        return token

    async def start(
        self, wh: int | None = 1000, *, at: datetime | None = None, evse: int = 1,
        tag: str | None = "CARD1", received: datetime | None = None, **more: Any,
    ) -> StartAnswer:  # fmt: skip
        at = at or self.clock.now()
        token = None if tag is None else IdToken(tag)
        started = TransactionStarted(
            station=self.station, transaction=more.pop("transaction", Transaction()), at=at,
            received_at=received or max(at, self.clock.now()), evse=evse,
            connector=more.pop("connector", 1), token=token,
            meter_start=None if wh is None else Decimal(wh), **more,
        )  # fmt: skip
        async with self.database.tx() as tx:
            authorization = None
            if token is not None:
                asked = AuthorizeAsked(station=self.station, token=token, evse=evse)
                authorization = await self.authorizer.local(tx, asked)
            return await open_session(tx, started, authorization)

    async def stop(
        self, number: int | None, wh: int | str | None, *, at: datetime | None = None,
        received: datetime | None = None, **more: Any,
    ) -> EndAnswer:  # fmt: skip
        at = at or self.clock.now()
        tag = more.pop("tag", None)
        ended = TransactionEnded(
            station=self.station, transaction=more.pop("transaction", Transaction(number=number)),
            at=at, received_at=received or max(at, self.clock.now()),
            meter_stop=None if wh is None else Decimal(wh),
            token=None if tag is None else IdToken(tag), **more,
        )  # fmt: skip
        async with self.database.tx() as tx:
            return await close_session(tx, ended)

    async def meters(
        self, number: int | None, *readings: Reading, evse: int = 1,
        transaction: Transaction | None = None,
    ) -> int:  # fmt: skip
        if transaction is None and number is not None:
            transaction = Transaction(number=number)
        sampled = MetersSampled(
            station=self.station, received_at=self.clock.now(), evse=evse,
            transaction=transaction, readings=readings,
        )  # fmt: skip
        async with self.database.tx() as tx:
            return await record_meters(tx, [sampled])

    async def update(
        self, ref: str, seq: int, *, at: datetime, tag: str | None = None, **more: Any
    ) -> EndAnswer:
        token = None if tag is None else IdToken(tag)
        updated = TransactionUpdated(
            station=self.station, transaction=Transaction(ref=ref), at=at,
            received_at=max(at, self.clock.now()), seq=seq, token=token, **more,
        )  # fmt: skip
        async with self.database.tx() as tx:
            authorization = None
            if token is not None:
                asked = AuthorizeAsked(station=self.station, token=token)
                authorization = await self.authorizer.local(tx, asked)
            return await update_session(tx, updated, authorization)

    async def sessions(self, station: str | None = None) -> list[Session]:
        async with self.database.tx() as tx:
            return list(reversed(await sessions(tx, station=station, limit=1000)))

    async def only(self) -> Session:
        found = await self.sessions()
        assert len(found) == 1, [(s.natural_key, s.state) for s in found]
        return found[0]

    async def readings(self, session_id: UUID | None = None) -> int:
        async with self.database.tx() as tx:
            return int(
                await tx.value(
                    "SELECT count(*) FROM charging.reading WHERE session_id IS NOT DISTINCT FROM %s",
                    session_id,
                )
            )

    async def exceptions(self) -> list[str]:
        async with self.database.tx() as tx:
            return sorted(one.kind for one in await exceptions(tx))

    async def events(self, name: str) -> int:
        async with self.database.tx() as tx:
            return int(
                await tx.value("SELECT count(*) FROM runtime.event WHERE name = %s",
                               f"charging.{name}")
            )  # fmt: skip
