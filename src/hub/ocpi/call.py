"""One request as handlers see it, and the table of what is served.

Handlers are actions ``(tx, call) -> Reply`` in one transaction, or flows ``(call) -> Reply`` that
call out themselves (credentials). The server does all the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal
from uuid import UUID

import msgspec

from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import Refused, Reply
from hub.ocpi.headers import PartyRef
from hub.parties import Credential, Partner
from hub.runtime import Settings, Tx

Side = Literal["sender", "receiver", ""]


class Call(msgspec.Struct, kw_only=True):
    """An authenticated request. Path parameters are decoded, header names lower case."""

    dialect: Dialect
    settings: Settings
    partner: Partner
    credential: Credential
    token: str
    """The credentials token as presented, for the answer to GET credentials (T-A6)."""
    module: str
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    sender: PartyRef | None = None
    """The partner's party that speaks, named or inferred (M-10)."""
    receiver: PartyRef | None = None
    """Our party that is spoken to."""

    @property
    def tenant(self) -> UUID:
        """The tenant whose partner calls."""
        return self.partner.tenant_id

    @property
    def base(self) -> str:
        """Our public URL of this version."""
        return f"{self.settings.base_url}/ocpi/{self.dialect.version}"

    def owned_by_sender(self) -> None:
        """Refuse a path whose country and party are not the speaker's (T-B12, T-E6)."""
        named = PartyRef(self.params["country"].upper(), self.params["party"].upper())
        if named != self.sender:
            raise Refused(
                2001, f"{named.country_code}-{named.party_id} is not the sender's party", http=404
            )


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation: where it is mounted, what it does, and its types for the OpenAPI document.

    ``path`` is relative to the module's address; ``{name}`` is one segment. ``listed`` marks
    lists with paging. ``keeps`` quarantines bodies that are refused as invalid.
    """

    module: str
    side: Side
    method: str
    path: str
    summary: str
    action: Callable[[Tx, Call], Awaitable[Reply]] | None = None
    flow: Callable[[Call], Awaitable[Reply]] | None = None
    takes: Callable[[Dialect], object] | None = None
    gives: Callable[[Dialect], object] | None = None
    listed: bool = False
    keeps: bool = False
    open_to_invited: bool = False
    """Whether credentials token A is enough (T-A4)."""
