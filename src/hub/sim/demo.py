"""``hub demo``: a whole charging world on one machine, told in sentences.

A real ``hub serve`` runs as a child; stations, cars and a roaming partner live here. With
``--once`` the journeys run once and one JSON object says what held.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from hub.kernel import HubError, InvalidValue, decode, encode
from hub.sim.car import Car
from hub.sim.checks import Examination
from hub.sim.child import ChildFailed
from hub.sim.partner import Received
from hub.sim.plate import NotAllowed
from hub.sim.stage import BLOCKED, CURRENCY, GUESTS, OWN_CARDS, SPEED, Stage
from hub.sim.station import SimStation

_GUESTS = dict(zip((guest.uid for guest in GUESTS), ("Rosa", "Amir", "Ines"), strict=True))
_OWN = dict(zip(OWN_CARDS, ("Lena", "Tom"), strict=True))
_PEOPLE = {
    **{uid: f"{name} (Example Mobility)" for uid, name in _GUESTS.items()},
    **{uid: f"{name} (our own card)" for uid, name in _OWN.items()},
    BLOCKED.uid: "Bob (blocked contract)",
}
_SUM_EVERY = 5
"""After so many bills the demo says what they come to."""
_PAUSE = (1.0, 4.0)
_TERMINATED = 143
_KEPT = ("HUB_HTTP_PORT", "HUB_OCPP_PORT")


def demo(arguments: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    locations = Path(arguments.locations) if arguments.locations else None
    if locations and not locations.is_file():
        raise InvalidValue("--locations", f"there is no file {locations}")
    folder = Path(tempfile.mkdtemp(prefix="hub-demo-"))
    out = Console(stderr=bool(arguments.json), highlight=False, soft_wrap=True)
    stage = Stage(
        folder,
        tell=lambda text: out.print(f"[dim]· {escape(text)}[/]"),
        locations=locations,
        settings={name: os.environ[name] for name in _KEPT if name in os.environ},
    )
    try:
        if arguments.once or arguments.json:
            code = asyncio.run(_ended_by_term(_once(stage, out, as_json=arguments.json)))
        else:
            code = asyncio.run(_ended_by_term(_live(stage, out)))
    except asyncio.CancelledError:
        return _TERMINATED
    except ChildFailed as failed:
        print(f"hub: {failed}", file=sys.stderr)
        return 2
    except HubError as failed:
        print(f"hub: {failed}; the log is {stage.hub.log}", file=sys.stderr)
        return 2
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return code


async def _ended_by_term(work: Coroutine[object, object, int]) -> int:
    """``work``, unwound in order when the process is told to end."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _once(stage: Stage, out: Console, *, as_json: bool) -> int:
    begun = time.monotonic()
    async with stage:
        outcome = await Examination(stage, begun).run()
    for check in outcome.checks:
        mark = "[green]✓[/]" if check.ok else "[red]✗[/]"
        out.print(f"{mark} {check.name}: {escape(check.detail)}")
    if not outcome.ok:
        out.print(f"The hub's log is {stage.hub.log}")
    if as_json:
        print(encode(outcome).decode(), flush=True)
    return 0 if outcome.ok else 1


async def _live(stage: Stage, out: Console) -> int:
    stopped = asyncio.Event()
    async with stage:
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stopped.set)
        _welcome(out, stage)
        away: set[str] = set()
        tasks = [
            asyncio.ensure_future(_visits(out, stage, station, away))
            for station in stage.stations.values()
        ]
        tasks.append(asyncio.ensure_future(_post(out, stage)))
        ended = asyncio.ensure_future(stopped.wait())
        await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        out.print("\n[dim]Closing the demo[/]")
    failed = [f for f in found if isinstance(f, Exception)]
    for error in failed:
        out.print(f"[red]{escape(str(error))}[/]\nThe hub's log is {stage.hub.log}")
    return 1 if failed else 0


def _welcome(out: Console, stage: Stage) -> None:
    hub = stage.hub
    out.rule("[bold]charging-hub demo")
    out.print(f"Console    {hub.base}/console")
    out.print(f"API        {hub.base}/api/docs")
    out.print(f"OCPI       {hub.base}/ocpi/versions")
    out.print(f"Stations   {hub.station_url('{station_id}')}", markup=False)
    out.print(f"Token      [bold]{hub.admin_token}[/]  (to sign in, and for the API)")
    out.print(f"Log        {hub.log}")
    if stage.imported:
        out.print(f"Network    {_network(stage.imported)}")
    out.print(f"[dim]Times are UTC, and run {SPEED} times as fast. Ctrl-C ends the demo.[/]")
    out.rule()


def _network(told: dict[str, Any]) -> str:
    """What came of the file of locations."""
    parts = [f"{told['locations']} locations", f"{told['tariffs']} tariffs"]
    for word in ("mended", "refused"):
        places = sum(note["times"] for note in told[word])
        if places:
            parts.append(f"{places} places {word}")
    hint = "\n           (hub locations import FILE says which)" if len(parts) > 2 else ""
    return ", ".join(parts) + hint


async def _visits(out: Console, stage: Stage, station: SimStation, away: set[str]) -> None:
    """Cars come and go at one station, for ever; ``away`` are the cards in use anywhere."""
    chance = random.Random(station.identity)
    while True:
        await asyncio.sleep(chance.uniform(*_PAUSE))
        uid = chance.choices(list(_PEOPLE), [3, 3, 3, 2, 2, 1])[0]
        evse = chance.choice(list(station.evses))
        if uid not in away and station.evses[evse].car is None and station.accepted:
            away.add(uid)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await _visit(
                    out, stage, station, evse=evse, uid=uid, wh=chance.randrange(800, 6000)
                )
            away.discard(uid)


async def _visit(
    out: Console, stage: Stage, station: SimStation, *, evse: int, uid: str, wh: int
) -> None:
    who, where = _PEOPLE[uid], f"{station.identity}/{evse}"
    car = Car(max_power_w=50_000, soc=random.randrange(10, 60))
    try:
        charge = await station.charge(uid, evse=evse, car=car, wh=wh)
        out.print(f"{_clock(stage)} [cyan]{who}[/] plugs in at {where} and may charge")
        await station.settled(charge, within=600)
        kwh = f"{Decimal(charge.energy_wh or 0) / 1000:.3f}"
        took = (charge.stopped_at or charge.started_at) - charge.started_at
        minutes = int(took.total_seconds() // 60)
        out.print(f"{_clock(stage)} [cyan]{who}[/] leaves {where}: {kwh} kWh in {minutes} min")
    except NotAllowed as refused:
        out.print(f"{_clock(stage)} [yellow]{who}[/] is refused at {where}: {refused.answer}")
    except HubError as error:
        out.print(f"{_clock(stage)} [red]{where}: {escape(str(error))}[/]")
    finally:
        await station.unplug(evse)


async def _post(out: Console, stage: Stage) -> None:
    """What the roaming partner receives."""
    partner, read = stage.partner, 0
    settled, total = 0, Decimal()
    while True:
        await partner.until(
            lambda seen=read: len(partner.received) > seen,  # type: ignore[misc]
            "a request",
            within=86_400,
        )
        fresh, read = partner.received[read:], len(partner.received)
        for received in fresh:
            if _is_settled(received):
                cdr = decode(received.body, dict[str, Any])
                cost = cdr["total_cost"]
                uid = cdr["cdr_token"]["uid"]
                name = _GUESTS.get(uid, uid)
                gross = Decimal(str(cost.get("incl_vat", cost["excl_vat"])))
                settled, total = settled + 1, total + gross
                out.print(
                    f"{_clock(stage)} [green]{partner.name} accepts the bill[/] for {name}: "
                    f"{cdr['total_energy']:.3f} kWh, {gross:.2f} {CURRENCY}"
                )
                if settled % _SUM_EVERY == 0:
                    out.print(
                        f"{_clock(stage)} [dim]So far {settled} bills, {total:.2f} {CURRENCY} "
                        "with VAT[/]"
                    )


def _is_settled(received: Received) -> bool:
    return (received.method, received.module, received.status_code) == ("POST", "cdrs", 1000)


def _clock(stage: Stage) -> str:
    return f"[dim]{stage.clock.now():%H:%M}[/]"
