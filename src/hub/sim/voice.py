"""What both OCPP voices of a simulated station share: faults of answering, ends of calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from hub.sim.plate import Heard
from hub.sim.wire import LinkLost, Wire

if TYPE_CHECKING:
    from hub.sim.station import SimStation

KNOWN_STATES = {"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"}


class Speaking:
    """Mixed in front of ``ocpp.*.ChargePoint``: records, mutes, delays and refuses commands."""

    def __init__(self, station: SimStation, wire: Wire) -> None:
        super().__init__(station.identity, wire)  # type: ignore[call-arg]
        self.station = station
        self.wire = wire

    async def route_message(self, raw: str) -> None:
        """A frame of the hub; commands are noted, muted or delayed as the faults say."""
        frame = msgspec.json.decode(raw)
        if frame[0] == 2:
            station, action = self.station, frame[2]
            station.heard.append(Heard(action, frame[3], station.clock.now()))
            station.changed()
            if action in station.faults.mute:
                return
            await asyncio.sleep(station.faults.answer_after)
        await super().route_message(raw)  # type: ignore[misc]

    async def ask(self, payload: object, message_id: str | None = None) -> Any:
        """Send a call and await its answer; ``LinkLost`` when the socket goes meanwhile."""
        if self.wire.lost.is_set():
            raise LinkLost
        asking = asyncio.ensure_future(
            super().call(payload, suppress=False, unique_id=message_id)  # type: ignore[misc]
        )
        closing = asyncio.ensure_future(self.wire.socket.wait_closed())
        try:
            await asyncio.wait([asking, closing], return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise LinkLost
            return asking.result()
        finally:
            asking.cancel()
            closing.cancel()

    def word(self, action: str, yes: str = "Accepted", no: str = "Rejected") -> str:
        """``yes`` unless the station was told to refuse this command."""
        return no if action in self.station.faults.reject else yes
