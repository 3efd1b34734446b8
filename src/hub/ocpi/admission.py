"""Who calls: the partner behind a credentials token, and the parties at both ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
import structlog

from hub.ocpi.call import Route
from hub.ocpi.envelope import CLIENT_ERROR, UNKNOWN_RECEIVER, Invalid, Refused
from hub.ocpi.headers import FUNCTIONAL, PartyRef, routing, token_candidates
from hub.ocpi.request import Request
from hub.parties import (
    Credential,
    Partner,
    authenticate_partner,
    may_exchange,
    our_parties,
    parties_of,
    partner_by_id,
    use_credential,
)
from hub.parties.model import TokenStyle
from hub.parties.partners import remember_style
from hub.runtime import Database, Settings, Tx
from hub.runtime.vault import Vault

log = structlog.get_logger()

_SEEN_EVERY: Final = timedelta(seconds=60)


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A caller that is known."""

    partner: Partner
    credential: Credential
    token: str
    sender: PartyRef | None
    receiver: PartyRef | None


class Known(msgspec.Struct, frozen=True):
    """A token that is ours, as it was presented."""

    credential: Credential
    token: str
    style: TokenStyle


async def known_token(database: Database, vault: Vault, request: Request) -> Known:
    """The credential that the Authorization header means; ``Refused`` with 401 (T-A3)."""
    hashes = {
        digest: candidate
        for candidate in token_candidates(request.headers.get("authorization", ""))
        for digest in vault.token_hashes(candidate[0])
    }
    if hashes:
        async with database.system_tx() as tx:
            found = await authenticate_partner(tx, list(hashes))
        if found is not None:
            return Known(found, *hashes[bytes(found.hash)])
    log.warning(
        "ocpi_unauthorised", url=request.url.partition("?")[0],
        hint="the caller's token is none of ours: see the partner's connection, or invite it anew",
    )  # fmt: skip
    raise Refused(
        CLIENT_ERROR,
        "unknown credentials token; send `Authorization: Token <Base64 of the token>`",
        http=401,
    )


async def admit(
    tx: Tx, known: Known, request: Request, route: Route | None, settings: Settings
) -> Admitted:
    """The caller behind a token; ``Refused`` when it may not do this, or not as this party."""
    partner = await partner_by_id(tx, known.credential.partner_id)
    await _note(tx, partner, known)
    sender = receiver = None
    if route is not None:
        _check_kind(partner, known.credential, route)
        if route.module in FUNCTIONAL:
            sender, receiver = await _ends(tx, partner, request)
            default = settings.roaming_default
            if not await may_exchange(tx, partner.id, route.module, default=default):
                raise Refused(CLIENT_ERROR, f"no agreement about {route.module}")
    return Admitted(
        partner=partner, credential=known.credential, token=known.token,
        sender=sender, receiver=receiver,
    )  # fmt: skip


async def _note(tx: Tx, partner: Partner, known: Known) -> None:
    await use_credential(tx, known.credential)
    seen = partner.last_seen_at
    if known.style != partner.token_style or seen is None or tx.now - seen > _SEEN_EVERY:
        await remember_style(tx, partner.id, known.style)


def _check_kind(partner: Partner, credential: Credential, route: Route) -> None:
    if credential.kind != "access" and not route.open_to_invited:
        raise Refused(CLIENT_ERROR, "this token is for registration only", http=401)
    if partner.state == "SUSPENDED" and not route.open_to_invited:
        raise Refused(CLIENT_ERROR, "this connection is suspended", http=401)


async def _ends(tx: Tx, partner: Partner, request: Request) -> tuple[PartyRef, PartyRef]:
    """Who speaks and who is spoken to (M-3, M-10, M-11, T-A5)."""
    named, to = routing(request.headers, "from"), routing(request.headers, "to")
    theirs = [PartyRef(p.country_code, p.party_id) for p in await parties_of(tx, partner.id)]
    ours = [PartyRef(p.country_code, p.party_id) for p in await our_parties(tx)]
    if to is not None and to not in ours:
        raise Refused(UNKNOWN_RECEIVER, f"{to.country_code}-{to.party_id} is not here")
    if not ours:
        raise Refused(UNKNOWN_RECEIVER, "no party of ours is set up")
    return _speaker(named, theirs), to or ours[0]


def _speaker(named: PartyRef | None, theirs: list[PartyRef]) -> PartyRef:
    distinct = list(dict.fromkeys(theirs))
    if named is None:
        if len(distinct) != 1:
            raise Invalid("OCPI-from-* is needed: this platform speaks for several parties")
        return distinct[0]
    if named not in distinct:
        shown = f"{named.country_code}-{named.party_id}"
        log.warning(
            "ocpi_impersonation", party=shown,
            hint="the partner named a party that its connection was not registered with",
        )  # fmt: skip
        raise Refused(CLIENT_ERROR, f"this token does not speak for {shown}", http=401)
    return named
