"""What can be wrong with what a station says, or with what it is asked to do."""

from __future__ import annotations

from hub.kernel import HubError
from hub.ocpp.versions import Fault


class OcppError(HubError):
    """Anything the stations' door refuses."""

    code = "ocpp_error"
    status = 400


class FrameError(OcppError):
    """A text that is no CALL, CALLRESULT or CALLERROR.

    ``kind`` is the MessageTypeId as far as it could be read (None: not at all); ``message_id`` is
    the id a CALLERROR should carry, or, where ``kind`` is 3 or 4, the id of our CALL that this was
    meant to answer. ``answerable`` says whether a CALLERROR is due: never for an answer, and only
    where the version knows what to answer.
    """

    code = "ocpp_frame"

    def __init__(
        self, fault: Fault, reason: str, *, message_id: str | int | None, kind: int | None
    ) -> None:
        super().__init__(fault, reason, message_id, kind)
        self.fault = fault
        self.reason = reason
        self.message_id = message_id
        self.kind = kind

    @property
    def answerable(self) -> bool:
        """Whether a CALLERROR may be sent for this frame."""
        return self.kind not in (3, 4) and self.message_id is not None

    def __str__(self) -> str:
        return f"malformed OCPP frame: {self.reason}"


class PayloadError(OcppError):
    """A payload its action does not allow, or an action that may not be asked for.

    ``path`` names the member (``$.meterValue[0].timestamp``; ``$`` is the payload itself).
    """

    code = "ocpp_payload"

    def __init__(self, fault: Fault, reason: str, path: str = "$") -> None:
        super().__init__(fault, reason, path)
        self.fault = fault
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return self.reason if self.path == "$" else f"{self.path}: {self.reason}"


class LinkFullError(OcppError):
    """The queue of CALLs to a station is full of calls at least as urgent as this one."""

    code = "ocpp_link_full"
    status = 503

    def __init__(self, action: str, capacity: int) -> None:
        super().__init__(action, capacity)
        self.action = action
        self.capacity = capacity

    def __str__(self) -> str:
        return (
            f"{self.capacity} calls already wait for this station; "
            f"send {self.action} again once it has answered some"
        )
