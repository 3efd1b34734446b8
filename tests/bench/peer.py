"""The peer's shape for P2: ``python -m tests.bench.peer PORT DATABASE_URL``, ``ocpp.ChargePoint`` and an ORM.

Each message is validated by the package in its default way and written through a SQLAlchemy
session with one commit, then answered; no domain logic beyond that.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any

import uvloop
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Base16
from ocpp.v16 import call_result as r16
from ocpp.v201 import ChargePoint as Base201
from ocpp.v201 import call_result as r201
from sqlalchemy import JSON, String
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

logging.getLogger("ocpp").setLevel(logging.CRITICAL)
STAMP = "2026-01-01T00:00:00Z"


class Base(DeclarativeBase):
    """Tables of the peer."""


class Message(Base):
    """One message of a station."""

    __tablename__ = "bench_peer_message"
    id: Mapped[int] = mapped_column(primary_key=True)
    station: Mapped[str] = mapped_column(String(48))
    action: Mapped[str] = mapped_column(String(48))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class Keeping:
    """Writes a message before it is answered."""

    sessions: async_sessionmaker[Any]
    id: str

    async def keep(self, action: str, body: dict[str, Any]) -> int:
        """One session, one row, one commit."""
        async with self.sessions() as session:
            row = Message(station=self.id, action=action, body=body)
            session.add(row)
            await session.commit()
            return row.id


class Peer16(Keeping, Base16):  # type: ignore[misc]
    """OCPP 1.6."""

    @on("BootNotification")  # type: ignore[untyped-decorator]
    async def boot(self, **body: Any) -> Any:
        await self.keep("BootNotification", body)
        return r16.BootNotification(current_time=STAMP, interval=300, status="Accepted")

    @on("StartTransaction")  # type: ignore[untyped-decorator]
    async def start_transaction(self, **body: Any) -> Any:
        number = await self.keep("StartTransaction", body)
        return r16.StartTransaction(transaction_id=number, id_tag_info={"status": "Accepted"})

    @on("MeterValues")  # type: ignore[untyped-decorator]
    async def meter_values(self, **body: Any) -> Any:
        await self.keep("MeterValues", body)
        return r16.MeterValues()

    @on("StopTransaction")  # type: ignore[untyped-decorator]
    async def stop_transaction(self, **body: Any) -> Any:
        await self.keep("StopTransaction", body)
        return r16.StopTransaction()


class Peer201(Keeping, Base201):  # type: ignore[misc]
    """OCPP 2.0.1."""

    @on("BootNotification")  # type: ignore[untyped-decorator]
    async def boot(self, **body: Any) -> Any:
        await self.keep("BootNotification", body)
        return r201.BootNotification(current_time=STAMP, interval=300, status="Accepted")

    @on("TransactionEvent")  # type: ignore[untyped-decorator]
    async def transaction_event(self, **body: Any) -> Any:
        await self.keep("TransactionEvent", body)
        return r201.TransactionEvent()


async def main(port: int, url: str) -> None:
    """Serve until killed."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine: AsyncEngine = create_async_engine(address, pool_size=12, max_overflow=0)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    Keeping.sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def greet(socket: ServerConnection) -> None:
        assert socket.request
        kind = Peer16 if socket.subprotocol == "ocpp1.6" else Peer201
        with suppress(ConnectionClosed):
            await kind(socket.request.path.rsplit("/", 1)[-1], socket).start()

    kinds = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    async with serve(greet, "127.0.0.1", port, subprotocols=kinds, compression=None):
        await asyncio.Future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
