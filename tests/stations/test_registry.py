"""Registration, the approval list, passwords."""

from __future__ import annotations

import pytest

from hub.kernel import Conflict, InvalidValue
from hub.runtime import Database
from hub.stations import (
    approve_station,
    find_station,
    note_unknown_station,
    password_matches,
    refuse_station,
    register_station,
    stations,
)


async def test_ids_are_unique_and_found_without_case(database: Database) -> None:
    async with database.tx() as tx:
        await register_station(tx, "Depot-7")
        with pytest.raises(Conflict):
            await register_station(tx, "DEPOT-7")
    async with database.system_tx() as tx:
        found = await find_station(tx, "depot-7")
    assert found is not None
    assert (found.id, found.state) == ("Depot-7", "approved")


@pytest.mark.parametrize("bad", ["", "a/b", "x" * 49, "nul\0"])
async def test_an_id_that_no_station_may_have_is_refused(database: Database, bad: str) -> None:
    async with database.tx() as tx:
        with pytest.raises(InvalidValue):
            await register_station(tx, bad)
        assert await find_station(tx, bad) is None


async def test_a_password_is_shown_once_and_compared_also_in_hex(database: Database) -> None:
    async with database.tx() as tx:
        made = await register_station(tx, "CP1", profile=1)
        assert made.password is not None
        found = await find_station(tx, "CP1")
    assert found is not None
    assert 16 <= len(made.password) <= 20
    assert password_matches(found, made.password)
    assert password_matches(found, made.password.encode().hex())
    assert not password_matches(found, made.password + "x")
    assert made.password.encode() not in (found.password_hash or b"")


@pytest.mark.parametrize(
    ("policy", "state"), [("ask", "pending"), ("accept", "approved"), ("refuse", None)]
)
async def test_an_unknown_station_is_listed_accepted_or_refused_by_policy(
    database: Database, policy: str, state: str | None
) -> None:
    async with database.tx() as tx:
        row = await note_unknown_station(tx, "NEW", "10.0.0.9", policy=policy)  # type: ignore[arg-type]
    assert (row.state if row else None) == state


async def test_a_waiting_station_is_approved_with_a_password_or_refused(
    database: Database,
) -> None:
    async with database.tx() as tx:
        for name in ("A", "B"):
            await note_unknown_station(tx, name, "10.0.0.9")
        approved = await approve_station(tx, "a", profile=2)
        await refuse_station(tx, "B")
        rows = {one.id: one.state for one in await stations(tx)}
    assert approved.password is not None
    assert rows == {"A": "approved", "B": "refused"}
