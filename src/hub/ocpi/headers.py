"""The headers of OCPI: the credentials token, the message ids, and who speaks to whom."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from hub.kernel import new_id
from hub.ocpi.envelope import Invalid
from hub.parties.model import TokenStyle

FUNCTIONAL: Final = frozenset({
    "cdrs", "chargingprofiles", "commands", "locations", "sessions", "tariffs", "tokens",
})  # fmt: skip
"""Modules whose messages carry routing headers (M-1); the others do not (M-2)."""


class PartyRef(msgspec.Struct, frozen=True):
    """A party as routing headers name it, in upper case (M-11)."""

    country_code: str
    party_id: str


def token_candidates(header: str) -> list[tuple[str, TokenStyle]]:
    """The tokens that an Authorization header may mean, likeliest first (T-A2, T-A7).

    A raw token may happen to be valid Base64, so both readings are candidates.
    """
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() != "token" or not value:
        return []
    found: list[tuple[str, TokenStyle]] = []
    decoded = _base64(value)
    if decoded is not None:
        trimmed = decoded.rstrip("\r\n")
        found.append((trimmed, "base64" if trimmed == decoded else "base64-newline"))
    found.append((value, "raw"))
    return [(token, style) for token, style in found if _is_token(token)]


def authorization(token: str, style: TokenStyle) -> str:
    """The Authorization header for ``token``, written as the partner writes its own."""
    if style == "raw":
        return f"Token {token}"
    text = token + "\n" if style == "base64-newline" else token
    return f"Token {base64.b64encode(text.encode()).decode()}"


def _base64(value: str) -> str | None:
    padded = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _is_token(token: str) -> bool:
    return 0 < len(token) <= 256 and all("!" <= mark <= "~" for mark in token)


def routing(headers: Mapping[str, str], side: str) -> PartyRef | None:
    """The party on ``side`` ("to" or "from"); ``Invalid`` when only half of it is named."""
    country = headers.get(f"ocpi-{side}-country-code", "").strip().upper()
    party = headers.get(f"ocpi-{side}-party-id", "").strip().upper()
    if not country and not party:
        return None
    if len(country) != 2 or not 1 <= len(party) <= 3:
        raise Invalid(f"OCPI-{side}-country-code and OCPI-{side}-party-id must name one party")
    return PartyRef(country, party)


def routing_headers(to: PartyRef | None, sender: PartyRef | None) -> dict[str, str]:
    """The four routing headers, as far as both ends are known."""
    headers: dict[str, str] = {}
    if to is not None:
        headers["OCPI-to-country-code"] = to.country_code
        headers["OCPI-to-party-id"] = to.party_id
    if sender is not None:
        headers["OCPI-from-country-code"] = sender.country_code
        headers["OCPI-from-party-id"] = sender.party_id
    return headers


def message_id(headers: Mapping[str, str], name: str) -> str:
    """The id that a message carries in ``name``, or a fresh one when it has none (T-B1)."""
    given = headers.get(name, "").strip()
    return given if 0 < len(given) <= 64 and given.isprintable() else str(new_id())
