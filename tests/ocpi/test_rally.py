"""A partner that knows nothing of our code joins, charges and leaves over real HTTP."""

from __future__ import annotations

from hub.ocpi import OcpiDoor
from hub.parties import PartyClaim, invite_partner
from hub.runtime import PLATFORM
from hub.sim.partner import SimPartner
from tests.ocpi.conftest import VAULT, Hub


async def _invited(hub: Hub) -> str:
    async with hub.database.tx() as tx:
        made = await invite_partner(tx, VAULT, [PartyClaim("NL", "EXM", "EMSP")])
    return made.token


async def test_the_simulated_eMSP_joins_rotates_and_leaves(hub: Hub) -> None:
    async with SimPartner() as partner:
        await partner.join(f"{hub.url}/versions", await _invited(hub))
        await hub.runner.drain()
        assert partner.hub_party == ("NL", "HUB")
        assert await partner.pull("locations") == []
        await partner.rotate()
        assert await partner.pull("tariffs") == []
        await partner.leave()


async def test_we_join_the_simulated_eMSP(hub: Hub) -> None:
    door: OcpiDoor = hub.door
    async with SimPartner() as partner:
        await door.handshake.connect(PLATFORM, partner.versions_url, partner.invite())
        await hub.runner.drain()
        await partner._discover()
        assert await partner.pull("locations") == []
