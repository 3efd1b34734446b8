"""Every setting in one Struct, from ``HUB_*`` variables or a TOML file; unknown names refused."""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from hub.kernel import HubError

_SECRET = frozenset({
    "database_url", "database_owner_url", "admin_token", "secret_key",
})  # fmt: skip
_NOT_SETTINGS = ("HUB_TEST_", "HUB_CONFIG")


class SettingsError(HubError):
    """A setting that is unknown or malformed; the sentence says which and what is allowed."""

    code = "bad_setting"
    status = 400

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"setting {self.name}: {self.reason}"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effective settings of one process. Field ``x_y`` is ``HUB_X_Y``."""

    database_url: str = ""
    """Postgres 15 or newer by URL; empty: the embedded one in ``data_dir``."""
    database_owner_url: str = ""
    """The login that owns the schema (migrations); empty: ``database_url``."""
    data_dir: str = ""
    """Folder of the embedded database, keys and papers; empty: ``~/.local/share/charging-hub``."""
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    http_tls_cert: str = ""
    http_tls_key: str = ""
    ocpp_host: str = "127.0.0.1"
    ocpp_port: int = 9000
    ocpp_tls_port: int = 9443
    ocpp_tls_cert: str = ""
    ocpp_tls_key: str = ""
    ocpp_accept_unknown: Literal["ask", "accept", "refuse"] = "ask"
    """Unknown stations: put on the approval list, registered at once, or refused."""
    ocpp_strict: bool = False
    """Refuse every deviation from the schema instead of reading known field quirks."""
    public_url: str = ""
    """Base of every URL that we hand out; empty: ``http(s)://http_host:http_port``."""
    country_code: str = "NL"
    party_id: str = "HUB"
    currency: str = "EUR"
    admin_token: str = ""
    """Bootstrap API token with every scope; empty: only tokens made by ``hub token create``."""
    secret_key: str = ""
    """Base64 of 32 bytes that seal stored secrets; empty: ``secret.key`` in ``data_dir``."""
    outbound_private: Literal["auto", "allow", "deny"] = "auto"
    roaming_default: Literal["open", "closed"] = "open"
    clock: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @property
    def folder(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.data_dir or "~/.local/share/charging-hub").expanduser().absolute()

    @property
    def base_url(self) -> str:
        """The public base URL without a trailing slash."""
        scheme = "https" if self.http_tls_cert else "http"
        return (self.public_url or f"{scheme}://{self.http_host}:{self.http_port}").rstrip("/")

    @property
    def public_is_private(self) -> bool:
        """Whether our own public URL is loopback or private (a demo, a test, an inner network)."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return False

    def shown(self) -> dict[str, object]:
        """Every setting with secrets masked, for ``hub doctor`` and logs."""
        return {
            name: ("***" if name in _SECRET and value else value)
            for name, value in msgspec.structs.asdict(self).items()
        }


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from ``HUB_CONFIG`` (a TOML file) overlaid by ``HUB_*`` variables.

    Raises ``SettingsError`` that names the setting, and the nearest known name if there is one.
    """
    values: dict[str, object] = {}
    if path := environ.get("HUB_CONFIG"):
        values.update(_from_toml(Path(path)))
    for name, text in environ.items():
        if name.startswith("HUB_") and not name.startswith(_NOT_SETTINGS):
            values[name.removeprefix("HUB_").lower()] = text
    for name in values:
        _check_known(name)
    return _converted(values)


def _from_toml(path: Path) -> dict[str, object]:
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError("HUB_CONFIG", f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("HUB_CONFIG", f"{path} is not TOML: {error}") from error
    return {name.lower().removeprefix("hub_"): value for name, value in found.items()}


def _check_known(name: str) -> None:
    known = Settings.__struct_fields__
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = (
            f"; did you mean HUB_{near[0].upper()}?"
            if near
            else "; remove it (`hub doctor` lists all settings)"
        )
        raise SettingsError(f"HUB_{name.upper()}", f"unknown{hint}")


_SHAPES: Final = {"int": "a whole number", "bool": "true or false"}


def _converted(values: dict[str, object]) -> Settings:
    for name, value in values.items():
        try:
            msgspec.convert({name: value}, Settings, strict=False)
        except msgspec.ValidationError as error:
            shape = _SHAPES.get(Settings.__annotations__[name])
            reason = f"{value!r} is not {shape}" if shape else str(error).split(" - at")[0]
            raise SettingsError(f"HUB_{name.upper()}", reason) from error
    settings = msgspec.convert(values, Settings, strict=False)
    for name in ("http_port", "ocpp_port", "ocpp_tls_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"HUB_{name.upper()}", "a port is 0 to 65535")
    if len(settings.country_code) != 2 or not 1 <= len(settings.party_id) <= 3:
        raise SettingsError("HUB_COUNTRY_CODE", "two letters, with a party id of up to three")
    return settings
