"""A station's link to us: boot, connection, disconnection, and the status of its EVSEs.

Connections are fenced: only the latest connection of a station may set it offline.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from hub.kernel import NotFound, new_id
from hub.runtime import Tx, job
from hub.stations.events import EvseStatusChanged, StationConnected, StationDisconnected
from hub.stations.messages import StationBooted, StatusReported
from hub.stations.model import ConnectorStatus, EvseStatus, StationRef

HEARTBEAT_SECONDS = 300
UNREACHABLE_AFTER = timedelta(seconds=60)
"""How long a lost station keeps its status, so that a short reconnect tells partners nothing."""

_ANSWERS: Final[dict[str, Literal["Accepted", "Pending", "Rejected"]]] = {
    "approved": "Accepted", "pending": "Pending", "refused": "Rejected",
}  # fmt: skip

# The first of these that any connector of the EVSE has is the EVSE's status (OCPI L-8: the
# status is the EVSE's; one busy connector occupies its siblings).
_RANK: Final[tuple[EvseStatus, ...]] = (
    "CHARGING", "RESERVED", "BLOCKED", "AVAILABLE", "INOPERATIVE", "OUTOFORDER", "UNKNOWN",
)  # fmt: skip


class BootAnswer(msgspec.Struct, frozen=True):
    """What to tell a booting station; ``interval`` in seconds."""

    status: Literal["Accepted", "Pending", "Rejected"]
    interval: int


def evse_status(connectors: Iterable[EvseStatus]) -> EvseStatus:
    """The status of an EVSE from those of its connectors."""
    found = set(connectors)
    return next((status for status in _RANK if status in found), "UNKNOWN")


async def boot(tx: Tx, booted: StationBooted, *, interval: int = HEARTBEAT_SECONDS) -> BootAnswer:
    """Note what a station says about itself; the answer follows from its approval.

    A station that waits for approval or is refused is asked again after a minute.
    """
    state = await tx.value(
        """UPDATE stations.station SET vendor = %s, model = %s, serial = %s, firmware = %s,
             boot_reason = %s, booted_at = %s, last_seen_at = %s, protocol = %s
           WHERE id = %s RETURNING state""",
        booted.vendor, booted.model, booted.serial, booted.firmware, booted.reason, booted.at,
        tx.now, booted.protocol, booted.station.id,
    )  # fmt: skip
    if state is None:
        raise NotFound("station", booted.station.id)
    answer = _ANSWERS[state]
    return BootAnswer(answer, interval if answer == "Accepted" else 60)


async def station_connected(
    tx: Tx, station: StationRef, protocol: str, connection: UUID, *, remote: str | None = None
) -> None:
    """A socket was accepted: it is the station's latest connection from now on."""
    await tx.run(
        """UPDATE stations.station SET online = true, connection = %s, protocol = %s,
             connected_at = %s, last_seen_at = %s, remote = coalesce(%s, remote)
           WHERE id = %s""",
        connection, protocol, tx.now, tx.now, remote, station.id,
    )  # fmt: skip
    tx.emit(StationConnected(station_id=station.id, protocol=protocol))
    await _refresh_evses(tx, station)


async def station_disconnected(tx: Tx, station: StationRef, connection: UUID) -> bool:
    """A socket ended. Does nothing, and returns ``False``, when a newer connection exists."""
    ended = await tx.run(
        """UPDATE stations.station SET online = false, disconnected_at = %s
           WHERE id = %s AND connection = %s AND online""",
        tx.now, station.id, connection,
    )  # fmt: skip
    if not ended:
        return False
    event = StationDisconnected(station_id=station.id)
    tx.emit(event)
    tx.schedule(mark_unreachable, event, at=tx.now + UNREACHABLE_AFTER)
    return True


async def forget_connections(tx: Tx) -> int:
    """Set every online station of the tenant offline: at start, when no socket can be open."""
    rows = await tx.rows(
        """UPDATE stations.station SET online = false, disconnected_at = %s
           WHERE online RETURNING id""",
        tx.now,
    )
    for (station_id,) in rows:
        event = StationDisconnected(station_id=station_id)
        tx.emit(event)
        tx.schedule(mark_unreachable, event, at=tx.now + UNREACHABLE_AFTER)
    return len(rows)


async def seen(tx: Tx, stations: Iterable[str]) -> None:
    """Note that these stations were heard just now (callers coalesce; liveness is any frame)."""
    await tx.run(
        "UPDATE stations.station SET last_seen_at = %s WHERE id = ANY(%s)", tx.now, list(stations)
    )


@job("stations.mark_unreachable", StationDisconnected, key=lambda e: e.station_id)
async def mark_unreachable(tx: Tx, event: StationDisconnected) -> None:
    """A minute after a disconnection: if still offline, its EVSEs are UNKNOWN (OCPI L-8)."""
    await _refresh_evses(tx, StationRef(tx.tenant, event.station_id))  # type: ignore[arg-type]


async def report_status(tx: Tx, reported: StatusReported) -> bool:
    """Store one connector's status; ``True`` when its EVSE's status is another one than before.

    Creates the EVSE at first sight. Order is that of receipt, not of the stations' clocks.
    EVSE 0 speaks of the station and changes no EVSE.
    """
    await tx.run(
        """INSERT INTO stations.connector_status AS s (tenant_id, station_id, evse, connector,
             status, raw, error, vendor_error, detail, at, received_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (station_id, evse, connector) DO UPDATE SET status = excluded.status,
             raw = excluded.raw, error = excluded.error, vendor_error = excluded.vendor_error,
             detail = excluded.detail, at = excluded.at, received_at = excluded.received_at""",
        tx.tenant, reported.station.id, reported.evse, reported.connector, reported.status,
        reported.raw, reported.error, reported.vendor_error, reported.detail, reported.at, tx.now,
    )  # fmt: skip
    if reported.evse <= 0:
        return False
    found = await tx.rows(
        """SELECT status FROM stations.connector_status
           WHERE station_id = %s AND evse = %s""",
        reported.station.id, reported.evse,
    )  # fmt: skip
    status = evse_status(row[0] for row in found)
    return await _set_status(tx, reported.station.id, reported.evse, status)


async def connector_statuses(tx: Tx, station_id: str) -> list[ConnectorStatus]:
    """What a station last reported about each of its connectors."""
    return await tx.all(
        ConnectorStatus,
        """SELECT evse, connector, status, raw, error, vendor_error, detail, at
           FROM stations.connector_status WHERE station_id = %s ORDER BY evse, connector""",
        station_id,
    )


async def _set_status(tx: Tx, station_id: str, number: int, status: EvseStatus) -> bool:
    # One statement: nothing comes back when the status is the one that was known.
    changed = await tx.row(
        """WITH evse AS (
             INSERT INTO stations.evse AS e
               (id, tenant_id, station_id, number, status, status_at, last_updated)
             VALUES (%s, %s, %s, %s, %s, %s, %s)
             ON CONFLICT (station_id, number) DO UPDATE
               SET status = excluded.status, status_at = excluded.status_at,
                 last_updated = greatest(e.last_updated, excluded.last_updated)
               WHERE e.status IS DISTINCT FROM excluded.status
                 AND e.status NOT IN ('PLANNED', 'REMOVED')
             RETURNING uid, location_id),
           bumped AS (
             UPDATE stations.location l SET last_updated = greatest(l.last_updated, %s)
             FROM evse WHERE l.id = evse.location_id AND l.tenant_id = %s)
           SELECT uid, location_id FROM evse""",
        new_id(), tx.tenant, station_id, number, status, tx.now, tx.now, tx.now, tx.tenant,
    )  # fmt: skip
    if changed is None:
        return False
    tx.emit(
        EvseStatusChanged(
            station_id=station_id, evse=number, evse_uid=changed[0], location_id=changed[1],
            status=status, at=tx.now,
        )
    )  # fmt: skip
    return True


async def _refresh_evses(tx: Tx, station: StationRef) -> None:
    rows = await tx.rows(
        """SELECT e.number, s.online, array_remove(array_agg(c.status), NULL), e.status
           FROM stations.evse e JOIN stations.station s ON s.id = e.station_id
           LEFT JOIN stations.connector_status c
             ON c.station_id = e.station_id AND c.evse = e.number
           WHERE e.station_id = %s GROUP BY e.number, s.online, e.status ORDER BY e.number""",
        station.id,
    )
    for number, online, statuses, known in rows:
        status = evse_status(statuses) if online else "UNKNOWN"
        if status != known:
            await _set_status(tx, station.id, number, status)
