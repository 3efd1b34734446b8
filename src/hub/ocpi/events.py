"""What this door tells itself durably: what is to be pushed, pulled, or answered."""

from __future__ import annotations

from uuid import UUID

from hub.runtime import Event


class PartnerConnected(Event):
    """A handshake ended well; who was connected before has new credentials."""

    tenant_id: UUID
    partner_id: UUID


class PushWanted(Event):
    """An object changed that a partner should see. What is sent is read when it is sent.

    ``kind``: session, evse, location or tariff. ``object_id``: for an EVSE ``location/uid``.
    """

    tenant_id: UUID
    partner_id: UUID
    kind: str
    object_id: str


class CdrPushWanted(Event):
    """A CDR waits to be sent to its eMSP, in order."""

    tenant_id: UUID
    partner_id: UUID
    cdr_id: UUID


class CommandTimedOut(Event):
    """The timer of a partner's command: its result is due, whatever the station did."""

    tenant_id: UUID
    id: UUID


class ResultDue(Event):
    """The result of a partner's command is known and has to be delivered."""

    tenant_id: UUID
    id: UUID
