"""Members that OCPI 2.2.1 requires of what a CPO sends; a partner's second opinion of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_REQUIRED: Final = {
    "locations": (
        "country_code party_id id publish address city country coordinates time_zone last_updated"
    ),
    "evses": "uid status connectors last_updated",
    "connectors": "id standard format power_type max_voltage max_amperage last_updated",
    "tariffs": "country_code party_id id currency elements last_updated",
    "sessions": (
        "country_code party_id id start_date_time kwh cdr_token auth_method location_id evse_uid "
        "connector_id currency status last_updated"
    ),
    "cdrs": (
        "country_code party_id id start_date_time end_date_time cdr_token auth_method "
        "cdr_location currency charging_periods total_cost total_energy total_time last_updated"
    ),
    "cdr_token": "country_code party_id uid type contract_id",
    "cdr_location": (
        "id address city country coordinates evse_uid evse_id connector_id connector_standard "
        "connector_format connector_power_type"
    ),
    "charging_periods": "start_date_time dimensions",
    "dimensions": "type volume",
    "total_cost": "excl_vat",
}
_SESSION_ONLY: Final = frozenset(
    {"CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE"}
)


def missing_members(kind: str, said: object, path: str = "") -> list[str]:
    """Paths of required members that are absent, null or empty, in depth; in CDRs also the
    dimensions that only sessions may carry."""
    if not isinstance(said, Mapping):
        return [path or kind]
    names = _REQUIRED.get(kind, "").split()
    found = [f"{path}{name}" for name in names if said.get(name) in (None, "", [])]
    for name, inner in said.items():
        if name in _REQUIRED or name == "evses":
            found += _inside(name, inner, f"{path}{name}")
    return found + (_session_dimensions(said) if kind == "cdrs" else [])


def _session_dimensions(cdr: Mapping[str, Any]) -> list[str]:
    kinds = {
        dimension.get("type")
        for period in cdr.get("charging_periods") or ()
        for dimension in period.get("dimensions") or ()
    }
    return [f"dimension {kind} is for sessions only" for kind in sorted(kinds & _SESSION_ONLY)]


def _inside(name: str, inner: Any, path: str) -> list[str]:
    if isinstance(inner, list):
        return [
            lack
            for index, item in enumerate(inner)
            for lack in missing_members(name, item, f"{path}[{index}].")
        ]
    return [] if inner is None else missing_members(name, inner, f"{path}.")
