"""May this identifier charge here? A decision from what we know, or the answer of its eMSP.

Nothing here accepts because something failed: a database error is raised, an eMSP that cannot be
reached counts only where its token's whitelist says so (OCPI 2.2.1 §12.4.5, TO-3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from hub.charging.messages import AuthorizationStatus, AuthorizeAsked
from hub.charging.model import AuthMethod, Authorization, Token, Whitelist, fold_uid
from hub.charging.ports import AuthorityAnswer, AuthorityUnreachable, TokenAuthority
from hub.kernel import new_id
from hub.parties import partners_with
from hub.runtime import Database, Tx
from hub.stations import evse_of

REUSE: Final = timedelta(minutes=15)
"""How long an accepted Authorize or a remote start stands for the start that follows it."""

WITHIN_SECONDS: Final = 4
"""How long a station's Authorize waits for an eMSP (TO-8)."""

_ALLOWED: Final[dict[str, AuthorizationStatus]] = {
    "ALLOWED": "Accepted", "BLOCKED": "Blocked", "EXPIRED": "Expired", "NO_CREDIT": "NoCredit",
    "NOT_ALLOWED": "NotAtThisLocation",
}  # fmt: skip

# OCPI TokenType of each OCPP 2.0.1 IdTokenEnumType; 1.6 tags arrive as ISO14443.
_TYPES: Final = {"eMAID": "EMAID", "Central": "APP_USER"}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A token that an identifier may stand for, with what decides about it."""

    token_uid: str
    token_type: str
    contract_id: str
    country_code: str
    party_id: str
    partner_id: UUID | None
    partner_state: str | None
    group_id: str | None
    valid: bool
    whitelist: Whitelist
    expires_at: datetime | None
    max_sessions: int | None
    elsewhere: int
    """Open sessions with this identifier at other EVSEs."""


class Verdict(msgspec.Struct, frozen=True):
    """What we can say ourselves. ``None`` status: the token's eMSP must be asked."""

    status: AuthorizationStatus | None
    reason: str
    candidate: Candidate | None = None


def choose(candidates: Sequence[Candidate], id_type: str) -> list[Candidate]:
    """The candidates that an identifier of that type may mean: of its OCPI type, else of any."""
    exact = [one for one in candidates if one.token_type == _TYPES.get(id_type, "RFID")]
    return exact or list(candidates)


def judge(candidates: Sequence[Candidate], now: datetime) -> Verdict:
    """The local decision about an identifier, from the tokens that it may mean."""
    if not candidates:
        return Verdict(None, "unknown")
    owners = {(one.country_code, one.party_id) for one in candidates}
    if len(owners) > 1:
        # Whose driver is it? Billing the wrong eMSP is worse than refusing a card.
        usable = [one for one in candidates if one.valid and _partner_refusal(one) is None]
        if len({(one.country_code, one.party_id) for one in usable}) != 1:
            return Verdict("Invalid", "ambiguous_uid")
        candidates = usable
    return _judge_one(candidates[0], now)


def _judge_one(one: Candidate, now: datetime) -> Verdict:
    refusal = _partner_refusal(one)
    if refusal is not None:
        return Verdict("Invalid", refusal, one)
    if one.expires_at is not None and one.expires_at <= now:
        return Verdict("Expired", "expired", one)
    if one.max_sessions is not None and one.elsewhere >= one.max_sessions:
        return Verdict("ConcurrentTx", "concurrent", one)
    if one.partner_id is not None and one.whitelist in ("ALLOWED_OFFLINE", "NEVER"):
        return Verdict(None, "ask_owner", one)
    if not one.valid:
        return Verdict("Blocked", "not_valid", one)
    return Verdict("Accepted", "whitelist", one)


def _partner_refusal(one: Candidate) -> str | None:
    if one.partner_id is not None and one.partner_state not in ("CONNECTED", "OFFLINE"):
        return "partner_not_connected"
    return None


def fallback(one: Candidate) -> Verdict:
    """The decision when the token's eMSP cannot be reached."""
    if one.whitelist == "NEVER":
        return Verdict("Invalid", "owner_unreachable", one)
    if not one.valid:
        return Verdict("Blocked", "not_valid", one)
    return Verdict("Accepted", "offline_whitelist", one)


_CANDIDATES = """
SELECT t.uid AS token_uid, t.type AS token_type, t.contract_id, t.country_code, t.party_id,
  t.partner_id, p.state AS partner_state, t.group_id, t.valid, t.whitelist, t.expires_at,
  t.max_sessions,
  (SELECT count(*) FROM charging.session s
   WHERE s.tenant_id = t.tenant_id AND s.uid_key = t.uid_key AND s.state IN ('PENDING', 'ACTIVE')
     AND s.auth_status = 'Accepted' AND s.suspect_since IS NULL
     AND (s.station_id, s.evse) IS DISTINCT FROM (%s, %s::int)) AS elsewhere
FROM charging.token t LEFT JOIN parties.v_partner p ON p.id = t.partner_id
WHERE t.tenant_id = %s AND t.uid_key = %s
ORDER BY t.partner_id IS NOT NULL, t.country_code, t.party_id, t.type
"""

_FIELDS = (
    "id, uid, type, status, auth_method, token_uid, token_type, contract_id, country_code, "
    'party_id, partner_id, group_id AS "group", authorization_reference, expires_at, reason'
)

# An accepted decision stands until it is used, and while the session that used it runs. A token
# that was blocked since then is judged anew, unless its own eMSP has spoken.
_RECENT = f"""
SELECT {_FIELDS} FROM charging."authorization" a
WHERE station_id = %s AND uid_key = %s AND status = 'Accepted' AND reusable_until > %s
  AND (auth_method <> 'COMMAND' OR a.evse IS NULL OR %s::int IS NULL OR a.evse = %s)
  AND (session_id IS NULL OR EXISTS (
    SELECT 1 FROM charging.session s WHERE s.id = a.session_id
      AND s.state IN ('PENDING', 'ACTIVE') AND (s.evse = %s OR %s::int IS NULL)))
  AND (auth_method <> 'WHITELIST' OR EXISTS (
    SELECT 1 FROM charging.token t WHERE t.tenant_id = a.tenant_id AND t.uid_key = a.uid_key
      AND t.country_code = a.country_code AND t.party_id = a.party_id AND t.valid
      AND t.max_sessions IS NULL AND (t.expires_at IS NULL OR t.expires_at > %s)))
ORDER BY session_id IS NULL DESC, at DESC LIMIT 1
"""


_KNOWN = f"""
SELECT a.*, c.* FROM (SELECT 1) AS once
LEFT JOIN LATERAL ({_RECENT}) AS a ON true LEFT JOIN LATERAL ({_CANDIDATES}) AS c ON a.id IS NULL
ORDER BY c.partner_id IS NOT NULL, c.country_code, c.party_id, c.token_type
"""
_ANSWERED: Final = tuple(name.split()[-1].strip('"') for name in _FIELDS.split(","))


async def _look_up(tx: Tx, asked: AuthorizeAsked) -> tuple[Authorization | None, list[Candidate]]:
    """An accepted decision that still stands, else the tokens that the identifier may mean."""
    station, key = asked.station.id, fold_uid(asked.token.uid)
    rows = await tx.rows(
        _KNOWN, station, key, tx.now, asked.evse, asked.evse, asked.evse, asked.evse, tx.now,
        station, asked.evse, tx.tenant, key,
    )  # fmt: skip
    width = len(_ANSWERED)
    if rows[0][0] is not None:
        return Authorization(**dict(zip(_ANSWERED, rows[0][:width], strict=True))), []
    names = Candidate.__struct_fields__
    found = [row[width:] for row in rows if row[width] is not None]
    return None, [Candidate(**dict(zip(names, row, strict=True))) for row in found]


async def store(
    tx: Tx, asked: AuthorizeAsked, verdict: Verdict, *,
    method: AuthMethod = "WHITELIST", reference: str | None = None,
    reusable: timedelta = REUSE,
) -> Authorization:  # fmt: skip
    """Write a decision down and return it as an authorisation."""
    one = verdict.candidate
    made = Authorization(
        id=new_id(), uid=asked.token.uid, type=asked.token.type,
        status=verdict.status or "Invalid", auth_method=method,
        token_uid=one.token_uid if one else None, token_type=one.token_type if one else None,
        contract_id=one.contract_id if one else None,
        country_code=one.country_code if one else None, party_id=one.party_id if one else None,
        partner_id=one.partner_id if one else None, group=one.group_id if one else None,
        authorization_reference=reference, expires_at=one.expires_at if one else None,
        reason=verdict.reason,
    )  # fmt: skip
    await tx.run(
        """INSERT INTO charging."authorization" (id, tenant_id, station_id, evse, uid, uid_key,
             type, status, token_uid, token_type, contract_id, country_code, party_id, partner_id,
             group_id, auth_method, authorization_reference, reason, at, expires_at,
             reusable_until)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
             %s)""",
        made.id, tx.tenant, asked.station.id, asked.evse, made.uid, fold_uid(made.uid), made.type,
        made.status, made.token_uid, made.token_type, made.contract_id, made.country_code,
        made.party_id, made.partner_id, made.group, made.auth_method,
        made.authorization_reference, made.reason, tx.now, made.expires_at, tx.now + reusable,
    )  # fmt: skip
    return made


async def grant_remote(
    tx: Tx, asked: AuthorizeAsked, token: Token, *, reference: str | None = None
) -> Authorization:
    """Note that a remote start was asked for this token: its owner has authorised it (COMMAND).

    The StartTransaction that brings the identifier back within 15 minutes uses it.
    """
    candidate = Candidate(
        token_uid=token.uid, token_type=token.type, contract_id=token.contract_id,
        country_code=token.country_code, party_id=token.party_id, partner_id=token.partner_id,
        partner_state=None, group_id=token.group_id, valid=True, whitelist=token.whitelist,
        expires_at=None, max_sessions=None, elsewhere=0,
    )  # fmt: skip
    verdict = Verdict("Accepted", "command", candidate)
    return await store(tx, asked, verdict, method="COMMAND", reference=reference)


class _Known(msgspec.Struct, frozen=True):
    """What the first transaction of a decision found, for the calls that follow it."""

    done: Authorization | None
    candidate: Candidate | None = None
    partners: tuple[UUID, ...] = ()
    location_id: str | None = None
    evse_uid: str | None = None


class Authorizer:
    """Decides about identifiers; asks the owners of roaming tokens over ``authority``.

    Without an authority only what we know ourselves counts: tokens whose eMSP would have to be
    asked are decided as if it could not be reached.
    """

    def __init__(
        self,
        database: Database,
        authority: TokenAuthority | None,
        *,
        within: float = WITHIN_SECONDS,
    ) -> None:
        self._database = database
        self._authority = authority
        self._within = within

    async def local(self, tx: Tx, asked: AuthorizeAsked) -> Authorization | None:
        """The decision from what we know, stored; ``None``: the eMSP must be asked (``decide``)."""
        return (await self._known(tx, asked)).done

    async def decide(self, asked: AuthorizeAsked) -> Authorization:
        """The decision, asking the token's owner if need be; own transactions, network between.

        Never raises because an eMSP fails; raises when the database does.
        """
        async with self._database.tx(asked.station.tenant, actor=asked.station.id) as tx:
            known = await self._known(tx, asked, place=True)
        if known.done is not None:
            return known.done
        partner, answer = await self._ask(asked, known)
        async with self._database.tx(asked.station.tenant, actor=asked.station.id) as tx:
            return await self._conclude(tx, asked, known, partner, answer)

    async def _known(self, tx: Tx, asked: AuthorizeAsked, *, place: bool = False) -> _Known:
        standing, found = await _look_up(tx, asked)
        if standing is not None:
            return _Known(standing)
        verdict = judge(choose(found, asked.token.type), tx.now)
        if verdict.status is not None:
            return _Known(await store(tx, asked, verdict))
        one = verdict.candidate
        partners = (one.partner_id,) if one is not None else await self._owners(tx)
        if self._authority is None or not partners:
            verdict = Verdict("Invalid", "unknown") if one is None else fallback(one)
            return _Known(await store(tx, asked, verdict))
        at = await evse_of(tx, asked.station, asked.evse) if place and asked.evse else None
        return _Known(
            None, one, tuple(p for p in partners if p is not None),
            at.location_id if at else None, at.uid if at else None,
        )  # fmt: skip

    async def _owners(self, tx: Tx) -> tuple[UUID, ...]:
        """Whom to ask about an identifier that nobody told us of: every eMSP (TO-11)."""
        if self._authority is None:
            return ()
        return tuple(one.id for one in await partners_with(tx, "tokens", "SENDER"))

    async def _ask(
        self, asked: AuthorizeAsked, known: _Known
    ) -> tuple[UUID | None, AuthorityAnswer | Literal["unreachable"] | None]:
        answers = await asyncio.gather(*(self._ask_one(asked, known, p) for p in known.partners))
        told = [(p, a) for p, a in zip(known.partners, answers, strict=True)
                if isinstance(a, AuthorityAnswer)]  # fmt: skip
        yes = [pair for pair in told if pair[1].allowed == "ALLOWED"]
        if len(yes) > 1:
            return None, None
        if yes or told:
            return (yes or told)[0]
        return None, "unreachable" if "unreachable" in answers else None

    async def _ask_one(
        self, asked: AuthorizeAsked, known: _Known, partner: UUID
    ) -> AuthorityAnswer | Literal["unreachable"] | None:
        assert self._authority is not None
        one = known.candidate
        try:
            return await self._authority.ask(
                partner,
                token_uid=one.token_uid if one else asked.token.uid,
                token_type=one.token_type if one else _TYPES.get(asked.token.type, "RFID"),
                location_id=known.location_id,
                evse_uid=known.evse_uid,
                within=self._within,
            )
        except AuthorityUnreachable:
            return "unreachable"

    async def _conclude(
        self, tx: Tx, asked: AuthorizeAsked, known: _Known, partner: UUID | None,
        answer: AuthorityAnswer | Literal["unreachable"] | None,
    ) -> Authorization:  # fmt: skip
        one = known.candidate
        if answer == "unreachable" and one is not None:
            return await store(tx, asked, fallback(one))
        if answer is None or answer == "unreachable":
            verdict = Verdict("Invalid", "unknown" if one is None else "unknown_to_owner", one)
            return await store(tx, asked, verdict, method="AUTH_REQUEST")
        if one is None and partner is not None:
            one = await _stranger(tx, asked, partner)
        verdict = Verdict(_ALLOWED[answer.allowed], "owner", one)
        return await store(
            tx, asked, verdict, method="AUTH_REQUEST", reference=answer.authorization_reference
        )


async def _stranger(tx: Tx, asked: AuthorizeAsked, partner: UUID) -> Candidate | None:
    """A token that its eMSP knows and never told us of; the eMSP may have pushed it meanwhile."""
    pushed = await tx.one(
        Candidate, _CANDIDATES.replace("ORDER BY", "AND t.partner_id = %s ORDER BY"),
        asked.station.id, asked.evse, tx.tenant, fold_uid(asked.token.uid), partner,
    )  # fmt: skip
    if pushed is not None:
        return pushed
    owner = await tx.row(
        """SELECT country_code, party_id FROM parties.v_party
           WHERE partner_id = %s ORDER BY role <> 'EMSP', country_code, party_id LIMIT 1""",
        partner,
    )
    if owner is None:
        return None
    return Candidate(
        token_uid=asked.token.uid, token_type=_TYPES.get(asked.token.type, "RFID"),
        contract_id=asked.token.uid, country_code=owner[0], party_id=owner[1],
        partner_id=partner, partner_state="CONNECTED", group_id=None, valid=True,
        whitelist="NEVER", expires_at=None, max_sessions=None, elsewhere=0,
    )  # fmt: skip
