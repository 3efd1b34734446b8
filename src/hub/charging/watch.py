"""What boots and statuses say about sessions: charging states of 1.6, and stops that got lost.

The OCPP door calls these right after the stations room has taken the same message.
"""

from __future__ import annotations

from collections.abc import Sequence
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

LONG_GRACE: Final = timedelta(minutes=10)
"""The same for a 2.x transaction of a station that has not restarted: its events may be queued
while its statuses are not."""

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

    A session whose connector is Available is closed after a grace, unless its own stop comes
    first.
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
        """WITH before AS (
             SELECT id, ref IS NULL OR suspect_since IS NOT NULL AS soon FROM charging.session
             WHERE station_id = %s AND evse = %s AND state IN ('PENDING', 'ACTIVE') FOR UPDATE)
           UPDATE charging.session s SET suspect_since = coalesce(s.suspect_since, %s)
           FROM before b WHERE s.id = b.id RETURNING s.id, b.soon""",
        reported.station.id, reported.evse, tx.now,
    )  # fmt: skip
    for session_id, soon in rows:
        grace = GRACE if soon else LONG_GRACE
        tx.schedule(close_abandoned, SessionAbandoned(session_id=session_id), at=tx.now + grace)


async def doubt_overtaken(tx: Tx, sessions: Sequence[UUID]) -> None:
    """Another 2.x transaction started on the EVSE of these: their end is lost, or still queued."""
    await tx.run(
        """UPDATE charging.session SET suspect_since = coalesce(suspect_since, %s)
           WHERE id = ANY(%s)""",
        tx.now, list(sessions),
    )  # fmt: skip
    for session_id in sessions:
        event = SessionAbandoned(session_id=session_id)
        tx.schedule(close_abandoned, event, at=tx.now + LONG_GRACE)


@job("charging.close_abandoned", SessionAbandoned, key=lambda e: str(e.session_id))
async def close_abandoned(tx: Tx, event: SessionAbandoned) -> None:
    """A minute after its connector turned free: close the session, if it is still in doubt."""
    session_id: UUID = event.session_id
    doubted = await tx.value(
        "SELECT 1 FROM charging.session WHERE id = %s AND suspect_since IS NOT NULL", session_id
    )
    if doubted:
        await close_abandoned_session(tx, session_id)
