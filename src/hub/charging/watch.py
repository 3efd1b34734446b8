"""What boots and statuses say about sessions: charging states of 1.6, and stops that got lost.

The OCPP door calls these right after the stations room has taken the same message.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from hub.charging.closing import close_abandoned_session
from hub.charging.events import SessionAbandoned
from hub.charging.times import business_time
from hub.runtime import Tx, job
from hub.stations.messages import StationBooted, StatusReported

GRACE: Final = timedelta(seconds=60)
"""How long a free connector waits for the stop of its open session, which may be queued still."""

_STATES: Final = {
    "Charging": "Charging", "SuspendedEV": "SuspendedEV", "SuspendedEVSE": "SuspendedEVSE",
    "Finishing": "Idle",
}  # fmt: skip


async def note_boot(tx: Tx, booted: StationBooted) -> int:
    """A station restarted: its open sessions are in doubt until they are heard of again.

    Returns how many. They end when their connector turns Available or another one starts there.
    """
    return await tx.run(
        """UPDATE charging.session SET suspect_since = %s
           WHERE station_id = %s AND state IN ('PENDING', 'ACTIVE') AND suspect_since IS NULL""",
        tx.now, booted.station.id,
    )  # fmt: skip


async def note_status(tx: Tx, reported: StatusReported) -> None:
    """A connector's status: 1.6 tells charging states by it, and Available ends what was lost.

    A session in doubt (or any 1.6 session) whose connector is Available is closed after a minute,
    unless its own stop comes first.
    """
    state = _STATES.get(reported.raw)
    if state is not None:
        await _note_state(tx, reported, state)
    elif reported.raw == "Available":
        await _doubt(tx, reported)


async def _note_state(tx: Tx, reported: StatusReported, state: str) -> None:
    at = business_time(reported.at, tx.now)
    await tx.run(
        """WITH change AS (
             INSERT INTO charging.state_change (tenant_id, station_id, evse, at, state)
             VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING)
           UPDATE charging.session SET charging_state = %s, charging_state_at = %s,
             suspect_since = NULL, last_updated = %s
           WHERE station_id = %s AND evse = %s AND ref IS NULL
             AND state IN ('PENDING', 'ACTIVE')
             AND (charging_state_at IS NULL OR charging_state_at <= %s)""",
        tx.tenant, reported.station.id, reported.evse, at, state, state, at, tx.now,
        reported.station.id, reported.evse, at,
    )  # fmt: skip


async def _doubt(tx: Tx, reported: StatusReported) -> None:
    rows = await tx.rows(
        """UPDATE charging.session SET suspect_since = coalesce(suspect_since, %s)
           WHERE station_id = %s AND evse = %s AND state IN ('PENDING', 'ACTIVE')
             AND (ref IS NULL OR suspect_since IS NOT NULL)
           RETURNING id""",
        tx.now, reported.station.id, reported.evse,
    )  # fmt: skip
    for (session_id,) in rows:
        tx.schedule(close_abandoned, SessionAbandoned(session_id=session_id), at=tx.now + GRACE)


@job("charging.close_abandoned", SessionAbandoned, key=lambda e: str(e.session_id))
async def close_abandoned(tx: Tx, event: SessionAbandoned) -> None:
    """A minute after its connector turned free: close the session, if it is still in doubt."""
    session_id: UUID = event.session_id
    doubted = await tx.value(
        "SELECT 1 FROM charging.session WHERE id = %s AND suspect_since IS NOT NULL", session_id
    )
    if doubted:
        await close_abandoned_session(tx, session_id)
