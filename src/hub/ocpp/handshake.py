"""May this socket become a station's link? Path, station, password, certificate, subprotocol.

Decisions on what the HTTP request says; ``server.py`` asks the database and answers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from hub.ocpp.versions import Version
from hub.stations import StationRow, password_matches


class Refusal(Struct, frozen=True):
    """Why a handshake fails; ``reason`` names the outcome for metrics and logs."""

    status: HTTPStatus
    reason: str
    text: str


HINTS: Final[Mapping[str, str]] = {
    "bad_path": "the station's back-end URL must end with /ocpp/ and its id",
    "unknown": "approve it if it is yours: console, Stations, or `hub station add ID`",
    "pending": "approve or refuse it: console, Stations",
    "refused": "the operator refused it; approve it if it shall come in after all",
    "tls_required": "give the station a wss:// URL, or register it with profile 0 or 1",
    "certificate": "the certificate's CN or serial number must be the station's id",
    "no_password": "set the station's password (AuthorizationKey or BasicAuthPassword)",
    "bad_header": "set the station's password (AuthorizationKey or BasicAuthPassword)",
    "wrong_password": "the station's password is not the one it was registered with: set the "
    "station's AuthorizationKey or BasicAuthPassword to that one",
    "database": "stations come back by themselves; see that Postgres runs and has disk space",
    "no_subprotocol": "set the station to OCPP 1.6J or 2.0.1; it offered none of them",
}
"""What an operator can do about each reason, for the log."""


class Presented(Struct, frozen=True, kw_only=True):
    """What a station shows of itself besides its path. ``certificate`` as ``ssl`` gives it."""

    authorization: str | None
    secure: bool
    certificate: Any = None


def station_id_of(path: str) -> str | None:
    """The station id of ``/ocpp/{station_id}``: decoded once, a trailing slash passed over.

    A station whose back-end URL already ends with its id appends it again; that is tolerated.
    """
    segments = urlsplit(path).path.strip("/").split("/")
    if len(segments) < 2 or segments[0] != "ocpp" or len(set(segments[1:])) != 1:
        return None
    try:
        return unquote(segments[1], errors="strict") or None
    except UnicodeDecodeError:
        return None


def admit(station: StationRow, presented: Presented) -> Refusal | None:
    """Whether the station may connect, by its approval and security profile (whitepaper 2.1)."""
    if station.state != "approved":
        return _not_approved(station)
    if station.profile >= 2 and not presented.secure:
        return Refusal(
            HTTPStatus.FORBIDDEN, "tls_required",
            "this station's security profile demands TLS: connect with wss://\n",
        )  # fmt: skip
    if station.profile == 3:
        if _subject_of(presented.certificate, station.id):
            return None
        return _unauthorized("certificate", "the client certificate is not this station's\n")
    return _check_password(station, presented.authorization)


def _not_approved(station: StationRow) -> Refusal:
    if station.state == "pending":
        return Refusal(
            HTTPStatus.FORBIDDEN, "pending",
            f"station {station.id} waits for approval by its operator\n",
        )  # fmt: skip
    return Refusal(HTTPStatus.FORBIDDEN, "refused", f"station {station.id} is refused\n")


def _check_password(station: StationRow, authorization: str | None) -> Refusal | None:
    if authorization is None:
        if station.profile == 0:
            return None
        return _unauthorized("no_password", "Basic authentication is required\n")
    if station.password_hash is None and station.profile == 0:
        return None
    found = _basic(authorization)
    if found is None:
        return _unauthorized("bad_header", "the Authorization header is not Basic\n")
    user, password = found
    # The whitepaper's keys are bytes, which stations send as they are or in hexadecimal. All
    # forms are compared in any case, so that the time taken tells nothing.
    forms = (password.decode("utf-8", "replace"), password.hex(), password.hex().upper())
    right = [password_matches(station, form) for form in forms]
    if user.casefold() not in ("", station.id.casefold()) or True not in right:
        return _unauthorized("wrong_password", "wrong station id or password\n")
    return None


def _basic(header: str) -> tuple[str, bytes] | None:
    scheme, _, value = header.partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(b":")
    return (user.decode("utf-8", "replace"), password) if colon else None


def _unauthorized(reason: str, text: str) -> Refusal:
    return Refusal(HTTPStatus.UNAUTHORIZED, reason, text)


def _subject_of(certificate: Any, station_id: str) -> bool:
    """Whether a verified client certificate names the station as CN or serial number."""
    names = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    return any(
        kind in ("commonName", "serialNumber") and value.casefold() == station_id.casefold()
        for kind, value in names
    )


def choose_version(offered: Sequence[str], assumed: str | None) -> tuple[Version | None, bool]:
    """The version to speak, and whether to name it in the answer.

    The station's list is in its order of preference. One that offers none speaks what its
    operator set it to, if anything.
    """
    for name in offered:
        if name in set(Version):
            return Version(name), True
    if not offered and assumed in set(Version):
        return Version(assumed), False
    return None, False
