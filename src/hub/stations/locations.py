"""Our own locations, EVSEs and connectors: kept relationally under OCPI 2.3.0's names.

Nothing is deleted (OCPI L-3): an EVSE that is gone is REMOVED. Every change moves
``last_updated`` forward up the chain (L-7).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.kernel import InvalidValue, NotFound, new_id
from hub.runtime import Tx
from hub.stations.errors import EvseBound
from hub.stations.events import LocationChanged
from hub.stations.model import Connector, Coordinates, Evse, EvseAt, Location, StationRef

_LOCATION: Final = (
    "country_code", "party_id", "publish", "publish_allowed_to", "name", "address", "city",
    "postal_code", "state", "country", "parking_type", "facilities", "time_zone", "opening_times",
    "charging_when_closed", "operator", "help_phone", "more",
)  # fmt: skip
_EVSE: Final = (
    "evse_id", "capabilities", "floor_level", "physical_reference", "parking_restrictions",
    "tariff_id", "more",
)  # fmt: skip
_CONNECTOR: Final = (
    "standard", "format", "power_type", "max_voltage", "max_amperage", "max_electric_power",
    "tariff_id", "tariff_ids", "more",
)  # fmt: skip


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _values(struct: object, fields: tuple[str, ...]) -> list[object]:
    return [_plain(getattr(struct, name)) for name in fields]


def _upsert(table: str, key: tuple[str, ...], fields: tuple[str, ...], conflict: str) -> str:
    """Insert or update a row; touches it, and moves ``last_updated``, only when it differs.

    Columns of ``key`` are written once, those of ``fields`` each time.
    """
    names = (*key, *fields, "last_updated")
    sets = ", ".join(f"{name} = excluded.{name}" for name in fields)
    old = ", ".join(f"t.{name}" for name in fields)
    new = ", ".join(f"excluded.{name}" for name in fields)
    return f"""INSERT INTO stations.{table} AS t ({", ".join(names)})
        VALUES ({", ".join(["%s"] * len(names))})
        ON CONFLICT ({conflict}) DO UPDATE
          SET {sets}, last_updated = greatest(t.last_updated, excluded.last_updated)
        WHERE ({old}) IS DISTINCT FROM ({new})"""


_PLACE: Final = ("latitude", "longitude")
_SAVE_LOCATION = _upsert("location", ("tenant_id", "id"), (*_PLACE, *_LOCATION), "tenant_id, id")
_SAVE_EVSE = _upsert(
    "evse", ("id", "tenant_id", "uid", "status"), ("location_id", *_PLACE, *_EVSE),
    "tenant_id, uid",
)  # fmt: skip
_SAVE_CONNECTOR = _upsert("connector", ("tenant_id", "evse", "id"), _CONNECTOR, "evse, id")


async def save_location(tx: Tx, location: Location) -> bool:
    """Create or replace a location with its EVSEs and connectors; ``True`` when anything changed.

    EVSEs that the location no longer lists become REMOVED. Statuses of EVSEs that exist are kept
    (the stations report them), except that a listed EVSE leaves or enters PLANNED and REMOVED.
    Raises ``InvalidValue`` for an unknown time zone or a doubled uid.
    """
    _check(location)
    at = max(tx.now, location.last_updated or tx.now)
    before = await tx.value("SELECT last_updated FROM stations.location WHERE id = %s", location.id)
    changed = await tx.run(
        _SAVE_LOCATION, tx.tenant, location.id, location.coordinates.latitude,
        location.coordinates.longitude, *_values(location, _LOCATION),
        at if before is None else _after(before, at),
    )  # fmt: skip
    for evse in location.evses:
        changed += await _save_evse(tx, location.id, evse, at)
    changed += await tx.run(
        """UPDATE stations.evse SET status = 'REMOVED', status_at = %s,
             last_updated = greatest(last_updated, %s)
           WHERE location_id = %s AND status <> 'REMOVED' AND NOT uid = ANY(%s)""",
        tx.now, at, location.id, [evse.uid for evse in location.evses],
    )  # fmt: skip
    if changed:
        await _bump(tx, location.id, at)
        tx.emit(LocationChanged(location_id=location.id))
    return changed > 0


def _check(location: Location) -> None:
    try:
        ZoneInfo(location.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidValue("time_zone", f"{location.time_zone!r} is not an IANA zone") from error
    uids = [evse.uid for evse in location.evses]
    if len(set(uids)) != len(uids):
        raise InvalidValue("evses", f"location {location.id!r} lists an EVSE uid twice")


def _after(before: datetime, at: datetime) -> datetime:
    return max(at, before + timedelta(microseconds=1))


async def _bump(tx: Tx, location_id: str, at: datetime) -> None:
    await tx.run(
        """UPDATE stations.location SET last_updated = greatest(last_updated, %s)
           WHERE id = %s""",
        at, location_id,
    )  # fmt: skip


async def _save_evse(tx: Tx, location_id: str, evse: Evse, at: datetime) -> int:
    place = evse.coordinates
    changed = await tx.run(
        _SAVE_EVSE, new_id(), tx.tenant, evse.uid, evse.status, location_id,
        place.latitude if place else None, place.longitude if place else None,
        *_values(evse, _EVSE), at,
    )  # fmt: skip
    lifecycle = evse.status in ("PLANNED", "REMOVED")
    changed += await tx.run(
        """UPDATE stations.evse SET status = %s, status_at = %s
           WHERE uid = %s AND status <> %s AND (%s OR status IN ('PLANNED', 'REMOVED'))""",
        evse.status, tx.now, evse.uid, evse.status, lifecycle,
    )  # fmt: skip
    key = await tx.value("SELECT id FROM stations.evse WHERE uid = %s", evse.uid)
    for connector in evse.connectors:
        changed += await tx.run(
            _SAVE_CONNECTOR, tx.tenant, key, connector.id, *_values(connector, _CONNECTOR), at
        )
    changed += await tx.run(
        "DELETE FROM stations.connector WHERE evse = %s AND NOT id = ANY(%s)",
        key, [connector.id for connector in evse.connectors],
    )  # fmt: skip
    if changed:
        await tx.run(
            "UPDATE stations.evse SET last_updated = greatest(last_updated, %s) WHERE id = %s",
            at, key,
        )  # fmt: skip
    if evse.station_id is not None and evse.number is not None:
        await bind_station(tx, evse.station_id, evse.number, evse.uid)
    return changed


async def locations(
    tx: Tx,
    *,
    after: str = "",
    limit: int = 50,
    date_from: datetime | None = None,
    date_to: datetime | None = None,
) -> list[Location]:
    """A page of the tenant's locations in id order, changed in [date_from, date_to) if given."""
    return await _load(
        tx,
        """id > %s AND (%s::timestamptz IS NULL OR last_updated >= %s)
           AND (%s::timestamptz IS NULL OR last_updated < %s) ORDER BY id LIMIT %s""",
        after, date_from, date_from, date_to, date_to, limit,
    )  # fmt: skip


async def location(tx: Tx, location_id: str) -> Location:
    """One location with its EVSEs; ``NotFound`` when the tenant has none of that id."""
    found = await _load(tx, "id = %s", location_id)
    if not found:
        raise NotFound("location", location_id)
    return found[0]


async def _load(tx: Tx, where: str, *params: object) -> list[Location]:
    fields = ", ".join(_LOCATION)
    rows = await tx.rows(
        f"""SELECT id, latitude, longitude, last_updated, {fields}
            FROM stations.location WHERE {where}""",
        *params,
    )
    evses = await _evses(tx, [row[0] for row in rows])
    return [
        Location(
            id=row[0], coordinates=Coordinates(row[1], row[2]), last_updated=row[3],
            evses=tuple(evses[row[0]]), **_named(_LOCATION, row[4:]),
        )
        for row in rows
    ]  # fmt: skip


def _named(fields: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in zip(fields, values, strict=True)
    }


async def _evses(tx: Tx, location_ids: list[str]) -> dict[str, list[Evse]]:
    fields = ", ".join(_EVSE)
    rows = await tx.rows(
        f"""SELECT id, location_id, uid, status, status_at, latitude, longitude, station_id,
              number, last_updated, {fields}
            FROM stations.evse WHERE location_id = ANY(%s) ORDER BY uid""",
        location_ids,
    )
    connectors = await _connectors(tx, [row[0] for row in rows])
    found: dict[str, list[Evse]] = defaultdict(list)
    for row in rows:
        found[row[1]].append(
            Evse(
                uid=row[2], status=row[3], status_at=row[4], station_id=row[7], number=row[8],
                coordinates=None if row[5] is None else Coordinates(row[5], row[6]),
                last_updated=row[9], connectors=tuple(connectors[row[0]]),
                **_named(_EVSE, row[10:]),
            )
        )  # fmt: skip
    return found


async def _connectors(tx: Tx, evses: list[UUID]) -> dict[UUID, list[Connector]]:
    fields = ", ".join(_CONNECTOR)
    rows = await tx.rows(
        f"""SELECT evse, id, last_updated, {fields} FROM stations.connector
            WHERE evse = ANY(%s) ORDER BY evse, id""",
        evses,
    )
    found: dict[UUID, list[Connector]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(
            Connector(id=row[1], last_updated=row[2], **_named(_CONNECTOR, row[3:]))
        )
    return found


_EVSE_AT = """SELECT station_id, number, uid, evse_id, status, location_id, time_zone, country,
                connector_id, tariff_id, max_electric_power FROM stations.v_evse"""


async def evse_of(tx: Tx, station: StationRef, evse: int) -> EvseAt | None:
    """The EVSE behind a station's EVSE number, or ``None`` before its first sight."""
    return await tx.one(EvseAt, f"{_EVSE_AT} WHERE station_id = %s AND number = %s",
                        station.id, evse)  # fmt: skip


async def evse_by_uid(tx: Tx, uid: str) -> EvseAt | None:
    """The EVSE that OCPI names ``uid``, with the station that speaks for it, if one is bound."""
    return await tx.one(EvseAt, f"{_EVSE_AT} WHERE uid = %s", uid)


async def station_evses(tx: Tx, station_id: str) -> list[EvseAt]:
    """Every EVSE that a station speaks for."""
    return await tx.all(EvseAt, f"{_EVSE_AT} WHERE station_id = %s ORDER BY number", station_id)


async def bind_station(tx: Tx, station_id: str, evse_number: int, evse_uid: str) -> None:
    """Let EVSE ``evse_number`` of a station speak for the EVSE ``evse_uid`` of a location.

    A status that the station reported before counts at once. Safe to repeat. Raises ``NotFound``
    for an unknown EVSE or station, ``EvseBound`` when either side is bound to another one.
    """
    rows = await tx.rows(
        """SELECT id, uid, station_id, number, status, status_at, location_id FROM stations.evse
           WHERE uid = %s OR (station_id = %s AND number = %s) FOR UPDATE""",
        evse_uid, station_id, evse_number,
    )  # fmt: skip
    target = next((row for row in rows if row[1] == evse_uid), None)
    if target is None:
        raise NotFound("evse", evse_uid)
    if (target[2], target[3]) == (station_id, evse_number):
        return
    if target[2] is not None or any(row[1] not in (None, evse_uid) for row in rows):
        raise EvseBound(evse_uid, station_id, evse_number)
    if await tx.value("SELECT 1 FROM stations.station WHERE id = %s", station_id) is None:
        raise NotFound("station", station_id)
    await _join(tx, target, station_id, evse_number)


async def _join(tx: Tx, target: tuple[Any, ...], station_id: str, number: int) -> None:
    reported = await tx.row(
        """DELETE FROM stations.evse WHERE station_id = %s AND number = %s AND uid IS NULL
           RETURNING status, status_at""",
        station_id, number,
    )  # fmt: skip
    status, status_at = reported or (target[4], target[5])
    if target[4] in ("PLANNED", "REMOVED"):
        status, status_at = target[4], target[5]
    await tx.run(
        """UPDATE stations.evse SET station_id = %s, number = %s, status = %s, status_at = %s,
             last_updated = greatest(last_updated, %s) WHERE id = %s""",
        station_id, number, status, status_at, tx.now, target[0],
    )  # fmt: skip
    if target[6] is not None:
        await _bump(tx, target[6], tx.now)
        tx.emit(LocationChanged(location_id=target[6]))


async def unbind_station(tx: Tx, evse_uid: str) -> None:
    """Let no station speak for an EVSE; its status is UNKNOWN until one is bound again."""
    location_id = await tx.value(
        """UPDATE stations.evse SET station_id = NULL, number = NULL, status = 'UNKNOWN',
             status_at = %s, last_updated = greatest(last_updated, %s)
           WHERE uid = %s RETURNING location_id""",
        tx.now, tx.now, evse_uid,
    )  # fmt: skip
    if location_id is None:
        raise NotFound("evse", evse_uid)
    await _bump(tx, location_id, tx.now)
    tx.emit(LocationChanged(location_id=location_id))
