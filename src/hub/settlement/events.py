"""What settlement tells the doors."""

from __future__ import annotations

from uuid import UUID

from hub.runtime import Event


class CdrIssued(Event):
    """A CDR (or a credit CDR) exists and is posted; its partner, if any, may be told."""

    cdr_id: UUID
    partner_id: UUID | None
