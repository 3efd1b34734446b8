"""A field whose stations charge for it, with the CDR job at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from hub.charging import Token, save_token
from hub.charging.events import SessionClosed
from hub.kernel import new_id
from hub.parties import OwnParty, ensure_own_party
from hub.runtime import PLATFORM, Database, JobRunner, Tx, job
from hub.settlement import Cdr, CdrIssued, cdrs, issue_cdr
from hub.stations import (
    Connector,
    Coordinates,
    Evse,
    Location,
    StationId,
    StationRef,
    bind_station,
    register_station,
    save_location,
)
from hub.tariffs import Tariff, save_tariff, tariff_of_ocpi
from tests.charging.field import Field, HandClock, minute

TARIFF = """
{"id": "t", "currency": "EUR", "country_code": "NL", "party_id": "HUB", "elements": [
  {"price_components": [
    {"type": "FLAT", "price": 0.50, "vat": 9, "step_size": 1},
    {"type": "ENERGY", "price": 0.333, "vat": 21, "step_size": 1},
    {"type": "TIME", "price": 0.777, "vat": 21, "step_size": 1}]}],
 "last_updated": "2026-01-01T00:00:00Z"}
"""


class Settled(Field):
    """A field that bills: closing a session and running the jobs gives its CDR."""

    told: list[CdrIssued]

    async def tariff(self, text: str = TARIFF) -> Tariff:
        tariff = tariff_of_ocpi(text)
        async with self.database.tx() as tx:
            await save_tariff(tx, tariff, default=True)
        return tariff

    def listen(self) -> None:
        self.told = []

        @job("test.hear", CdrIssued)
        async def hear(tx: Tx, event: CdrIssued) -> None:
            self.told.append(event)

        self.database.subscriptions = {SessionClosed: [issue_cdr], CdrIssued: [hear]}
        self._runner = JobRunner(self.database, [issue_cdr, hear])

    async def bill(self) -> list[Cdr]:
        await self._runner.drain()
        async with self.database.tx() as tx:
            return await cdrs(tx)

    async def charge(
        self,
        wh: int,
        minutes: int,
        *,
        tag: str = "CARD1",
        evse: int = 1,
        at: datetime | None = None,
    ) -> None:
        """One whole session of ``wh`` over ``minutes``."""
        at = at or self.clock.now()
        self.clock.at = max(self.clock.at, at)
        answer = await self.start(1000, at=at, tag=tag, evse=evse)
        self.clock.at = at + (minute(minutes) - minute(0))
        await self.stop(answer.number, 1000 + wh, at=self.clock.at, reason="Local")

    async def roaming_card(self, uid: str) -> UUID:
        """A card of the eMSP DE-EMS on a connected platform; the platform's id."""
        partner = new_id()
        token = Token(
            country_code="DE", party_id="EMS", uid=uid, contract_id=f"DE-EMS-{uid}", issuer="EMS",
            partner_id=partner, whitelist="ALWAYS",
        )  # fmt: skip
        async with self.database.tx() as tx:
            await save_token(tx, token)
        return partner

    async def place(self) -> None:
        """Stand the station at a location."""
        plug = Connector(
            id="1", standard="IEC_62196_T2", format="SOCKET", power_type="AC_3_PHASE",
            max_voltage=230, max_amperage=32,
        )  # fmt: skip
        site = Location(
            country_code="NL", party_id="HUB", id="LOC1", publish=True, address="Neude 1",
            city="Utrecht", country="NLD", time_zone="Europe/Amsterdam",
            coordinates=Coordinates(Decimal("52.0928"), Decimal("5.1185")),
            evses=(Evse(uid="EVSE1", evse_id="NL*HUB*E1", connectors=(plug,)),),
        )  # fmt: skip
        async with self.database.tx() as tx:
            await save_location(tx, site)
            await bind_station(tx, "CP1", 1, "EVSE1")


@pytest.fixture
async def field(database_url: str) -> AsyncIterator[Settled]:
    database = Database(database_url, clock=HandClock(), size=4)
    await database.open()
    async with database.tx(PLATFORM) as tx:
        await ensure_own_party(tx, OwnParty("NL", "HUB", "The Hub"))
        await register_station(tx, "CP1")
    clock = database.clock
    assert isinstance(clock, HandClock)
    field = Settled(database, clock, StationRef(PLATFORM, StationId("CP1")))
    field.listen()
    await field.card("CARD1")
    await field.tariff()
    yield field
    await database.close()
