"""OCPI 2.2.1 as it looks on the wire: one Struct per object of the standard, nothing else.

Absent optional members stay absent. Instants, enums and ids are text here and are read when an
object is lifted, so that what a partner adds or misspells survives until somebody needs it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object whose absent members are left out again when it is written."""


def _sized(length: int) -> Meta:
    return Meta(extra_json_schema={"maxLength": length})


def _one_of(*values: str) -> Meta:
    return Meta(extra_json_schema={"enum": list(values)})


CountryCode = Annotated[str, _sized(2)]
PartyId = Annotated[str, _sized(3)]
Id = Annotated[str, _sized(36)]
CdrId = Annotated[str, _sized(39)]
EvseId = Annotated[str, _sized(48)]
Text64 = Annotated[str, _sized(64)]
Text100 = Annotated[str, _sized(100)]
Text255 = Annotated[str, _sized(255)]
Text5000 = Annotated[str, _sized(5000)]
Currency = Annotated[str, _sized(3)]
Url = Annotated[str, Meta(extra_json_schema={"maxLength": 255, "format": "uri"})]
DateTime = Annotated[str, Meta(extra_json_schema={"maxLength": 25, "format": "date-time"})]

Role = Annotated[str, _one_of("CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP")]
InterfaceRole = Annotated[str, _one_of("SENDER", "RECEIVER")]
TokenType = Annotated[str, _one_of("AD_HOC_USER", "APP_USER", "OTHER", "RFID")]
Whitelist = Annotated[str, _one_of("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")]
ProfileType = Annotated[str, _one_of("CHEAP", "FAST", "GREEN", "REGULAR")]
Allowed = Annotated[str, _one_of("ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED")]
AuthMethod = Annotated[str, _one_of("AUTH_REQUEST", "COMMAND", "WHITELIST")]
SessionStatus = Annotated[
    str, _one_of("ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION")
]  # fmt: skip
EvseStatus = Annotated[
    str,
    _one_of(
        "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER",
        "PLANNED", "REMOVED", "RESERVED", "UNKNOWN",
    ),
]  # fmt: skip
PowerType = Annotated[
    str, _one_of("AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC")
]
CommandResponseType = Annotated[
    str, _one_of("NOT_SUPPORTED", "REJECTED", "ACCEPTED", "UNKNOWN_SESSION")
]
CommandResultType = Annotated[
    str,
    _one_of(
        "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED",
        "NOT_SUPPORTED", "REJECTED", "TIMEOUT", "UNKNOWN_RESERVATION",
    ),
]  # fmt: skip


# versions, credentials


class Version(Wire, frozen=True, kw_only=True):
    """One version and where its endpoints are listed."""

    version: str
    url: Url


class Endpoint(Wire, frozen=True, kw_only=True):
    """Where one side of a module is served."""

    identifier: str
    role: InterfaceRole = "SENDER"
    url: Url


class VersionDetails(Wire, frozen=True, kw_only=True):
    """Everything that is served in one version."""

    version: str
    endpoints: tuple[Endpoint, ...]


class Image(Wire, frozen=True, kw_only=True):
    """A picture hosted by the operator."""

    url: Url
    thumbnail: Url | None = None
    category: str
    type: str
    width: int | None = None
    height: int | None = None


class BusinessDetails(Wire, frozen=True, kw_only=True):
    """Who is behind a role or a location."""

    name: Text100
    website: Url | None = None
    logo: Image | None = None


class CredentialsRole(Wire, frozen=True, kw_only=True):
    """A role that the platform speaks for."""

    role: Role
    business_details: BusinessDetails
    party_id: PartyId
    country_code: CountryCode


class Credentials(Wire, frozen=True, kw_only=True):
    """A credentials token, where to start, and who is there."""

    token: Text64
    url: Url
    roles: tuple[CredentialsRole, ...]


# types


class DisplayText(Wire, frozen=True, kw_only=True):
    """A text for people in one language."""

    language: str
    text: Annotated[str, _sized(512)]


class Price(Wire, frozen=True, kw_only=True):
    """An amount without and with VAT."""

    excl_vat: Decimal
    incl_vat: Decimal | None = None


# locations


class GeoLocation(Wire, frozen=True, kw_only=True):
    """A point in decimal degrees, as text."""

    latitude: Annotated[str, _sized(10)]
    longitude: Annotated[str, _sized(11)]


class AdditionalGeoLocation(Wire, frozen=True, kw_only=True):
    """Another point of a location, such as its entrance."""

    latitude: Annotated[str, _sized(10)]
    longitude: Annotated[str, _sized(11)]
    name: DisplayText | None = None


class EnergySource(Wire, frozen=True, kw_only=True):
    """A share of the energy by source, in percent."""

    source: str
    percentage: Decimal


class EnvironmentalImpact(Wire, frozen=True, kw_only=True):
    """An impact in g/kWh."""

    category: str
    amount: Decimal


class EnergyMix(Wire, frozen=True, kw_only=True):
    """Where the energy comes from."""

    is_green_energy: bool
    energy_sources: tuple[EnergySource, ...] = ()
    environ_impact: tuple[EnvironmentalImpact, ...] = ()
    supplier_name: Text64 | None = None
    energy_product_name: Text64 | None = None


class RegularHours(Wire, frozen=True, kw_only=True):
    """Weekly opening hours in local time."""

    weekday: int
    period_begin: str
    period_end: str


class ExceptionalPeriod(Wire, frozen=True, kw_only=True):
    """An exception of the opening hours, in UTC."""

    period_begin: DateTime
    period_end: DateTime


class Hours(Wire, frozen=True, kw_only=True):
    """Opening hours."""

    twentyfourseven: bool
    regular_hours: tuple[RegularHours, ...] = ()
    exceptional_openings: tuple[ExceptionalPeriod, ...] = ()
    exceptional_closings: tuple[ExceptionalPeriod, ...] = ()


class PublishToken(Wire, frozen=True, kw_only=True):
    """Whose tokens may see an unpublished location."""

    uid: Id | None = None
    type: TokenType | None = None
    visual_number: Text64 | None = None
    issuer: Text64 | None = None
    group_id: Id | None = None


class StatusSchedule(Wire, frozen=True, kw_only=True):
    """A planned status."""

    period_begin: DateTime
    period_end: DateTime | None = None
    status: EvseStatus


class Connector(Wire, frozen=True, kw_only=True):
    """A socket or cable."""

    id: Id
    standard: str
    format: Annotated[str, _one_of("SOCKET", "CABLE")]
    power_type: PowerType
    max_voltage: int
    max_amperage: int
    max_electric_power: int | None = None
    tariff_ids: tuple[Id, ...] = ()
    terms_and_conditions: Url | None = None
    last_updated: DateTime


class Evse(Wire, frozen=True, kw_only=True):
    """What charges one vehicle at a time."""

    uid: Id
    evse_id: EvseId | None = None
    status: EvseStatus
    status_schedule: tuple[StatusSchedule, ...] = ()
    capabilities: tuple[str, ...] = ()
    connectors: tuple[Connector, ...]
    floor_level: Annotated[str, _sized(4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, _sized(16)] | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    last_updated: DateTime


class Location(Wire, frozen=True, kw_only=True):
    """A place with EVSEs."""

    country_code: CountryCode
    party_id: PartyId
    id: Id
    publish: bool
    publish_allowed_to: tuple[PublishToken, ...] = ()
    name: Text255 | None = None
    address: Text255
    city: Annotated[str, _sized(45)]
    postal_code: Annotated[str, _sized(10)] | None = None
    state: Annotated[str, _sized(45)] | None = None
    country: Annotated[str, _sized(3)]
    coordinates: GeoLocation
    related_locations: tuple[AdditionalGeoLocation, ...] = ()
    parking_type: str | None = None
    evses: tuple[Evse, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: tuple[str, ...] = ()
    time_zone: Text255
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    last_updated: DateTime


# tariffs


class PriceComponent(Wire, frozen=True, kw_only=True):
    """A price per unit, without VAT."""

    type: Annotated[str, _one_of("ENERGY", "FLAT", "PARKING_TIME", "TIME")]
    price: Decimal
    vat: Decimal | None = None
    step_size: int


class TariffRestrictions(Wire, frozen=True, kw_only=True):
    """When an element applies."""

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[str, ...] = ()
    reservation: str | None = None


class TariffElement(Wire, frozen=True, kw_only=True):
    """Prices that share restrictions."""

    price_components: tuple[PriceComponent, ...]
    restrictions: TariffRestrictions | None = None


class Tariff(Wire, frozen=True, kw_only=True):
    """What charging costs."""

    country_code: CountryCode
    party_id: PartyId
    id: Id
    currency: Currency
    type: str | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: tuple[TariffElement, ...]
    start_date_time: DateTime | None = None
    end_date_time: DateTime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: DateTime


# sessions, cdrs


class CdrToken(Wire, frozen=True, kw_only=True):
    """The token of a session, frozen when it started."""

    country_code: CountryCode
    party_id: PartyId
    uid: Id
    type: TokenType
    contract_id: Id


class CdrDimension(Wire, frozen=True, kw_only=True):
    """A quantity of a charging period: kWh, hours, A or kW."""

    type: str
    volume: Decimal


class ChargingPeriod(Wire, frozen=True, kw_only=True):
    """A stretch of a session; it ends where the next one starts."""

    start_date_time: DateTime
    dimensions: tuple[CdrDimension, ...]
    tariff_id: Id | None = None


class Session(Wire, frozen=True, kw_only=True):
    """A charging session, as far as it is known."""

    country_code: CountryCode
    party_id: PartyId
    id: Id
    start_date_time: DateTime
    end_date_time: DateTime | None = None
    kwh: Decimal
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: Id | None = None
    location_id: Id
    evse_uid: Id
    connector_id: Id
    meter_id: Text255 | None = None
    currency: Currency
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_cost: Price | None = None
    status: SessionStatus
    last_updated: DateTime


class CdrLocation(Wire, frozen=True, kw_only=True):
    """Where a session took place, frozen when it started."""

    id: Id
    name: Text255 | None = None
    address: Text255
    city: Annotated[str, _sized(45)]
    postal_code: Annotated[str, _sized(10)] | None = None
    state: Annotated[str, _sized(20)] | None = None
    country: Annotated[str, _sized(3)]
    coordinates: GeoLocation
    evse_uid: Id
    evse_id: EvseId
    connector_id: Id
    connector_standard: str
    connector_format: str
    connector_power_type: PowerType


class SignedValue(Wire, frozen=True, kw_only=True):
    """A signed meter value."""

    nature: Annotated[str, _sized(32)]
    plain_data: Text5000
    signed_data: Text5000


class SignedData(Wire, frozen=True, kw_only=True):
    """The meter's signed values, passed through as they are."""

    encoding_method: Id
    encoding_method_version: int | None = None
    public_key: Annotated[str, _sized(512)] | None = None
    signed_values: tuple[SignedValue, ...]
    url: Annotated[str, _sized(512)] | None = None


class Cdr(Wire, frozen=True, kw_only=True):
    """What is billed for a session. Never changed once sent."""

    country_code: CountryCode
    party_id: PartyId
    id: CdrId
    start_date_time: DateTime
    end_date_time: DateTime
    session_id: Id | None = None
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: Id | None = None
    cdr_location: CdrLocation
    meter_id: Text255 | None = None
    currency: Currency
    tariffs: tuple[Tariff, ...] = ()
    charging_periods: tuple[ChargingPeriod, ...]
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Decimal
    total_energy_cost: Price | None = None
    total_time: Decimal
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: Text255 | None = None
    invoice_reference_id: CdrId | None = None
    credit: bool | None = None
    credit_reference_id: CdrId | None = None
    home_charging_compensation: bool | None = None
    last_updated: DateTime


# tokens


class EnergyContract(Wire, frozen=True, kw_only=True):
    """A driver's own energy contract."""

    supplier_name: Text64
    contract_id: Text64 | None = None


class Token(Wire, frozen=True, kw_only=True):
    """An identifier that an eMSP gave to a driver."""

    country_code: CountryCode
    party_id: PartyId
    uid: Id
    type: TokenType
    contract_id: Id
    visual_number: Text64 | None = None
    issuer: Text64
    group_id: Id | None = None
    valid: bool
    whitelist: Whitelist
    language: str | None = None
    default_profile_type: ProfileType | None = None
    energy_contract: EnergyContract | None = None
    last_updated: DateTime


class LocationReferences(Wire, frozen=True, kw_only=True):
    """Where a driver wants to charge."""

    location_id: Id
    evse_uids: tuple[Id, ...] = ()


class AuthorizationInfo(Wire, frozen=True, kw_only=True):
    """The eMSP's answer to a real-time authorisation."""

    allowed: Allowed
    token: Token | None = None
    location: LocationReferences | None = None
    authorization_reference: Id | None = None
    info: DisplayText | None = None


# commands


class StartSession(Wire, frozen=True, kw_only=True):
    """Start charging for this token."""

    response_url: Url
    token: Token
    location_id: Id
    evse_uid: Id | None = None
    connector_id: Id | None = None
    authorization_reference: Id | None = None


class StopSession(Wire, frozen=True, kw_only=True):
    """Stop a session."""

    response_url: Url
    session_id: Id


class UnlockConnector(Wire, frozen=True, kw_only=True):
    """Release a stuck plug."""

    response_url: Url
    location_id: Id
    evse_uid: Id
    connector_id: Id


class CommandResponse(Wire, frozen=True, kw_only=True):
    """Whether a command is taken on, and how long its result may take, in seconds."""

    result: CommandResponseType
    timeout: int
    message: tuple[DisplayText, ...] = ()


class CommandResult(Wire, frozen=True, kw_only=True):
    """What became of a command."""

    result: CommandResultType
    message: tuple[DisplayText, ...] = ()
