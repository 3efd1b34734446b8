"""What this room needs from outside, implemented by doors and wired in ``hub.app``."""

from __future__ import annotations

from typing import Literal, Protocol
from uuid import UUID

import msgspec


class AuthorityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A real-time authorisation (OCPI 2.2.1 mod_tokens AuthorizationInfo)."""

    allowed: Literal["ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED"]
    authorization_reference: str | None = None


class AuthorityUnreachable(Exception):
    """The eMSP did not answer in time or could not be reached."""


class TokenAuthority(Protocol):
    """Asks the eMSP that owns a token, over the network, never inside a transaction."""

    async def ask(
        self,
        partner_id: UUID,
        *,
        token_uid: str,
        token_type: str,
        location_id: str | None,
        evse_uid: str | None,
        within: float,
    ) -> AuthorityAnswer | None:
        """The eMSP's answer, or ``None`` when it does not know the token.

        Raises ``AuthorityUnreachable`` after ``within`` seconds or on a broken answer.
        """
        ...
