"""Who may charge: whitelist rules (TO-1..TO-3), fallbacks, reuse, and refusals."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from hub.charging import (
    Authorizer,
    Token,
    block_token,
    expire_token,
    grant_remote,
    save_token,
    token,
    tokens,
    tokens_by_uid,
)
from hub.charging.messages import AuthorizeAsked, IdToken
from hub.charging.model import Authorization, Whitelist
from hub.charging.ports import AuthorityAnswer, AuthorityUnreachable
from hub.kernel import NotFound
from hub.parties import Endpoint, PartyClaim, plan_partner, save_endpoints, set_partner_state
from tests.charging.field import Field, minute


class Emsp:
    """An eMSP's real-time authorisation, answering by a table; counts how often it was asked."""

    def __init__(self, answers: dict[str, str], *, reachable: bool = True) -> None:
        self.answers = answers
        self.reachable = reachable
        self.asked: list[tuple[str, str, str | None]] = []

    async def ask(
        self, partner_id: UUID, *, token_uid: str, token_type: str, location_id: str | None,
        evse_uid: str | None, within: float,
    ) -> AuthorityAnswer | None:  # fmt: skip
        self.asked.append((token_uid, token_type, evse_uid))
        if not self.reachable:
            raise AuthorityUnreachable
        allowed = self.answers.get(token_uid)
        if allowed is None:
            return None
        return AuthorityAnswer(allowed=allowed, authorization_reference=f"REF-{token_uid}")  # type: ignore[arg-type]


async def _partner(field: Field, state: str = "CONNECTED", party: str = "EMS") -> UUID:
    async with field.database.tx() as tx:
        partner = await plan_partner(tx, "eMSP", [PartyClaim("DE", party, "EMSP", "eMSP")])
        await save_endpoints(tx, partner, [Endpoint("tokens", "SENDER", "https://emsp/tokens")])
        await set_partner_state(tx, partner, state)  # type: ignore[arg-type]
    return partner


async def _roaming(
    field: Field, partner: UUID, uid: str, whitelist: Whitelist, *, valid: bool = True,
    party: str = "EMS",
) -> None:  # fmt: skip
    made = Token(
        country_code="DE", party_id=party, uid=uid, contract_id=f"DE-{party}-{uid}",
        issuer="eMSP", whitelist=whitelist, valid=valid, partner_id=partner,
    )  # fmt: skip
    async with field.database.tx() as tx:
        await save_token(tx, made)


async def _decide(field: Field, emsp: Emsp | None, uid: str, evse: int = 1) -> Authorization:
    asked = AuthorizeAsked(station=field.station, token=IdToken(uid), evse=evse)
    return await Authorizer(field.database, emsp).decide(asked)


@pytest.mark.parametrize(
    ("whitelist", "valid", "reachable", "answer", "status", "asked"),
    [
        ("ALWAYS", True, True, "BLOCKED", "Accepted", 0),
        ("ALWAYS", False, True, "ALLOWED", "Blocked", 0),
        ("ALLOWED", True, False, None, "Accepted", 0),
        ("ALLOWED_OFFLINE", True, True, "NO_CREDIT", "NoCredit", 1),
        ("ALLOWED_OFFLINE", True, False, None, "Accepted", 1),
        ("ALLOWED_OFFLINE", False, False, None, "Blocked", 1),
        ("ALLOWED_OFFLINE", False, True, "ALLOWED", "Accepted", 1),
        ("NEVER", True, True, "ALLOWED", "Accepted", 1),
        ("NEVER", True, False, None, "Invalid", 1),
        ("NEVER", True, True, "EXPIRED", "Expired", 1),
        ("NEVER", True, True, None, "Invalid", 1),
    ],
)
async def test_to_3_the_whitelist_says_whether_the_emsp_is_asked_and_what_its_silence_means(
    field: Field, whitelist: Whitelist, valid: bool, reachable: bool, answer: str | None,
    status: str, asked: int,
) -> None:  # fmt: skip
    await _roaming(field, await _partner(field), "R1", whitelist, valid=valid)
    emsp = Emsp({} if answer is None else {"R1": answer}, reachable=reachable)
    found = await _decide(field, emsp, "r1")
    assert (found.status, len(emsp.asked)) == (status, asked)
    assert found.token_uid == "R1"


async def test_an_accepted_authorize_is_reused_by_the_start_and_carries_its_reference(
    field: Field,
) -> None:
    partner = await _partner(field)
    await _roaming(field, partner, "R1", "NEVER")
    emsp = Emsp({"R1": "ALLOWED"})
    field.authorizer = Authorizer(field.database, emsp)
    await _decide(field, emsp, "R1")
    answer = await field.start(0, at=minute(0), tag="r1")
    session = await field.only()
    assert answer.token is not None
    assert (answer.token.status, len(emsp.asked)) == ("Accepted", 1)
    assert (session.authorization_reference, session.auth_method) == ("REF-R1", "AUTH_REQUEST")
    assert (session.partner_id, session.token_party_id) == (partner, "EMS")


async def test_an_authorize_serves_one_start_and_not_for_ever(field: Field) -> None:
    await _roaming(field, await _partner(field), "R1", "NEVER")
    emsp = Emsp({"R1": "ALLOWED"})
    await _decide(field, emsp, "R1")
    await _decide(field, emsp, "R1")
    assert len(emsp.asked) == 1
    field.clock.at += timedelta(minutes=16)
    await _decide(field, emsp, "R1")
    assert len(emsp.asked) == 2


async def test_an_authorize_to_stop_does_not_ask_again_while_its_session_runs(
    field: Field,
) -> None:
    await _roaming(field, await _partner(field), "R1", "NEVER")
    emsp = Emsp({"R1": "ALLOWED"})
    field.authorizer = Authorizer(field.database, emsp)
    await _decide(field, emsp, "R1")
    await field.start(0, at=minute(0), tag="R1")
    assert (await _decide(field, emsp, "R1")).status == "Accepted"
    assert len(emsp.asked) == 1


async def test_local_leaves_to_decide_what_only_the_emsp_can_say(field: Field) -> None:
    await _roaming(field, await _partner(field), "R1", "NEVER")
    authorizer = Authorizer(field.database, Emsp({}))
    asked = AuthorizeAsked(station=field.station, token=IdToken("R1"), evse=1)
    async with field.database.tx() as tx:
        assert await authorizer.local(tx, asked) is None


async def test_to_11_an_identifier_that_nobody_told_us_of_is_asked_of_every_emsp(
    field: Field,
) -> None:
    partner = await _partner(field)
    emsp = Emsp({"NEW": "ALLOWED"})
    found = await _decide(field, emsp, "NEW")
    assert (found.status, found.partner_id, found.party_id) == ("Accepted", partner, "EMS")
    assert (await _decide(field, emsp, "NOBODY")).status == "Invalid"


async def test_tokens_of_a_suspended_partner_are_refused_even_when_whitelisted(
    field: Field,
) -> None:
    await _roaming(field, await _partner(field, "SUSPENDED"), "R1", "ALWAYS")
    found = await _decide(field, None, "R1")
    assert (found.status, found.reason) == ("Invalid", "partner_not_connected")


async def test_one_uid_of_two_emsps_is_refused_rather_than_billed_to_the_wrong_one(
    field: Field,
) -> None:
    for party in ("EMS", "OTH"):
        await _roaming(field, await _partner(field, party=party), "TWIN", "ALWAYS", party=party)
    found = await _decide(field, None, "TWIN")
    assert (found.status, found.reason) == ("Invalid", "ambiguous_uid")


async def test_a_remote_start_is_the_authorisation_of_the_start_that_follows(
    field: Field,
) -> None:
    partner = await _partner(field)
    app = Token(
        country_code="DE", party_id="EMS", uid="APP-7", type="APP_USER", contract_id="DE-EMS-7",
        issuer="eMSP", whitelist="NEVER", partner_id=partner,
    )  # fmt: skip
    asked = AuthorizeAsked(station=field.station, token=IdToken("APP-7"), evse=1)
    async with field.database.tx() as tx:
        await grant_remote(tx, asked, app, reference="CMD-1")
    answer = await field.start(0, at=minute(0), tag="app-7")
    session = await field.only()
    assert answer.token is not None
    assert answer.token.status == "Accepted"
    assert (session.auth_method, session.authorization_reference) == ("COMMAND", "CMD-1")
    assert (session.token_type, session.contract_id) == ("APP_USER", "DE-EMS-7")


async def test_own_cards_can_be_blocked_and_can_expire(field: Field) -> None:
    async with field.database.tx() as tx:
        await block_token(tx, "card1")
    assert (await _decide(field, None, "CARD1")).status == "Blocked"
    await field.card("CARD2")
    async with field.database.tx() as tx:
        await expire_token(tx, "CARD2", minute(0))
    assert (await _decide(field, None, "CARD2")).status == "Expired"


async def test_a_card_blocked_after_its_authorize_does_not_start(field: Field) -> None:
    assert (await _decide(field, None, "CARD1")).status == "Accepted"
    async with field.database.tx() as tx:
        await block_token(tx, "CARD1")
    answer = await field.start(0, at=minute(0))
    assert answer.token is not None
    assert answer.token.status == "Blocked"


async def test_concurrent_only_where_a_card_is_limited_and_truly_charges_elsewhere(
    field: Field,
) -> None:
    await field.card("ONE", max_sessions=1)
    first = await field.start(0, at=minute(0), tag="ONE")
    assert (await _decide(field, None, "ONE", evse=1)).status == "Accepted"
    assert (await _decide(field, None, "ONE", evse=2)).status == "ConcurrentTx"
    await field.stop(first.number, 10, at=minute(1))
    assert (await _decide(field, None, "ONE", evse=2)).status == "Accepted"
    # Without a limit one card may charge at many places.
    answers = [await field.start(0, at=minute(2), evse=n) for n in (1, 2)]
    assert [a.token.status for a in answers if a.token] == ["Accepted", "Accepted"]


async def test_to_1_tokens_are_keyed_by_owner_uid_and_type_without_case(field: Field) -> None:
    partner = await _partner(field)
    for uid, kind in (("ab12", "RFID"), ("AB12", "APP_USER")):
        made = Token(country_code="DE", party_id="EMS", uid=uid, type=kind, contract_id="C",
                     issuer="I", partner_id=partner)  # fmt: skip
        async with field.database.tx() as tx:
            assert await save_token(tx, made)
    async with field.database.tx() as tx:
        assert len(await tokens_by_uid(tx, "Ab12")) == 2
        assert (await token(tx, "DE", "EMS", "aB12", "APP_USER")).type == "APP_USER"
        assert len(await tokens(tx, own=True)) == 1
        with pytest.raises(NotFound):
            await token(tx, "DE", "EMS", "nope")


async def test_an_overtaken_older_token_object_changes_nothing(field: Field) -> None:
    made = Token(country_code="NL", party_id="HUB", uid="T", contract_id="NEW", issuer="I",
                 last_updated=minute(5))  # fmt: skip
    old = Token(country_code="NL", party_id="HUB", uid="T", contract_id="OLD", issuer="I",
                last_updated=minute(1))  # fmt: skip
    async with field.database.tx() as tx:
        assert await save_token(tx, made)
        assert not await save_token(tx, old)
        assert (await token(tx, "NL", "HUB", "T")).contract_id == "NEW"
