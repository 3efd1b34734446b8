"""Tokens of eMSPs, pushed to us (TO-1, TO-2): kept by country, party, uid and type."""

from __future__ import annotations

import msgspec

from hub.charging.model import Token, fold_uid
from hub.charging.tokens import save_token, token
from hub.kernel import NotFound
from hub.ocpi.call import Call, Route
from hub.ocpi.envelope import UNKNOWN_TOKEN, Invalid, Refused, Reply
from hub.runtime import Tx

_PATH = "{country}/{party}/{uid}"


async def show_token(tx: Tx, call: Call) -> Reply:
    """The token as stored, for its owner only (T-D9)."""
    return Reply(data=call.dialect.token.lower(await _stored(tx, call)))


async def put_token(tx: Tx, call: Call) -> Reply:
    """Create (201) or replace (200) a token of the caller."""
    call.owned_by_sender()
    given = call.dialect.token.read(call.body)
    _check_key(call, given)
    created = False
    try:
        await _stored(tx, call)
    except Refused:
        created = True
    await save_token(tx, msgspec.structs.replace(given, partner_id=call.partner.id))
    return Reply(http=201 if created else 200)


async def patch_token(tx: Tx, call: Call) -> Reply:
    """Change the named members of a token; 404 with 2004 when we do not have it (T-E2)."""
    stored = await _stored(tx, call)
    given = call.dialect.token.patched(stored, call.body)
    _check_key(call, given)
    await save_token(tx, msgspec.structs.replace(given, partner_id=call.partner.id))
    return Reply()


async def _stored(tx: Tx, call: Call) -> Token:
    call.owned_by_sender()
    country, party = call.params["country"].upper(), call.params["party"].upper()
    try:
        return await token(tx, country, party, call.params["uid"], _kind(call))
    except NotFound as error:
        raise Refused(UNKNOWN_TOKEN, "no such token here", http=404) from error


def _kind(call: Call) -> str:
    return call.query.get("type", "RFID").upper()


def _check_key(call: Call, given: Token) -> None:
    """The path and the body name the same token (T-B12, T-E6)."""
    named = (call.params["country"].upper(), call.params["party"].upper())
    if (given.country_code, given.party_id) != named:
        raise Invalid("country_code and party_id differ between path and body")
    if fold_uid(given.uid) != fold_uid(call.params["uid"]):
        raise Invalid("uid differs between path and body")
    if given.type != _kind(call):
        raise Invalid("type differs between query (RFID when absent) and body")


ROUTES = [
    Route(
        module="tokens", side="receiver", method="GET", path=_PATH, action=show_token,
        summary="A token as we have it", gives=lambda d: d.token.wire,
    ),
    Route(
        module="tokens", side="receiver", method="PUT", path=_PATH, action=put_token,
        summary="Create or replace a token", takes=lambda d: d.token.wire, keeps=True,
    ),
    Route(
        module="tokens", side="receiver", method="PATCH", path=_PATH, action=patch_token,
        summary="Change members of a token", takes=lambda d: d.token.wire, keeps=True,
    ),
]  # fmt: skip
