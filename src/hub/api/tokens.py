"""Tokens: whoever may charge with them, in OCPI's own words; ours are made and ended here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.api.access import Principal, needs
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import ApiError, FieldProblem, answers
from hub.api.raw import TokensOperation
from hub.charging import (
    Token,
    block_token,
    expire_token,
    fold_uid,
    save_token,
    tokens,
    tokens_by_uid,
)
from hub.kernel import InvalidValue, decode
from hub.parties import Party, our_party
from hub.runtime import Tx

_TOLD: Final = 100

TokenType = Literal["RFID", "APP_USER", "AD_HOC_USER", "EMAID", "OTHER"]
OfUid = Annotated[str | None, QueryParameter(name="uid", description="Only tokens of this uid.")]
Own = Annotated[
    bool | None, QueryParameter(name="own", description="Only our own tokens, or only others'.")
]


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that we issue. The owner is our own party; OCPI 2.2.1 mod_tokens names."""

    uid: Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
    type: TokenType = "RFID"
    contract_id: Annotated[str, msgspec.Meta(min_length=1, max_length=36)] | None = None
    visual_number: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    issuer: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    group_id: Annotated[str, msgspec.Meta(max_length=36)] | None = None
    valid: bool = True
    whitelist: Literal["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"] = "ALWAYS"
    language: Annotated[str, msgspec.Meta(max_length=2)] | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    max_sessions: Annotated[int, msgspec.Meta(ge=1)] | None = None


class TokenShape(msgspec.Struct, frozen=True, kw_only=True):
    """A token, ours or a partner's (``partner_id``)."""

    country_code: str
    party_id: str
    uid: str
    type: str
    contract_id: str
    visual_number: str | None
    issuer: str
    group_id: str | None
    valid: bool
    whitelist: str
    language: str | None
    expires_at: datetime | None
    max_sessions: int | None
    partner_id: str | None
    last_updated: datetime | None

    @classmethod
    def of(cls, token: Token) -> TokenShape:
        """The shape of a stored token."""
        members = {name: getattr(token, name) for name in cls.__struct_fields__}
        owner = None if token.partner_id is None else str(token.partner_id)
        return cls(**(members | {"partner_id": owner}))


class Imported(msgspec.Struct, frozen=True):
    """How many tokens were in a bulk import, and how many of them were new or changed."""

    tokens: int
    changed: int


class RowsRefused(ApiError):
    """A bulk import with rows that are no tokens; nothing of it was stored."""

    code = "rows_refused"
    status = 400

    def __init__(self, rows: int, wrong: list[FieldProblem]) -> None:
        super().__init__(rows, wrong)
        self.rows = rows
        self.wrong = wrong

    def members(self) -> dict[str, Any]:
        """The first wrong rows, by their place in the list."""
        return {"errors": self.wrong[:_TOLD]}

    def __str__(self) -> str:
        return f"{len(self.wrong)} of {self.rows} tokens are wrong, so none was stored: see errors"


class Expiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a token ends; at once when not given."""

    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


@get(
    "/tokens", tags=["charging"], operation_id="list_tokens", responses=answers(),
    guards=[needs("charging:read")],
)  # fmt: skip
async def list_tokens(
    tx: Work, *, uid: OfUid = None, own: Own = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[TokenShape]:
    """Tokens of ours and of partners, least recently changed first."""
    if uid is not None:
        return Page([TokenShape.of(one) for one in await tokens_by_uid(tx, uid)], None)
    key = key_of(cursor, tuple[datetime, str])
    rows = await tokens(tx, after=key, limit=limit + 1, own=own)
    return page_of(rows, limit, lambda one: (one.last_updated, fold_uid(one.uid)), TokenShape.of)


@post(
    "/tokens", tags=["charging"], operation_id="create_token", responses=answers(),
    guards=[needs("charging:write")],
)  # fmt: skip
async def create_token(tx: Work, data: JSONBody[NewToken]) -> TokenShape:
    """Issue a token, or change the one of the same uid and type."""
    issued = token_of(data, await our_party(tx), tx)
    await save_token(tx, issued)
    return TokenShape.of(issued)


@post(
    "/tokens/import", tags=["charging"], operation_id="import_tokens",
    operation_class=TokensOperation, responses=answers(),
    guards=[needs("charging:write")], status_code=200,
)  # fmt: skip
async def import_tokens(request: Request[Principal, Any, Any], tx: Work) -> Imported:
    """Issue many tokens at once: all of them, or none when one is wrong; every wrong one is told.

    Each is an object as for one token.
    """
    rows = _rows(await request.body())
    party = await our_party(tx)
    wrong: list[FieldProblem] = []
    changed = 0
    for row, raw in enumerate(rows):
        try:
            changed += await save_token(tx, token_of(decode(raw, NewToken), party, tx))
        except (msgspec.DecodeError, InvalidValue) as error:
            wrong.append(FieldProblem(f"[{row}]", str(error)))
    if wrong:
        raise RowsRefused(len(rows), wrong)
    return Imported(len(rows), changed)


@post(
    "/tokens/{uid:str}/block", tags=["charging"], operation_id="block_token",
    responses=answers(404), guards=[needs("charging:write")], status_code=204,
)  # fmt: skip
async def block(tx: Work, uid: FromPath[str]) -> None:
    """Make a token of ours invalid until it is unblocked."""
    own = await our_party(tx)
    await block_token(tx, uid, country_code=own.country_code, party_id=own.party_id)


@post(
    "/tokens/{uid:str}/unblock", tags=["charging"], operation_id="unblock_token",
    responses=answers(404), guards=[needs("charging:write")], status_code=204,
)  # fmt: skip
async def unblock(tx: Work, uid: FromPath[str]) -> None:
    """Make a blocked token of ours valid again."""
    own = await our_party(tx)
    await block_token(tx, uid, country_code=own.country_code, party_id=own.party_id, valid=True)


@post(
    "/tokens/{uid:str}/expire", tags=["charging"], operation_id="expire_token",
    responses=answers(404), guards=[needs("charging:write")], status_code=204,
)  # fmt: skip
async def expire(tx: Work, uid: FromPath[str], data: JSONBody[Expiry | None] = None) -> None:
    """Let a token of ours end at an instant, or at once."""
    await expire_token(tx, uid, data.at if data and data.at else tx.now)


def _rows(body: bytes) -> list[msgspec.Raw]:
    try:
        return decode(body, list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise InvalidValue("body", f"must be a list of tokens: {error}") from error


def token_of(new: NewToken, party: Party, tx: Tx) -> Token:
    """The token that we issue for ``new``, as its owner ``party``."""
    return Token(
        country_code=party.country_code, party_id=party.party_id, uid=new.uid, type=new.type,
        contract_id=new.contract_id or new.uid, issuer=new.issuer or party.name, valid=new.valid,
        whitelist=new.whitelist, visual_number=new.visual_number, group_id=new.group_id,
        language=new.language, expires_at=new.expires_at, max_sessions=new.max_sessions,
        last_updated=tx.now,
    )  # fmt: skip
