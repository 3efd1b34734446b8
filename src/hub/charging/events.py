"""What happens to sessions and tokens, told to settlement and the doors."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from hub.runtime import Event


class SessionOpened(Event):
    """A session exists from now on (its station has been answered by the same commit)."""

    session_id: UUID
    partner_id: UUID | None
    """The eMSP connection whose driver charges; ``None`` for our own drivers."""


class SessionUpdated(Event):
    """A roaming session has new readings, a new state or a new price (coalesced)."""

    session_id: UUID
    partner_id: UUID | None
    at: datetime


class SessionClosed(Event):
    """A session ended; its energy and times are final unless flagged."""

    session_id: UUID
    partner_id: UUID | None
    at: datetime


class SessionAbandoned(Event):
    """A timer: the session's connector turned free without its stop."""

    session_id: UUID
