"""Stations' basic-auth passwords: made, hashed, compared (OCPP security profiles 1 and 2).

Passwords are long random strings of ours, or at least 16 characters when given, so one SHA-256
is enough and a handshake costs no key stretching.
"""

from __future__ import annotations

import hashlib
import hmac

from hub.kernel import InvalidValue, new_secret
from hub.stations.model import StationRow


def new_password() -> str:
    """Twenty URL-safe characters with 120 bits: fits 1.6 AuthorizationKey and 2.0.1 passwords."""
    return new_secret(15)


def password_hash(password: str) -> bytes:
    """The stored form of a password; ``InvalidValue`` when shorter than OCPP's 16 characters."""
    if not 16 <= len(password) <= 64:
        raise InvalidValue("password", "a station's password has 16 to 64 characters")
    return hashlib.sha256(password.encode()).digest()


def password_matches(station: StationRow, presented: str) -> bool:
    """Whether ``presented`` is the station's password, also when sent hex-encoded (1.6 keys).

    A station without a password matches nothing.
    """
    if station.password_hash is None:
        return False
    forms = [presented.encode("utf-8", "surrogatepass")]
    try:
        forms.append(bytes.fromhex(presented))
    except ValueError:
        forms.append(forms[0])
    found = [
        hmac.compare_digest(hashlib.sha256(form).digest(), station.password_hash) for form in forms
    ]
    return any(found)
