"""Tokens, authorisations and sessions as rows: what this room stores and shows."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from hub.charging.messages import AuthorizationStatus, TokenAnswer

TokenType = Literal["AD_HOC_USER", "APP_USER", "EMAID", "OTHER", "RFID"]
Whitelist = Literal["ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER"]
AuthMethod = Literal["AUTH_REQUEST", "COMMAND", "WHITELIST"]
SessionState = Literal["PENDING", "ACTIVE", "COMPLETED", "INVALID", "RESERVATION"]

OPEN_STATES = ("PENDING", "ACTIVE", "RESERVATION")


def fold_uid(uid: str) -> str:
    """The form under which token uids are compared: stations differ in case and padding."""
    return uid.strip().upper()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """OCPI Token: ours when ``partner_id`` is ``None``, else one of that eMSP's.

    ``expires_at`` and ``max_sessions`` (how many sessions at once; ``None``: any number) are ours.
    """

    country_code: str
    party_id: str
    uid: str
    type: str = "RFID"
    contract_id: str
    issuer: str
    valid: bool = True
    whitelist: Whitelist = "ALLOWED"
    partner_id: UUID | None = None
    visual_number: str | None = None
    group_id: str | None = None
    language: str | None = None
    default_profile_type: str | None = None
    energy_contract: bytes | None = None
    expires_at: datetime | None = None
    max_sessions: int | None = None
    last_updated: datetime | None = None


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about an identifier at a station, as stored and as told to the station.

    The token's fields are ``None`` for an identifier that nobody knows. ``uid`` is what the
    station read, ``token_uid`` what the token's owner calls it.
    """

    id: UUID
    uid: str
    type: str
    status: AuthorizationStatus
    auth_method: AuthMethod
    token_uid: str | None = None
    token_type: str | None = None
    contract_id: str | None = None
    country_code: str | None = None
    party_id: str | None = None
    partner_id: UUID | None = None
    group: str | None = None
    authorization_reference: str | None = None
    expires_at: datetime | None = None
    reason: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the identifier may charge."""
        return self.status == "Accepted"

    @property
    def answer(self) -> TokenAnswer:
        """What the station is told."""
        return TokenAnswer(status=self.status, expires_at=self.expires_at, group=self.group)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One charging session. Energies and registers are Wh.

    ``number`` is the transaction id of OCPP 1.6, ``ref`` the station's own of 2.x. ``held``: it
    ended, but a person must look before it is settled. ``uid`` is the identifier as the station
    read it, the ``token_*`` fields are those of the token it stands for.
    """

    id: UUID
    tenant_id: UUID
    station_id: str
    number: int
    natural_key: str
    ref: str | None = None
    evse: int | None = None
    connector: int | None = None
    evse_uid: str | None = None
    connector_id: str | None = None
    location_id: str | None = None
    uid: str | None = None
    uid_key: str | None = None
    token_uid: str | None = None
    token_type: str | None = None
    contract_id: str | None = None
    token_country_code: str | None = None
    token_party_id: str | None = None
    partner_id: UUID | None = None
    group_id: str | None = None
    auth_status: AuthorizationStatus | None = None
    auth_method: AuthMethod | None = None
    authorization_id: UUID | None = None
    authorization_reference: str | None = None
    state: SessionState
    held: bool = False
    started_at: datetime
    start_raw: datetime | None = None
    ended_at: datetime | None = None
    stop_raw: datetime | None = None
    opened_at: datetime
    closed_at: datetime | None = None
    meter_start: Decimal | None = None
    meter_start_at: datetime | None = None
    meter_start_sure: bool = False
    meter_stop: Decimal | None = None
    meter_seen: Decimal | None = None
    meter_seen_at: datetime | None = None
    max_power_w: int | None = None
    energy_wh: Decimal = Decimal(0)
    charging_state: str | None = None
    charging_state_at: datetime | None = None
    stop_reason: str | None = None
    seq: int | None = None
    end_seq: int | None = None
    reservation: int | None = None
    remote_start_id: int | None = None
    tariff_id: str | None = None
    tariff_version: int | None = None
    currency: str
    time_zone: str
    estimated: bool = False
    flags: list[str] = []
    suspect_since: datetime | None = None
    price_excl: Decimal | None = None
    price_incl: Decimal | None = None
    priced_at: datetime | None = None
    told_at: datetime | None = None
    trace: str
    last_updated: datetime

    @property
    def open(self) -> bool:
        """Whether the session still runs."""
        return self.state in OPEN_STATES

    @property
    def token_answer(self) -> TokenAnswer | None:
        """What the station was told about the session's token."""
        if self.auth_status is None:
            return None
        return TokenAnswer(status=self.auth_status, group=self.group_id)


class SessionException(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must look at: an orphan, a conflict, an impossible value."""

    id: UUID
    kind: str
    station_id: str
    session_id: UUID | None
    key: str
    detail: str
    message: bytes
    at: datetime
    resolved_at: datetime | None
    resolution: str | None
    resolved_by: str | None
