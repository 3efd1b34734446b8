"""OCPI 2.2.1: how its wire types become our objects and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, get_args

import msgspec

from hub.charging.model import Token, Whitelist
from hub.kernel import InvalidValue, decode, encode, format_instant, parse_instant, round_half_up
from hub.ocpi import objects
from hub.ocpi import wire221 as wire
from hub.ocpi.dialect import Dialect, Read, Shape, Written
from hub.parties import PartyClaim, PartyRole
from hub.settlement.model import Cdr, CdrLocation, CdrPeriod, CdrToken, Price
from hub.stations.model import Connector, Coordinates, Evse, Location
from hub.tariffs import model as tariffs

T = TypeVar("T")
_EPOCH: Final = "1970-01-01T00:00:00Z"
_ROLES: Final[frozenset[str]] = frozenset(get_args(PartyRole))
_TOKEN_TYPES: Final = frozenset({"AD_HOC_USER", "APP_USER", "OTHER", "RFID"})
_WHITELISTS: Final[frozenset[str]] = frozenset(get_args(Whitelist))
_ALLOWED: Final = frozenset({"ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED"})


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)


def _one_of(field: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise InvalidValue(field, f"{value[:40]!r} is not one of {', '.join(sorted(known))}")
    return value


def _text(field: str, value: str, *, at_most: int) -> str:
    """A non-empty printable text (T-C1, T-C2); longer than the standard is taken up to a cap."""
    if not value or len(value) > at_most or not value.isprintable():
        raise InvalidValue(field, f"must be 1 to {at_most} printable characters")
    return value


# credentials


def _lift_credentials(given: wire.Credentials) -> objects.Credentials:
    token = given.token
    if not 0 < len(token) <= 64 or not all("!" <= mark <= "~" for mark in token):
        raise InvalidValue("token", "must be 1 to 64 printable ASCII characters without spaces")
    if not given.roles:
        raise InvalidValue("roles", "at least one role is needed")
    return objects.Credentials(token, given.url, tuple(_lift_role(role) for role in given.roles))


def _lift_role(given: wire.CredentialsRole) -> PartyClaim:
    role = msgspec.convert(_one_of("role", given.role, _ROLES), PartyRole)
    details = given.business_details
    return PartyClaim(given.country_code, given.party_id, role, details.name, details.website)


def _lower_credentials(ours: objects.Credentials) -> wire.Credentials:
    roles = tuple(
        wire.CredentialsRole(
            role=role.role,
            business_details=wire.BusinessDetails(name=role.name, website=role.website),
            party_id=role.party_id,
            country_code=role.country_code,
        )
        for role in ours.roles
    )
    return wire.Credentials(token=ours.token, url=ours.url, roles=roles)


def _lift_details(given: wire.VersionDetails) -> objects.VersionDetails:
    endpoints = (objects.Endpoint(e.identifier, e.role, e.url) for e in given.endpoints)
    return objects.VersionDetails(given.version, tuple(endpoints))


def _lower_details(ours: objects.VersionDetails) -> wire.VersionDetails:
    endpoints = (wire.Endpoint(identifier=e.module, role=e.role, url=e.url) for e in ours.endpoints)
    return wire.VersionDetails(version=ours.version, endpoints=tuple(endpoints))


# locations


def _more(body: bytes, kind: type[wire.Wire]) -> dict[str, msgspec.Raw]:
    """The members of 2.2.1 among those that we keep as they came."""
    kept = decode(body, dict[str, msgspec.Raw])
    return {name: kept[name] for name in kind.__struct_fields__ if name in kept}


def _place(at: Coordinates | None) -> wire.GeoLocation | None:
    if at is None:
        return None
    return wire.GeoLocation(latitude=_degrees(at.latitude), longitude=_degrees(at.longitude))


def _degrees(value: Decimal) -> str:
    """Five to seven decimals (T-C9)."""
    places = -int(value.as_tuple().exponent)
    return f"{round_half_up(value, min(max(places, 5), 7)):f}"


def _raw(body: bytes | None) -> msgspec.Raw | None:
    return None if body is None else msgspec.Raw(body)


def _present(kind: type[T], members: dict[str, Any], more: bytes) -> T:
    """A wire object from its members, with what we keep unread put in where it is absent."""
    kept = {name: value for name, value in members.items() if value is not None}
    rest = _more(more, kind)  # type: ignore[arg-type]
    return decode(encode({**rest, **kept}), kind)


def _lower_connector(ours: Connector, evse_tariff: str | None = None) -> wire.Connector:
    own = ours.tariff_id or evse_tariff
    return _present(
        wire.Connector,
        {
            "id": ours.id,
            "standard": ours.standard,
            "format": ours.format,
            "power_type": ours.power_type,
            "max_voltage": ours.max_voltage,
            "max_amperage": ours.max_amperage,
            "max_electric_power": ours.max_electric_power,
            "tariff_ids": ours.tariff_ids or ((own,) if own else None),
            "last_updated": _instant(ours.last_updated) or _EPOCH,
        },
        ours.more,
    )


def _lower_evse(ours: Evse) -> wire.Evse:
    return _present(
        wire.Evse,
        {
            "uid": ours.uid,
            "evse_id": ours.evse_id,
            "status": ours.status,
            "capabilities": ours.capabilities or None,
            "connectors": [_lower_connector(one, ours.tariff_id) for one in ours.connectors],
            "floor_level": ours.floor_level,
            "coordinates": _place(ours.coordinates),
            "physical_reference": ours.physical_reference,
            "parking_restrictions": ours.parking_restrictions or None,
            "last_updated": _instant(ours.last_updated) or _EPOCH,
        },
        ours.more,
    )


def _lower_location(ours: Location) -> wire.Location:
    return _present(
        wire.Location,
        {
            "country_code": ours.country_code,
            "party_id": ours.party_id,
            "id": ours.id,
            "publish": ours.publish,
            "publish_allowed_to": _raw(ours.publish_allowed_to),
            "name": ours.name,
            "address": ours.address,
            "city": ours.city,
            "postal_code": ours.postal_code,
            "state": ours.state,
            "country": ours.country,
            "coordinates": _place(ours.coordinates),
            "parking_type": ours.parking_type,
            "evses": [_lower_evse(one) for one in ours.evses if one.connectors] or None,
            "operator": _raw(ours.operator),
            "facilities": ours.facilities or None,
            "time_zone": ours.time_zone,
            "opening_times": _raw(ours.opening_times),
            "charging_when_closed": None if ours.charging_when_closed else False,
            "last_updated": _instant(ours.last_updated) or _EPOCH,
        },
        ours.more,
    )


# tariffs


def _limit(ours: tariffs.PriceLimit | None) -> wire.Price | None:
    if ours is None:
        return None
    return wire.Price(excl_vat=ours.excl_vat, incl_vat=ours.incl_vat)


def _clock(seconds: int | None) -> str | None:
    return None if seconds is None else f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def _lower_restrictions(ours: tariffs.TariffRestrictions) -> wire.TariffRestrictions:
    plain = (
        "min_kwh", "max_kwh", "min_current", "max_current", "min_power", "max_power",
        "min_duration", "max_duration", "day_of_week", "reservation",
    )  # fmt: skip
    return wire.TariffRestrictions(
        start_time=_clock(ours.start_time),
        end_time=_clock(ours.end_time),
        start_date=ours.start_date.isoformat() if ours.start_date else None,
        end_date=ours.end_date.isoformat() if ours.end_date else None,
        **{name: getattr(ours, name) for name in plain},
    )


def _lower_element(ours: tariffs.TariffElement) -> wire.TariffElement:
    components = tuple(
        wire.PriceComponent(type=one.type, price=one.price, vat=one.vat, step_size=one.step_size)
        for one in ours.price_components
    )
    restrictions = _lower_restrictions(ours.restrictions) if ours.restrictions else None
    return wire.TariffElement(price_components=components, restrictions=restrictions)


def _lower_tariff(ours: tariffs.Tariff) -> wire.Tariff:
    return wire.Tariff(
        country_code=ours.country_code,
        party_id=ours.party_id,
        id=ours.id,
        currency=ours.currency,
        type=ours.type,
        tariff_alt_text=tuple(
            wire.DisplayText(language=one.language, text=one.text) for one in ours.tariff_alt_text
        ),
        tariff_alt_url=ours.tariff_alt_url,
        min_price=_limit(ours.min_price),
        max_price=_limit(ours.max_price),
        elements=tuple(_lower_element(one) for one in ours.elements),
        start_date_time=_instant(ours.start_date_time),
        end_date_time=_instant(ours.end_date_time),
        energy_mix=decode(ours.energy_mix, wire.EnergyMix) if ours.energy_mix else None,
        last_updated=_instant(ours.last_updated) or _EPOCH,
    )


# sessions, cdrs


def _price(ours: objects.Price | None) -> wire.Price | None:
    if ours is None:
        return None
    return wire.Price(excl_vat=ours.before_taxes, incl_vat=ours.after_taxes)


def _lower_cdr_token(ours: CdrToken) -> wire.CdrToken:
    return wire.CdrToken(
        country_code=ours.country_code,
        party_id=ours.party_id,
        uid=ours.uid,
        type=_token_type(ours.type),
        contract_id=ours.contract_id,
    )


def _lower_period(ours: objects.ChargingPeriod) -> wire.ChargingPeriod:
    dimensions = (wire.CdrDimension(type=kind, volume=volume) for kind, volume in ours.dimensions)
    return wire.ChargingPeriod(
        start_date_time=format_instant(ours.start),
        dimensions=tuple(dimensions),
        tariff_id=ours.tariff_id,
    )


def _lower_session(ours: objects.Session) -> wire.Session:
    return wire.Session(
        country_code=ours.country_code,
        party_id=ours.party_id,
        id=ours.id,
        start_date_time=format_instant(ours.start),
        end_date_time=_instant(ours.end),
        kwh=ours.kwh,
        cdr_token=_lower_cdr_token(ours.token),
        auth_method=ours.auth_method,
        authorization_reference=ours.authorization_reference,
        location_id=ours.location_id,
        evse_uid=ours.evse_uid,
        connector_id=ours.connector_id,
        currency=ours.currency,
        charging_periods=tuple(_lower_period(one) for one in ours.periods),
        total_cost=_price(ours.total_cost),
        status=ours.status,
        last_updated=format_instant(ours.last_updated),
    )


def _lower_cdr_location(ours: CdrLocation) -> wire.CdrLocation:
    return wire.CdrLocation(
        id=ours.id,
        name=ours.name,
        address=ours.address[:45],
        city=ours.city,
        postal_code=ours.postal_code,
        state=ours.state[:20] if ours.state else None,
        country=ours.country,
        coordinates=wire.GeoLocation(
            latitude=_degrees(ours.latitude), longitude=_degrees(ours.longitude)
        ),
        evse_uid=ours.evse_uid,
        evse_id=ours.evse_id,
        connector_id=ours.connector_id,
        connector_standard=ours.connector_standard,
        connector_format=ours.connector_format,
        connector_power_type=ours.connector_power_type,
    )


def _cost(ours: Price) -> wire.Price:
    return wire.Price(excl_vat=ours.excl_vat, incl_vat=ours.incl_vat)


def _lower_cdr_period(ours: CdrPeriod) -> wire.ChargingPeriod:
    return wire.ChargingPeriod(
        start_date_time=format_instant(ours.start_date_time),
        dimensions=tuple(wire.CdrDimension(type=d.type, volume=d.volume) for d in ours.dimensions),
        tariff_id=ours.tariff_id,
    )


def _lower_cdr(ours: Cdr) -> wire.Cdr:
    return wire.Cdr(
        country_code=ours.country_code,
        party_id=ours.party_id,
        id=ours.id,
        start_date_time=format_instant(ours.start_date_time),
        end_date_time=format_instant(ours.end_date_time),
        session_id=ours.session_id,
        cdr_token=_lower_cdr_token(ours.cdr_token),
        auth_method=ours.auth_method,
        authorization_reference=ours.authorization_reference,
        cdr_location=_lower_cdr_location(ours.cdr_location),
        meter_id=ours.meter_id,
        currency=ours.currency,
        tariffs=tuple(_lower_tariff(one) for one in ours.tariffs),
        charging_periods=tuple(_lower_cdr_period(one) for one in ours.charging_periods),
        total_cost=_cost(ours.total_cost),
        total_fixed_cost=_cost(ours.total_fixed_cost),
        total_energy=ours.total_energy,
        total_energy_cost=_cost(ours.total_energy_cost),
        total_time=ours.total_time,
        total_time_cost=_cost(ours.total_time_cost),
        total_parking_time=ours.total_parking_time,
        total_parking_cost=_cost(ours.total_parking_cost),
        total_reservation_cost=_cost(ours.total_reservation_cost),
        remark=ours.remark,
        credit=True if ours.credit else None,
        credit_reference_id=ours.credit_reference_id,
        last_updated=format_instant(ours.last_updated),
    )


# tokens


def _token_type(kind: str) -> str:
    return kind if kind in _TOKEN_TYPES else "OTHER"


def _lift_token(given: wire.Token) -> Token:
    if len(given.country_code) != 2 or not 1 <= len(given.party_id) <= 3:
        raise InvalidValue("party_id", "country_code has two letters, party_id up to three")
    return Token(
        country_code=_text("country_code", given.country_code, at_most=2).upper(),
        party_id=_text("party_id", given.party_id, at_most=3).upper(),
        uid=_text("uid", given.uid, at_most=255),
        type=_one_of("type", given.type, _TOKEN_TYPES),
        contract_id=_text("contract_id", given.contract_id, at_most=255),
        issuer=_text("issuer", given.issuer, at_most=255),
        valid=given.valid,
        whitelist=msgspec.convert(_one_of("whitelist", given.whitelist, _WHITELISTS), Whitelist),
        visual_number=given.visual_number,
        group_id=given.group_id,
        language=given.language,
        default_profile_type=given.default_profile_type,
        energy_contract=encode(given.energy_contract) if given.energy_contract else None,
        last_updated=parse_instant(given.last_updated),
    )


def _lower_token(ours: Token) -> wire.Token:
    return wire.Token(
        country_code=ours.country_code,
        party_id=ours.party_id,
        uid=ours.uid,
        type=_token_type(ours.type),
        contract_id=ours.contract_id,
        visual_number=ours.visual_number,
        issuer=ours.issuer,
        group_id=ours.group_id,
        valid=ours.valid,
        whitelist=ours.whitelist,
        language=ours.language,
        default_profile_type=ours.default_profile_type,
        energy_contract=(
            decode(ours.energy_contract, wire.EnergyContract) if ours.energy_contract else None
        ),
        last_updated=_instant(ours.last_updated) or _EPOCH,
    )


def _lift_authorization(given: wire.AuthorizationInfo) -> objects.Authorization:
    return objects.Authorization(
        allowed=_one_of("allowed", given.allowed, _ALLOWED),
        authorization_reference=given.authorization_reference,
        info=given.info.text if given.info else None,
    )


def _lower_references(ours: objects.LocationReferences) -> wire.LocationReferences:
    return wire.LocationReferences(location_id=ours.location_id, evse_uids=ours.evse_uids)


# commands


def _lift_start(given: wire.StartSession) -> objects.StartSession:
    if given.connector_id is not None and given.evse_uid is None:
        raise InvalidValue("evse_uid", "is needed when connector_id is given")
    return objects.StartSession(
        response_url=_text("response_url", given.response_url, at_most=2048),
        token=_lift_token(given.token),
        location_id=given.location_id,
        evse_uid=given.evse_uid,
        connector_id=given.connector_id,
        authorization_reference=given.authorization_reference,
    )


def _lift_stop(given: wire.StopSession) -> objects.StopSession:
    url = _text("response_url", given.response_url, at_most=2048)
    return objects.StopSession(url, _text("session_id", given.session_id, at_most=255))


def _lift_unlock(given: wire.UnlockConnector) -> objects.UnlockConnector:
    url = _text("response_url", given.response_url, at_most=2048)
    return objects.UnlockConnector(url, given.location_id, given.evse_uid, given.connector_id)


def _lower_response(ours: objects.CommandResponse) -> wire.CommandResponse:
    return wire.CommandResponse(result=ours.result, timeout=ours.timeout)


def _lower_result(ours: objects.CommandResult) -> wire.CommandResult:
    message = (wire.DisplayText(language="en", text=ours.text),) if ours.text else ()
    return wire.CommandResult(result=ours.result, message=message)


V221: Final = Dialect(
    version="2.2.1",
    credentials=Shape(wire.Credentials, _lift_credentials, _lower_credentials),
    details=Shape(wire.VersionDetails, _lift_details, _lower_details),
    location=Written(wire.Location, _lower_location),
    evse=Written(wire.Evse, _lower_evse),
    connector=Written(wire.Connector, _lower_connector),
    tariff=Written(wire.Tariff, _lower_tariff),
    session=Written(wire.Session, _lower_session),
    cdr=Written(wire.Cdr, _lower_cdr),
    token=Shape(wire.Token, _lift_token, _lower_token),
    location_references=Written(wire.LocationReferences, _lower_references),
    authorization=Read(wire.AuthorizationInfo, _lift_authorization),
    start_session=Read(wire.StartSession, _lift_start),
    stop_session=Read(wire.StopSession, _lift_stop),
    unlock_connector=Read(wire.UnlockConnector, _lift_unlock),
    command_response=Written(wire.CommandResponse, _lower_response),
    command_result=Written(wire.CommandResult, _lower_result),
)
