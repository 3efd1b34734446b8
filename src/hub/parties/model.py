"""Rows of this room as values: parties, partners, their credentials and endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

PartyRole = Literal["CPO", "EMSP", "HUB", "NAP", "NSP", "OTHER", "SCSP"]
"""OCPI 2.2.1 types Role."""

PartnerState = Literal["PLANNED", "CONNECTED", "OFFLINE", "SUSPENDED"]
"""OCPI 2.2.1 mod_hub_client_info ConnectionStatus."""

TokenStyle = Literal["base64", "raw", "base64-newline"]
"""How a partner writes credentials tokens on the wire, remembered from what it sent last."""

CredentialKind = Literal["registration", "callback", "access"]
"""Token A; the token of an unfinished handshake that we started; the token of a connection."""


class PartyClaim(msgspec.Struct, frozen=True):
    """A role that somebody says to have: ISO 3166 alpha-2 country, eMI3 party id, role."""

    country_code: str
    party_id: str
    role: PartyRole
    name: str = ""
    website: str | None = None


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """One role of one market party. ``partner_id`` None: a role of our own."""

    id: UUID
    partner_id: UUID | None
    country_code: str
    party_id: str
    role: PartyRole
    name: str
    website: str | None = None


class OwnParty(msgspec.Struct, frozen=True):
    """Our own identity as settings name it."""

    country_code: str
    party_id: str
    name: str


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """A connected platform: one set of credentials, one or more parties."""

    id: UUID
    tenant_id: UUID
    name: str
    state: PartnerState
    version: str | None
    versions_url: str | None
    token_style: TokenStyle
    created_at: datetime
    connected_at: datetime | None
    last_seen_at: datetime | None


class Endpoint(msgspec.Struct, frozen=True):
    """Where a partner serves one side of a module."""

    module: str
    role: Literal["SENDER", "RECEIVER"]
    url: str


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token by which a partner calls us, known by its hash alone."""

    id: UUID
    tenant_id: UUID
    partner_id: UUID
    hash: bytes
    kind: CredentialKind
    used_at: datetime | None
    expires_at: datetime | None


class Invited(msgspec.Struct, frozen=True):
    """A partner that may register: its id and token A in plain text, shown once."""

    partner_id: UUID
    token: str
