"""Where a transaction takes place, and the session that it begins there, its tariff frozen."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from hub.charging.messages import TransactionEnded, TransactionStarted, TransactionUpdated
from hub.charging.model import Session
from hub.charging.times import business_time
from hub.kernel import new_id
from hub.runtime import Tx, correlation

AnyMessage = TransactionStarted | TransactionUpdated | TransactionEnded


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session takes place, and what else stands in its way there."""

    currency: str
    evse_uid: str | None
    location_id: str | None
    time_zone: str
    connector_id: str | None
    tariff_id: str | None
    tariff_version: int | None
    max_electric_power: int | None
    existing: UUID | None
    blocking: list[UUID] | None


_PLACE = """
SELECT coalesce(f.currency, t.currency) AS currency,
  e.uid AS evse_uid, e.location_id, coalesce(e.time_zone, 'UTC') AS time_zone,
  e.connector_id, f.id AS tariff_id, f.version AS tariff_version, e.max_electric_power,
  (SELECT s.id FROM charging.session s
   WHERE s.station_id = %s AND s.natural_key = %s) AS existing,
  (SELECT array_agg(s.id ORDER BY s.id) FROM charging.session s
   WHERE s.station_id = %s AND s.evse = %s
     AND s.state IN ('PENDING', 'ACTIVE', 'RESERVATION')) AS blocking
FROM runtime.tenant t
LEFT JOIN stations.v_evse e ON e.station_id = %s AND e.number = %s
LEFT JOIN LATERAL (
  SELECT v.id, v.version, v.currency FROM tariffs.v_tariff v
  WHERE v.tenant_id = t.id AND v.deleted_at IS NULL
    AND (v.is_default OR lower(v.id) = lower(e.tariff_id))
  ORDER BY lower(v.id) = lower(e.tariff_id) DESC NULLS LAST LIMIT 1) f ON true
WHERE t.id = %s
"""


async def place_of(tx: Tx, station_id: str, evse: int | None, key: str) -> Place:
    """The surroundings of a start, in one statement."""
    found = await tx.one(
        Place, _PLACE, station_id, key, station_id, evse, station_id, evse, tx.tenant
    )
    assert found is not None, "the tenant of a registered station exists"
    return found


def fresh_session(tx: Tx, message: AnyMessage, key: str, place: Place) -> Session:
    """A session that no message has told of before, PENDING, at its place, its tariff frozen."""
    at = business_time(message.at, message.received_at)
    return Session(
        id=new_id(), tenant_id=tx.tenant, station_id=message.station.id, number=0,
        natural_key=key, ref=message.transaction.ref, evse=message.evse,
        connector=message.connector, evse_uid=place.evse_uid, connector_id=place.connector_id,
        location_id=place.location_id, state="PENDING", started_at=at, start_raw=message.at,
        opened_at=tx.now, max_power_w=place.max_electric_power, tariff_id=place.tariff_id,
        tariff_version=place.tariff_version, currency=place.currency, time_zone=place.time_zone,
        trace=correlation(), last_updated=tx.now,
    )  # fmt: skip


async def at_place(tx: Tx, was: Session, session: Session) -> Session:
    """``session`` with what its EVSE decides, when a late message named the EVSE first."""
    if session.evse == was.evse or session.evse is None:
        return session
    place = await place_of(tx, session.station_id, session.evse, session.natural_key)
    return replace(
        session, evse_uid=place.evse_uid, connector_id=place.connector_id,
        location_id=place.location_id, time_zone=place.time_zone, tariff_id=place.tariff_id,
        tariff_version=place.tariff_version, currency=place.currency,
        max_power_w=place.max_electric_power,
    )  # fmt: skip


def register_text(value: Decimal | None) -> str:
    """A register as part of a key: the same number reads the same."""
    return "" if value is None else f"{value.normalize():f}"
