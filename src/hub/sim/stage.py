"""The demo's stage: a real hub, a CPO's site, its stations, a roaming eMSP, all from outside.

Everything is set up as a user would: settings, commands, the REST API and OCPI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hub.kernel import format_instant
from hub.runtime import SystemClock, clock_of
from hub.sim.child import HubChild
from hub.sim.partner import Driver, SimPartner
from hub.sim.station import SimStation

SPEED: Final = 60
"""Business time runs so many times as fast as the wall."""
CURRENCY: Final = "EUR"
TARIFF: Final = {
    "id": "DEMO",
    "currency": CURRENCY,
    "elements": [
        {
            "price_components": [
                {"type": "FLAT", "price": 0.35, "vat": 21, "step_size": 1},
                {"type": "ENERGY", "price": 0.49, "vat": 21, "step_size": 1},
            ]
        }
    ],
    "last_updated": "2026-01-01T00:00:00Z",
}
STATIONS: Final = (
    ("DEMO-16-A", "ocpp1.6", 50_000, "DC"),
    ("DEMO-16-B", "ocpp1.6", 22_000, "AC_3_PHASE"),
    ("DEMO-201-A", "ocpp2.0.1", 50_000, "DC"),
    ("DEMO-201-B", "ocpp2.0.1", 22_000, "AC_3_PHASE"),
)
ROAMER: Final = Driver(uid="04A2B3C4D5E6F7", contract_id="NL-EXM-C00000001-X")
BLOCKED: Final = Driver(uid="04DEADBEEF0001", contract_id="NL-EXM-C00000002-X", allowed="BLOCKED")
GUESTS: Final = (
    ROAMER,
    Driver(uid="04A2B3C4D5E6F8", contract_id="NL-EXM-C00000003-X"),
    Driver(uid="04A2B3C4D5E6F9", contract_id="NL-EXM-C00000004-X"),
)
"""The eMSP's customers whose contracts are good."""
LOCAL_CARD: Final = "0411223344AABB"
OWN_CARDS: Final = {LOCAL_CARD: "NL-HUB-C00000001-X", "0411223344AACC": "NL-HUB-C00000002-X"}
"""Cards that the CPO itself gave out, with their contracts."""
EVSES: Final = 2


class Stage:
    """``async with Stage(folder)`` raises the curtain and clears everything away afterwards."""

    def __init__(
        self,
        folder: Path,
        *,
        tell: Callable[[str], None],
        locations: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        clock = f"{format_instant(SystemClock().now())},{SPEED}"
        self.clock = clock_of(clock)
        self.hub = HubChild(
            folder, {"HUB_CLOCK": clock, **(settings or {})}, default_ports=True, scratch=True
        )
        self.partner = SimPartner(clock=self.clock)
        self.stations: dict[str, SimStation] = {}
        self.partner_id = ""
        self.imported: dict[str, Any] = {}
        self._locations = locations
        self._tell = tell
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._raise()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _raise(self) -> None:
        self._tell("Starting a hub with a database of its own")
        await self._stack.enter_async_context(self.hub)
        await self._stack.enter_async_context(self.partner)
        if self._locations:
            self._tell(f"Reading the network in {self._locations}")
            path = str(self._locations)
            self.imported = await self.hub.command("locations", "import", path)
        self._tell("Registering a tariff, a site, two cards of our own and four stations")
        await self.hub.api("PUT", "/tariffs/DEMO?default=true", TARIFF)
        for uid, contract in OWN_CARDS.items():
            await self.hub.api("POST", "/tokens", own_card(uid, contract))
        await self.hub.import_locations([site(STATIONS)])
        for identity, protocol, power, _ in STATIONS:
            made = await self.hub.api("POST", "/stations", {"station_id": identity})
            self.stations[identity] = SimStation(
                identity,
                made["url"],
                protocol=protocol,
                password=made["password"],
                evses=EVSES,
                clock=self.clock,
                max_power_w=power,
            )
            for number in range(1, EVSES + 1):
                await self.hub.bind_evse(identity, number, f"{identity}-{number}")
        self._tell(f"Connecting the roaming partner {self.partner.name}")
        claim = ("--country", "NL", "--party", "EXM", "--role", "EMSP")
        invited = await self.hub.command("partner", "invite", *claim, "--name", self.partner.name)
        self.partner_id = invited["partner_id"]
        await self.partner.join(invited["versions_url"], invited["token"])
        for driver in (*GUESTS, BLOCKED):
            await self.partner.push_token(driver)
        self._tell("Switching the stations on")
        for station in self.stations.values():
            await self._stack.enter_async_context(station)


def own_card(uid: str, contract: str) -> dict[str, Any]:
    """A card that the CPO itself gave to a driver."""
    return {
        "uid": uid,
        "type": "RFID",
        "contract_id": contract,
        "issuer": "Demo CPO",
        "valid": True,
        "whitelist": "ALWAYS",
    }


def site(stations: Sequence[tuple[str, str, int, str]]) -> dict[str, Any]:
    """The demo's site in OCPI's words."""
    stamp = "2026-01-01T00:00:00Z"
    evses = [
        {
            "uid": f"{identity}-{number}",
            "evse_id": f"NL*HUB*E{identity.replace('-', '')}{number}",
            "status": "UNKNOWN",
            "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
            "connectors": [
                {
                    "id": "1",
                    "standard": "IEC_62196_T2_COMBO" if kind == "DC" else "IEC_62196_T2",
                    "format": "CABLE",
                    "power_type": kind,
                    "max_voltage": 400 if kind == "DC" else 230,
                    "max_amperage": 125 if kind == "DC" else 32,
                    "max_electric_power": power,
                    "tariff_ids": ["DEMO"],
                    "last_updated": stamp,
                }
            ],
            "last_updated": stamp,
        }
        for identity, _, power, kind in stations
        for number in range(1, EVSES + 1)
    ]
    return {
        "country_code": "NL",
        "party_id": "HUB",
        "id": "DEMO-SITE",
        "publish": True,
        "name": "Demo Plaza",
        "address": "Stationsplein 1",
        "city": "Utrecht",
        "postal_code": "3511 ED",
        "country": "NLD",
        "coordinates": {"latitude": "52.089444", "longitude": "5.110278"},
        "time_zone": "Europe/Amsterdam",
        "evses": evses,
        "last_updated": stamp,
    }
