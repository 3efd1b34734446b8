"""What can go wrong with stations and their commands on purpose."""

from __future__ import annotations

from hub.kernel import HubError


class EvseBound(HubError):
    """An EVSE or a station's EVSE number is bound to another one already."""

    code = "evse_bound"
    status = 409

    def __init__(self, evse_uid: str, station_id: str, number: int) -> None:
        super().__init__(evse_uid, station_id, number)
        self.evse_uid = evse_uid
        self.station_id = station_id
        self.number = number

    def __str__(self) -> str:
        return (
            f"EVSE {self.number} of station {self.station_id!r} or EVSE {self.evse_uid!r} is "
            "bound to another one; unbind that one first"
        )


class CommandClosed(HubError):
    """A command was answered although it had come to its end already."""

    code = "command_closed"
    status = 409

    def __init__(self, command_id: str, status: str) -> None:
        super().__init__(command_id, status)
        self.command_id = command_id
        self.found = status

    def __str__(self) -> str:
        return f"command {self.command_id} is {self.found} already; send a new one"
