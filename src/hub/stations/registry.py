"""Which stations exist, who owns them, and the approval list of those that nobody registered."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from hub.kernel import Conflict, InvalidValue, NotFound
from hub.runtime import Tx
from hub.stations.credentials import new_password, password_hash
from hub.stations.model import StationId, StationRow

_COLUMNS = ", ".join(StationRow.__struct_fields__)
_MOST_PENDING = 1000

UnknownPolicy = Literal["ask", "accept", "refuse"]


class Registered(msgspec.Struct, frozen=True):
    """A new station and its password, shown this once (``None`` with profile 3, unless given)."""

    station_id: StationId
    password: str | None


def station_key(station_id: str) -> str:
    """The form under which ids are compared: case-folded (OCPP ids differ in case in the field).

    ``InvalidValue`` for an id that no station may have (OCPP-J 1.6 §3.1.1, 2.0.1 part 4 §3.1).
    """
    name = station_id.strip()
    if not 1 <= len(name) <= 48 or not name.isprintable() or "/" in name:
        raise InvalidValue("station_id", "1 to 48 printable characters without '/'")
    return name.casefold()


async def register_station(
    tx: Tx, station_id: str, *, profile: int = 0, password: str | None = None
) -> Registered:
    """Register a station of ``tx.tenant`` with a new password, unless one is given.

    Profile 0 does not demand the password (a station that presents one must present the right
    one); profile 3 has none, the station's certificate speaks for it.

    Raises ``Conflict`` when any tenant has a station of that id (compared without case), except
    one that waits on the approval list: that one is approved and becomes ours.
    """
    key = station_key(station_id)
    if profile not in range(4):
        raise InvalidValue("profile", "OCPP security profiles are 0 to 3")
    if password is None and profile < 3:
        password = new_password()
    hashed = password_hash(password) if password is not None else None
    made = await tx.value(
        """INSERT INTO stations.station
             (id, tenant_id, id_key, state, profile, password_hash, created_at)
           VALUES (%s, %s, %s, 'approved', %s, %s, %s)
           ON CONFLICT (id_key) DO UPDATE SET state = 'approved', profile = excluded.profile,
             password_hash = excluded.password_hash
           WHERE station.state <> 'approved' AND station.tenant_id = excluded.tenant_id
           RETURNING id""",
        station_id.strip(), tx.tenant, key, profile, hashed, tx.now,
    )  # fmt: skip
    if made is None:
        raise Conflict(f"a station {station_id!r} exists already (ids are compared without case)")
    return Registered(StationId(made), password)


async def find_station(tx: Tx, station_id: str) -> StationRow | None:
    """The station that a socket names, of whichever tenant (``tx`` is ``Database.system_tx``).

    Compared without case; ``None`` when nobody knows it or the id cannot be one.
    """
    try:
        key = station_key(station_id)
    except InvalidValue:
        return None
    return await tx.one(
        StationRow, f"SELECT {_COLUMNS} FROM stations.station WHERE id_key = %s", key
    )


async def note_unknown_station(
    tx: Tx, station_id: str, remote: str, *, policy: UnknownPolicy = "ask"
) -> StationRow | None:
    """Treat a station that nobody registered: list it, register it at once, or refuse it.

    Returns its row (``pending`` or ``approved``), or ``None`` when refused. The list is bounded:
    beyond 1,000 waiting stations new ones are refused.
    """
    key = station_key(station_id)
    if policy == "refuse":
        return None
    return await tx.one(
        StationRow,
        f"""INSERT INTO stations.station
             (id, tenant_id, id_key, state, remote, created_at, last_seen_at)
            SELECT %s, %s, %s, %s, %s, %s, %s
            WHERE %s OR (SELECT count(*) FROM stations.station WHERE state = 'pending') < %s
              OR EXISTS (SELECT 1 FROM stations.station WHERE id_key = %s)
            ON CONFLICT (id_key) DO UPDATE
              SET remote = excluded.remote, last_seen_at = excluded.last_seen_at
            RETURNING {_COLUMNS}""",
        station_id.strip(), tx.tenant, key, "approved" if policy == "accept" else "pending",
        remote, tx.now, tx.now, policy == "accept", _MOST_PENDING, key,
    )  # fmt: skip


async def approve_station(
    tx: Tx, station_id: str, *, profile: int = 0, password: str | None = None
) -> Registered:
    """Let a waiting or refused station in; ``NotFound`` when there is none of that id."""
    await station(tx, station_id)
    return await register_station(tx, station_id, profile=profile, password=password)


async def refuse_station(tx: Tx, station_id: str) -> None:
    """Refuse a station from now on; ``NotFound`` when there is none of that id."""
    changed = await tx.run(
        "UPDATE stations.station SET state = 'refused' WHERE id_key = %s", station_key(station_id)
    )
    if not changed:
        raise NotFound("station", station_id)


async def set_password(tx: Tx, station_id: str, password: str) -> None:
    """Replace a station's password; ``NotFound`` when there is none of that id."""
    changed = await tx.run(
        "UPDATE stations.station SET password_hash = %s WHERE id_key = %s",
        password_hash(password), station_key(station_id),
    )  # fmt: skip
    if not changed:
        raise NotFound("station", station_id)


async def set_assumed_protocol(tx: Tx, station_id: str, protocol: str | None) -> None:
    """Which subprotocol to assume when the station offers none (opt-in per station)."""
    changed = await tx.run(
        "UPDATE stations.station SET assume_protocol = %s WHERE id_key = %s",
        protocol, station_key(station_id),
    )  # fmt: skip
    if not changed:
        raise NotFound("station", station_id)


async def station(tx: Tx, station_id: str) -> StationRow:
    """One station of the tenant; ``NotFound`` when there is none of that id."""
    found = await find_station(tx, station_id)
    if found is None:
        raise NotFound("station", station_id)
    return found


async def stations(
    tx: Tx, *, after: str = "", limit: int = 50, state: str | None = None,
    connections: tuple[UUID, ...] | None = None,
) -> list[StationRow]:  # fmt: skip
    """A page of the tenant's stations in id order, from the one after ``after``."""
    return await tx.all(
        StationRow,
        f"""SELECT {_COLUMNS} FROM stations.station
            WHERE id > %s AND (%s::text IS NULL OR state = %s)
              AND (%s::uuid[] IS NULL OR connection = ANY(%s))
            ORDER BY id LIMIT %s""",
        after, state, state, None if connections is None else list(connections),
        list(connections or ()), limit,
    )  # fmt: skip
