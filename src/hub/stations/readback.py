"""What a station holds, as far as it told us: variables, reservations, charging profiles.

Filled from accepted commands and reports only, so that a read-back never shows a mere wish.
Both OCPP shapes are read leniently; what does not look like the action is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hub.kernel import InvalidValue, encode, parse_instant
from hub.runtime import Tx
from hub.stations.model import StationRef

_JSON = msgspec.json.Decoder(float_hook=Decimal)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One variable of the device model; a 1.6 configuration key has the empty component."""

    variable: str
    value: str | None
    component: str = ""
    component_instance: str = ""
    evse: int = 0
    variable_instance: str = ""
    attribute: str = "Actual"
    mutability: str | None = None
    at: datetime | None = None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation that a station accepted."""

    station_id: str
    number: int
    evse: int | None
    token_uid: str
    token_type: str | None
    group_id: str | None
    expires_at: datetime
    state: str
    last_updated: datetime


class ChargingProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A charging profile that a station accepted; ``body`` is the profile's JSON as sent."""

    station_id: str
    evse: int
    number: int
    purpose: str
    stack_level: int
    transaction: str | None
    body: bytes
    installed_at: datetime


async def save_variables(tx: Tx, station: StationRef, found: Iterable[Variable]) -> None:
    """Store values that the station reported (NotifyReport, GetConfiguration, GetVariables)."""
    # The last report of a key wins, also within one message.
    keyed = {
        (v.component, v.component_instance, v.evse, v.variable, v.variable_instance, v.attribute): v
        for v in found
    }
    await tx.run_many(
        """INSERT INTO stations.variable AS v (tenant_id, station_id, component,
             component_instance, evse, variable, variable_instance, attribute, value, mutability,
             at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (station_id, component, component_instance, evse, variable,
             variable_instance, attribute)
           DO UPDATE SET value = excluded.value, at = excluded.at,
             mutability = coalesce(excluded.mutability, v.mutability)""",
        [(station.tenant, station.id, *key, v.value, v.mutability, tx.now)
         for key, v in keyed.items()],
    )  # fmt: skip


async def variables(tx: Tx, station_id: str) -> list[Variable]:
    """Every variable that a station ever reported or accepted."""
    return await tx.all(
        Variable,
        """SELECT component, component_instance, evse, variable, variable_instance, attribute,
             value, mutability, at FROM stations.variable WHERE station_id = %s
           ORDER BY component, component_instance, evse, variable, variable_instance, attribute""",
        station_id,
    )


async def reservations(tx: Tx, station_id: str) -> list[Reservation]:
    """A station's reservations, soonest expiry first; one past its time reads EXPIRED."""
    return await tx.all(
        Reservation,
        """SELECT station_id, number, evse, token_uid, token_type, group_id, expires_at,
             CASE WHEN state = 'ACTIVE' AND expires_at <= %s THEN 'EXPIRED' ELSE state END AS state,
             last_updated
           FROM stations.reservation WHERE station_id = %s ORDER BY expires_at, number""",
        tx.now, station_id,
    )  # fmt: skip


async def charging_profiles(tx: Tx, station_id: str) -> list[ChargingProfile]:
    """The charging profiles that a station holds."""
    return await tx.all(
        ChargingProfile,
        """SELECT station_id, evse, number, purpose, stack_level, transaction, body, installed_at
           FROM stations.charging_profile WHERE station_id = %s ORDER BY evse, number""",
        station_id,
    )


async def end_reservation(tx: Tx, station_id: str, number: int, state: str) -> bool:
    """A reservation was USED by a transaction, CANCELLED or EXPIRED; ``False`` if not active."""
    return bool(
        await tx.run(
            """UPDATE stations.reservation SET state = %s, last_updated = %s
               WHERE station_id = %s AND number = %s AND state = 'ACTIVE'""",
            state, tx.now, station_id, number,
        )
    )  # fmt: skip


async def note_command_effect(
    tx: Tx, station: StationRef, action: str, request: bytes, reply: bytes
) -> None:
    """Store what an answered command changed in the station, when its answer says so.

    ``action``, ``request`` and ``reply`` are OCPP's own (1.6 or 2.x). Unknown actions and refused
    or malformed answers change nothing.
    """
    take = _EFFECTS.get(action)
    asked, told = _object(request), _object(reply)
    if take is None or asked is None or told is None:
        return
    try:
        await take(tx, station, asked, told)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidValue):
        # An answer that does not carry its action's members says nothing about the station.
        return


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = _JSON.decode(body)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _accepted(told: dict[str, Any]) -> bool:
    return told.get("status") == "Accepted"


async def _reserved(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    if not _accepted(told):
        return
    token = asked.get("idToken") or {"idToken": asked.get("idTag")}
    group = asked.get("groupIdToken") or {"idToken": asked.get("parentIdTag")}
    number = int(asked.get("id", asked.get("reservationId")))  # type: ignore[arg-type]
    evse = asked.get("evseId", asked.get("connectorId")) or None
    expires = parse_instant(asked.get("expiryDateTime") or asked["expiryDate"])
    await tx.run(
        """INSERT INTO stations.reservation (tenant_id, station_id, number, evse, token_uid,
             token_type, group_id, expires_at, state, last_updated)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'ACTIVE', %s)
           ON CONFLICT (station_id, number) DO UPDATE SET evse = excluded.evse,
             token_uid = excluded.token_uid, token_type = excluded.token_type,
             group_id = excluded.group_id, expires_at = excluded.expires_at, state = 'ACTIVE',
             last_updated = excluded.last_updated""",
        station.tenant, station.id, number, evse, str(token["idToken"]), token.get("type"),
        group.get("idToken"), expires, tx.now,
    )  # fmt: skip


async def _cancelled(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    if _accepted(told):
        await end_reservation(tx, station.id, int(asked["reservationId"]), "CANCELLED")


async def _profile_set(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    if not _accepted(told):
        return
    profile = asked.get("chargingProfile") or asked["csChargingProfiles"]
    evse = int(asked.get("evseId", asked.get("connectorId", 0)))
    number = int(profile.get("id", profile.get("chargingProfileId")))
    purpose, level = profile["chargingProfilePurpose"], int(profile["stackLevel"])
    transaction = profile.get("transactionId")
    # 1.6 §5.16.5: a profile with the same stack level and purpose is replaced, as is the same id.
    await tx.run(
        """DELETE FROM stations.charging_profile WHERE station_id = %s
             AND (number = %s OR (evse = %s AND purpose = %s AND stack_level = %s
                  AND transaction IS NOT DISTINCT FROM %s::text))""",
        station.id, number, evse, purpose, level,
        None if transaction is None else str(transaction),
    )  # fmt: skip
    await tx.run(
        """INSERT INTO stations.charging_profile (tenant_id, station_id, evse, number, purpose,
             stack_level, transaction, body, installed_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        station.tenant, station.id, evse, number, purpose, level,
        None if transaction is None else str(transaction), encode(profile), tx.now,
    )  # fmt: skip


async def _profiles_cleared(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    if not _accepted(told):
        return
    criteria = asked.get("chargingProfileCriteria") or {}
    number = asked.get("chargingProfileId", asked.get("id"))
    evse = criteria.get("evseId", asked.get("connectorId"))
    purpose = criteria.get("chargingProfilePurpose", asked.get("chargingProfilePurpose"))
    level = criteria.get("stackLevel", asked.get("stackLevel"))
    await tx.run(
        """DELETE FROM stations.charging_profile WHERE station_id = %s AND CASE
             WHEN %s::bigint IS NOT NULL THEN number = %s
             ELSE (%s::int IS NULL OR evse = %s) AND (%s::text IS NULL OR purpose = %s)
              AND (%s::int IS NULL OR stack_level = %s) END""",
        station.id, number, number, evse, evse, purpose, purpose, level, level,
    )  # fmt: skip


async def _configured(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    if told.get("status") in ("Accepted", "RebootRequired"):
        await save_variables(
            tx, station, [Variable(variable=str(asked["key"]), value=str(asked["value"]))]
        )


async def _configuration_read(
    tx: Tx, station: StationRef, _: dict[str, Any], told: dict[str, Any]
) -> None:
    found = [
        Variable(
            variable=str(key["key"]),
            value=None if key.get("value") is None else str(key["value"]),
            mutability="ReadOnly" if key.get("readonly") else "ReadWrite",
        )
        for key in told.get("configurationKey") or ()
    ]
    await save_variables(tx, station, found)


def _named(entry: dict[str, Any], value: str | None) -> Variable:
    component, variable = entry["component"], entry["variable"]
    return Variable(
        component=str(component["name"]),
        component_instance=str(component.get("instance") or ""),
        evse=int((component.get("evse") or {}).get("id") or 0),
        variable=str(variable["name"]),
        variable_instance=str(variable.get("instance") or ""),
        attribute=str(entry.get("attributeType") or "Actual"),
        value=value,
    )


async def _variables_set(
    tx: Tx, station: StationRef, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    wanted: Sequence[dict[str, Any]] = asked["setVariableData"]
    values = {_key(_named(entry, None)): str(entry["attributeValue"]) for entry in wanted}
    found = [
        _named(entry, values.get(_key(_named(entry, None))))
        for entry in told["setVariableResult"]
        if entry.get("attributeStatus") in ("Accepted", "RebootRequired")
    ]
    await save_variables(tx, station, [one for one in found if one.value is not None])


def _key(one: Variable) -> tuple[object, ...]:
    return (
        one.component.casefold(), one.component_instance.casefold(), one.evse,
        one.variable.casefold(), one.variable_instance.casefold(), one.attribute,
    )  # fmt: skip


async def _variables_read(
    tx: Tx, station: StationRef, _: dict[str, Any], told: dict[str, Any]
) -> None:
    found = [
        _named(entry, str(entry["attributeValue"]))
        for entry in told["getVariableResult"]
        if entry.get("attributeStatus") == "Accepted" and entry.get("attributeValue") is not None
    ]
    await save_variables(tx, station, found)


_EFFECTS = {
    "ReserveNow": _reserved,
    "CancelReservation": _cancelled,
    "SetChargingProfile": _profile_set,
    "ClearChargingProfile": _profiles_cleared,
    "ChangeConfiguration": _configured,
    "GetConfiguration": _configuration_read,
    "SetVariables": _variables_set,
    "GetVariables": _variables_read,
}
