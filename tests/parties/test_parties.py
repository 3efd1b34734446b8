"""Parties, partners and their credentials: who may speak for whom, and with which token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.kernel import InvalidValue, NotFound
from hub.parties import (
    Endpoint,
    OwnParty,
    PartyClaim,
    PartyTaken,
    agree,
    authenticate_partner,
    connect_partner,
    drop_credentials,
    end_agreement,
    endpoint_of,
    ensure_own_party,
    fade_credentials,
    grant_credential,
    invite_partner,
    may_exchange,
    our_parties,
    our_party,
    parties_of,
    partner_by_id,
    partners_with,
    party_owner,
    plan_partner,
    token_out,
    use_credential,
)
from hub.runtime import Database
from hub.runtime.vault import Vault

VAULT = Vault([bytes(range(32))])
EXM = PartyClaim("NL", "EXM", "EMSP", "Example")


class At:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    async def sleep_until(self, at: datetime) -> None:
        self.instant = max(at, self.instant)


async def test_our_own_party_is_created_once_and_follows_the_settings(database: Database) -> None:
    for name in ("Hub", "Hub two"):
        async with database.tx() as tx:
            await ensure_own_party(tx, OwnParty("NL", "HUB", name))
    async with database.tx() as tx:
        assert [(p.party_id, p.name) for p in await our_parties(tx)] == [("HUB", "Hub two")]
        await ensure_own_party(tx, OwnParty("DE", "NEW", "Neu"), ("CPO", "EMSP"))
        assert (await our_party(tx, "EMSP")).country_code == "DE"
        assert len(await our_parties(tx)) == 2
        with pytest.raises(NotFound):
            await our_party(tx, "NSP")


async def test_C_10_a_party_of_one_platform_cannot_be_claimed_by_another(
    database: Database,
) -> None:
    async with database.tx() as tx:
        invited = await invite_partner(tx, VAULT, [EXM])
    with pytest.raises(PartyTaken, match="NL-EXM"):
        async with database.tx() as tx:
            await plan_partner(tx, "thief", [PartyClaim("nl", "exm", "EMSP")])
    async with database.tx() as tx:
        assert await party_owner(tx, "nl", "exm") == invited.partner_id
        assert await party_owner(tx, "NL", "ZZZ") is None
        assert [p.party_id for p in await parties_of(tx, invited.partner_id)] == ["EXM"]


@pytest.mark.parametrize("claim", [PartyClaim("N", "EXM", "EMSP"), PartyClaim("NL", "E-M", "CPO")])
async def test_a_malformed_party_is_refused(database: Database, claim: PartyClaim) -> None:
    async with database.tx() as tx:
        with pytest.raises(InvalidValue):
            await plan_partner(tx, "bad", [claim])


async def test_a_token_is_known_by_its_hash_alone(database: Database) -> None:
    async with database.tx() as tx:
        invited = await invite_partner(tx, VAULT, [EXM])
    async with database.system_tx() as tx:
        rows = await tx.rows("SELECT * FROM parties.credential")
        assert invited.token not in repr(rows)
        hashes = [VAULT.hash_token("wrong"), VAULT.hash_token(invited.token)]
        found = await authenticate_partner(tx, hashes)
        assert found is not None
        assert found.partner_id == invited.partner_id
        assert await authenticate_partner(tx, [VAULT.hash_token("wrong")]) is None


async def test_C_6_an_old_token_works_until_the_new_one_is_used(database: Database) -> None:
    old, new = VAULT.hash_token("old"), VAULT.hash_token("new")
    clock = At()
    database.clock = clock
    async with database.tx() as tx:
        partner = await plan_partner(tx, "Example", [EXM])
        await grant_credential(tx, partner, old, kind="access")
    clock.instant += timedelta(hours=1)
    async with database.tx() as tx:
        await fade_credentials(tx, partner)
        await grant_credential(tx, partner, new, kind="access")
    async with database.system_tx() as tx:
        assert await authenticate_partner(tx, [old])
    clock.instant += timedelta(hours=25)
    async with database.system_tx() as tx:
        assert await authenticate_partner(tx, [old]) is None
    clock.instant -= timedelta(hours=25)
    async with database.system_tx() as tx:
        used = await authenticate_partner(tx, [new])
    assert used is not None
    async with database.tx() as tx:
        await use_credential(tx, used)
    async with database.system_tx() as tx:
        assert await authenticate_partner(tx, [old]) is None
        assert await authenticate_partner(tx, [new])


async def test_a_connected_partner_has_endpoints_and_loses_its_tokens_when_dropped(
    database: Database,
) -> None:
    async with database.tx() as tx:
        partner = await plan_partner(tx, "Example", [EXM])
        with pytest.raises(NotFound):
            await token_out(tx, partner)
        await connect_partner(
            tx, partner, version="2.2.1", versions_url="http://e/versions", token_out=b"one",
            endpoints=[Endpoint("cdrs", "RECEIVER", "http://e/cdrs")],
        )  # fmt: skip
        assert await endpoint_of(tx, partner, "cdrs", "RECEIVER") == "http://e/cdrs"
        assert await endpoint_of(tx, partner, "cdrs", "SENDER") is None
        assert [p.id for p in await partners_with(tx, "cdrs", "RECEIVER")] == [partner]
        assert (await partner_by_id(tx, partner)).state == "CONNECTED"
        assert await token_out(tx, partner) == (b"one", None)
        await drop_credentials(tx, partner)
        with pytest.raises(NotFound):
            await token_out(tx, partner)


async def test_closed_roaming_lets_through_only_what_was_agreed(database: Database) -> None:
    async with database.tx() as tx:
        partner = await plan_partner(tx, "Example", [EXM])
        assert await may_exchange(tx, partner, "cdrs", default="open")
        assert not await may_exchange(tx, partner, "cdrs", default="closed")
        await agree(tx, partner, "cdrs")
        assert await may_exchange(tx, partner, "cdrs", default="closed")
        assert not await may_exchange(tx, partner, "sessions", default="closed")
        await end_agreement(tx, partner, "cdrs")
        assert not await may_exchange(tx, partner, "cdrs", default="closed")
