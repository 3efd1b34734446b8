"""The demo's journeys, run once, end to end over real sockets, each with what must hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import aiohttp
import msgspec

from hub.kernel import HubError, format_instant
from hub.sim.car import Car
from hub.sim.plate import Charge, NotAllowed
from hub.sim.stage import BLOCKED, LOCAL_CARD, ROAMER, Stage

FLAT = Decimal("0.35")
PER_KWH = Decimal("0.49")
ROAMING_WH = 5_000
LOCAL_WH = 2_000
_PATIENCE = 30


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold, and what was seen."""

    name: str
    ok: bool
    detail: str


class Outcome(msgspec.Struct, kw_only=True):
    """The one JSON object of ``hub demo --once --json``."""

    ok: bool = False
    checks: list[Check] = []
    timings: dict[str, float] = {}
    sessions: list[dict[str, Any]] = []
    cdrs: list[dict[str, Any]] = []
    ledger: dict[str, Any] = {}
    receipts: list[str] = []
    statements: list[str] = []


def price_excl(energy_wh: int) -> Decimal:
    """What the demo's tariff asks for, reckoned here anew, before tax."""
    exact = FLAT + PER_KWH * Decimal(energy_wh) / 1000
    return exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


class Examination:
    """Runs the journeys on a stage and collects what held."""

    def __init__(self, stage: Stage, begun: float) -> None:
        self.stage = stage
        self.outcome = Outcome()
        self._begun = begun

    async def run(self) -> Outcome:
        """Every journey; the outcome is ok only if every check is."""
        steps = (
            ("roaming_rfid", self._roaming),
            ("roaming_rfid_blocked", self._blocked),
            ("local_rfid", self._local),
            ("statement", self._statement),
            ("ledger", self._ledger),
        )
        for name, step in steps:
            await self._step(name, step)
        outcome = self.outcome
        outcome.ok = bool(outcome.checks) and all(check.ok for check in outcome.checks)
        outcome.timings["total_s"] = self._spent()
        return outcome

    def _spent(self) -> float:
        return round(time.monotonic() - self._begun, 2)

    def _check(self, name: str, ok: object, detail: object) -> None:
        self.outcome.checks.append(Check(name, bool(ok), str(detail)))

    async def _step(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                await step()
        except (HubError, TimeoutError, aiohttp.ClientError, LookupError, OSError) as error:
            self._check(f"{name}_ran", False, f"{type(error).__name__}: {error}")
        self.outcome.timings[f"{name}_s"] = round(time.monotonic() - begun, 2)

    async def _charge(self, station: str, uid: str, wh: int) -> Charge:
        place = self.stage.stations[station]
        car = Car(max_power_w=50_000)
        charge = await place.settled(await place.charge(uid, evse=1, car=car, wh=wh))
        await place.unplug(1)
        return charge

    async def _roaming(self) -> None:
        partner = self.stage.partner
        charge = await self._charge("DEMO-16-A", ROAMER.uid, ROAMING_WH)
        asked = [uid for uid, _ in partner.asked]
        self._check("roaming_rfid_authorised", ROAMER.uid in asked, f"the eMSP was asked: {asked}")
        await partner.until(lambda: bool(partner.stored["cdrs"]), "a CDR", _PATIENCE)
        self.outcome.timings["first_settled_s"] = self._spent()
        cdr = next(iter(partner.stored["cdrs"].values()))
        accepted = [r for r in partner.received if r.module == "cdrs" and r.status_code == 1000]
        self.outcome.cdrs.append(cdr)
        self._check("roaming_rfid_cdr", accepted, f"CDR {cdr['id']} was received and accepted")
        kwh = Decimal(str(cdr["total_energy"]))
        self._check(
            "roaming_rfid_energy",
            charge.energy_wh == ROAMING_WH and kwh * 1000 == ROAMING_WH,
            f"the meter says {charge.energy_wh} Wh, the CDR {kwh} kWh",
        )
        net, expected = Decimal(str(cdr["total_cost"]["excl_vat"])), price_excl(ROAMING_WH)
        self._check("roaming_rfid_price", net == expected, f"{net}, expected {expected} excl. VAT")
        reference = cdr.get("authorization_reference")
        self._check("roaming_rfid_reference", reference, f"authorization_reference {reference}")
        sessions = list(partner.stored["sessions"].values())
        self.outcome.sessions += sessions
        states = [session["status"] for session in sessions]
        self._check("roaming_rfid_session", "COMPLETED" in states, f"session status {states}")

    async def _blocked(self) -> None:
        try:
            await self._charge("DEMO-16-B", BLOCKED.uid, 100)
        except NotAllowed as refused:
            await self.stage.stations["DEMO-16-B"].unplug(1)
            self._check("roaming_rfid_blocked", refused.answer == "Blocked", refused)
        else:
            self._check("roaming_rfid_blocked", False, "a blocked card was let in")

    async def _local(self) -> None:
        charge = await self._charge("DEMO-201-A", LOCAL_CARD, LOCAL_WH)
        found = await self.stage.hub.every("/sessions?station=DEMO-201-A")
        mine = [s for s in found if Decimal(str(s["energy_wh"] or 0)) == LOCAL_WH]
        self.outcome.sessions += mine
        self._check(
            "local_rfid_session",
            len(mine) == 1 and mine[0]["state"] == "COMPLETED",
            f"{charge.energy_wh} Wh at the station, {len(mine)} such session at the hub",
        )

    async def _statement(self) -> None:
        now = self.stage.clock.now()
        asked = {
            "partner_id": self.stage.partner_id,
            "start": format_instant(now - timedelta(days=1)),
            "end": format_instant(now),
        }
        made = await self.stage.hub.api("POST", "/settlement/statements", asked)
        self.outcome.statements.append(str(made["id"]))
        total = sum((Decimal(str(t["excl_vat"])) for t in made["totals"]), Decimal())
        wanted = sum(
            (Decimal(str(c["total_cost"]["excl_vat"])) for c in self.outcome.cdrs), Decimal()
        )
        said = f"{total} excl. VAT in {made['lines']} lines, the CDRs say {wanted}"
        self._check("statement_total", total == wanted and made["lines"] > 0, said)

    async def _ledger(self) -> None:
        verified = await self.stage.hub.command("ledger", "verify")
        broken = [proof["name"] for proof in verified["proofs"] if not proof["ok"]]
        accounts = await self.stage.hub.every("/ledger/accounts")
        self.outcome.ledger = {
            "balanced": verified["ok"],
            "accounts": {f"{a['account']} {a['currency']}": str(a["balance"]) for a in accounts},
        }
        said = f"broken: {broken}" if broken else f"{len(verified['proofs'])} proofs hold"
        self._check("ledger_proofs", verified["ok"], said)
        self._check("ledger_moved", accounts, f"{len(accounts)} accounts")
