"""Who may connect, and what everybody else is told (OCPP-J 1.6 section 3, 2.0.1 part 4)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.ocpp.stations import Station, basic, door, known, station, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hub.ocpp.handshake import Presented, admit, station_id_of
from hub.runtime import PLATFORM, Database
from hub.stations import StationRow, approve_station, set_assumed_protocol, stations
from hub.stations.credentials import password_hash

PASSWORD = "sixteen-letters!"
HEX = PASSWORD.encode().hex()

PATHS = {
    "/ocpp/CP1": "CP1",
    "/ocpp/CP1/": "CP1",
    "/ocpp/CP%201": "CP 1",
    "/ocpp/CP%2541": "CP%41",
    "/ocpp/CP1/CP1": "CP1",
    "/ocpp/CP1?x=1": "CP1",
    "/ocpp/": None,
    "/ocpp": None,
    "/": None,
    "/other/CP1": None,
    "/ocpp/CP1/CP2": None,
    "/ocpp/%ff": None,
}


@pytest.mark.parametrize(("path", "found"), PATHS.items(), ids=PATHS)
def test_the_path_names_the_station_decoded_once(path: str, found: str | None) -> None:
    assert station_id_of(path) == found


async def refused(at: Any, name: str = "CP1", **options: Any) -> InvalidStatus:
    """How the handshake was refused."""
    with pytest.raises(InvalidStatus) as raised:
        async with station(at, name, **options):
            pass
    return raised.value


CREDENTIALS: dict[str, tuple[int, dict[str, str] | None, int]] = {
    "none needed": (0, None, 101),
    "right though not needed": (0, basic("CP1", PASSWORD), 101),
    "wrong though not needed": (0, basic("CP1", "wrong"), 401),
    "right": (1, basic("CP1", PASSWORD), 101),
    "other case": (1, basic("cp1", PASSWORD), 101),
    "hexadecimal": (1, basic("CP1", HEX), 101),
    "no user": (1, basic("", PASSWORD), 101),
    "A_02 other user": (1, basic("CP2", PASSWORD), 401),
    "A_03 wrong password": (1, basic("CP1", "wrong"), 401),
    "no header": (1, None, 401),
    "not Basic": (1, {"Authorization": "Bearer x"}, 401),
    "no colon": (1, {"Authorization": "Basic eHg="}, 401),
    "no base64": (1, {"Authorization": "Basic ***"}, 401),
    "TLS demanded": (2, basic("CP1", PASSWORD), 403),
    "certificate demanded": (3, None, 403),
}


@pytest.mark.parametrize("case", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_are_checked_as_the_security_profile_demands(
    case: tuple[int, dict[str, str] | None, int],
) -> None:
    profile, headers, status = case
    shown = Presented(authorization=(headers or {}).get("Authorization"), secure=False)
    found = admit(row(profile, password_hash(PASSWORD)), shown)
    assert (found.status if found else 101) == status


def test_a_key_of_bytes_may_come_as_bytes() -> None:
    key = bytes(range(200, 220))
    shown = base64.b64encode(b"CP1:" + key).decode()
    presented = Presented(authorization=f"Basic {shown}", secure=False)
    assert admit(row(1, password_hash(key.hex())), presented) is None


def row(profile: int, hashed: bytes) -> StationRow:
    """A station that is approved."""
    fields: dict[str, Any] = dict.fromkeys(StationRow.__struct_fields__)
    fields |= {"id": "CP1", "state": "approved", "profile": profile, "password_hash": hashed}
    return StationRow(**fields)


async def test_wrong_passwords_get_401_and_right_ones_connect(database: Database) -> None:
    await known(database, "CP1", profile=1, password=PASSWORD)
    async with door(database) as at:
        for headers in (None, basic("CP1", "wrong"), basic("CP2", PASSWORD)):
            response = (await refused(at, additional_headers=headers)).response
            assert response.status_code == 401
            assert "WWW-Authenticate" in response.headers
        async with station(at, additional_headers=basic("CP1", PASSWORD)) as cp:
            assert (await cp.boot())["status"] == "Accepted"


async def test_the_stations_id_is_compared_without_case(database: Database) -> None:
    await known(database, "Cp1")
    async with door(database) as at, station(at, "cP1") as cp:
        await cp.boot()
        assert await at.rows("SELECT id, online FROM stations.station") == [("Cp1", True)]


async def test_an_unknown_station_gets_404_and_is_listed_for_approval(database: Database) -> None:
    async with door(database) as at:
        assert (await refused(at, "NEW")).response.status_code == 404
        again = (await refused(at, "NEW")).response
        assert again.status_code == 403
        assert b"waits for approval" in again.body
        async with database.tx() as tx:
            assert [(s.id, s.state) for s in await stations(tx)] == [("NEW", "pending")]
            await approve_station(tx, "NEW")
        async with station(at, "NEW") as cp:
            assert (await cp.boot())["status"] == "Accepted"


async def test_by_policy_an_unknown_station_is_accepted(database: Database) -> None:
    async with door(database, unknown="accept") as at, station(at, "NEW") as cp:
        assert (await cp.boot())["status"] == "Accepted"


async def test_by_policy_an_unknown_station_is_refused_and_not_listed(database: Database) -> None:
    async with door(database, unknown="refuse") as at:
        assert (await refused(at, "NEW")).response.status_code == 404
        async with database.tx() as tx:
            assert await stations(tx) == []


async def test_an_id_that_no_station_may_have_gets_404(database: Database) -> None:
    async with door(database) as at:
        for name in ("x" * 49, "a%2Fb", "a%00b"):
            assert (await refused(at, name)).response.status_code == 404


OFFERS: dict[str, tuple[list[str], str | None]] = {
    "1.6": (["ocpp1.6"], "ocpp1.6"),
    "2.0.1": (["ocpp2.0.1"], "ocpp2.0.1"),
    "station's order": (["ocpp1.6", "ocpp2.0.1"], "ocpp1.6"),
    "first we know": (["ocpp9", "ocpp2.0.1", "ocpp1.6"], "ocpp2.0.1"),
    "none we know": (["ocpp1.5"], None),
    "none": ([], None),
}


async def test_the_first_subprotocol_that_both_know_is_spoken(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        for offered, spoken in OFFERS.values():
            subprotocols = [Subprotocol(name) for name in offered] or None
            async with connect(at.url("CP1"), subprotocols=subprotocols, proxy=None) as socket:
                assert socket.subprotocol == spoken
                if spoken is None:
                    with pytest.raises(ConnectionClosed) as raised:
                        await socket.recv()
                    assert raised.value.rcvd is not None
                    assert raised.value.rcvd.code == 1002


async def test_a_station_may_be_set_to_speak_a_version_without_offering_it(
    database: Database,
) -> None:
    await known(database, "CP1")
    async with database.tx(PLATFORM) as tx:
        await set_assumed_protocol(tx, "CP1", "ocpp1.6")
    async with door(database) as at, connect(at.url("CP1"), proxy=None) as socket:
        assert socket.subprotocol is None
        assert (await Station(socket).boot())["status"] == "Accepted"


@pytest.mark.parametrize(("protocol", "deflated"), [("ocpp1.6", False), ("ocpp2.0.1", True)])
async def test_compression_is_only_for_2_0_1(
    database: Database, protocol: str, *, deflated: bool
) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        offered = [Subprotocol(protocol)]
        async with connect(at.url("CP1"), subprotocols=offered, proxy=None) as socket:
            assert bool(socket.protocol.extensions) == deflated
            assert (await Station(socket).boot())["status"] == "Accepted"


async def test_the_version_belongs_to_the_connection(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        for protocol in ("ocpp1.6", "ocpp2.0.1", "ocpp1.6"):
            async with station(at, protocol=protocol) as cp:
                assert (await cp.boot())["status"] == "Accepted"


async def test_a_station_that_left_is_offline(database: Database) -> None:
    await known(database, "CP1")
    async with door(database) as at:
        async with station(at) as cp:
            await cp.boot()
            assert await at.rows("SELECT online FROM stations.station") == [(True,)]

        async def offline() -> bool:
            return await at.rows("SELECT online FROM stations.station") == [(False,)]

        await until(offline)
