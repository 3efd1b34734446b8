"""``hub doctor``: what this hub would run with, whether it can, and what to do if not."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec
import psycopg

from hub.cli.opening import opened, print_json
from hub.kernel import HubError
from hub.runtime import Settings
from hub.runtime.locks import FileLock
from hub.runtime.migrate import current, head

_LEAST_FREE: Final = 1024**3
_LEAST_VERSION: Final = 150000
_LARGEST_SKEW: Final = 5

Verdict = Literal["ok", "advice", "problem"]
_MARKS: Final = {"ok": "ok      ", "advice": "advice  ", "problem": "PROBLEM "}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; ``advice`` says what to do, empty when nothing is."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything; exit code 1 when something would keep the hub from working."""
    settings: Settings = arguments.settings
    findings = [finding for check in _CHECKS for finding in check(settings)]
    ok = all(finding.verdict != "problem" for finding in findings)
    if arguments.json:
        print_json({"ok": ok, "settings": settings.shown(), "findings": findings})
        return 0 if ok else 1
    print("Settings in effect (HUB_* or the file named by HUB_CONFIG):")
    for name, value in settings.shown().items():
        print(f"  {name:<20} {value if value != '' else '-'}")
    print("\nChecks:")
    for finding in findings:
        print(f"  {_MARKS[finding.verdict]} {finding.name}: {finding.detail}")
        if finding.advice:
            print(f"           {finding.advice}")
    print("\nThe hub can work." if ok else "\nThe hub cannot work like this; see PROBLEM above.")
    return 0 if ok else 1


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.folder
    there = folder if folder.exists() else next(p for p in folder.parents if p.exists())
    if not there.is_dir():
        yield Finding(
            "data folder", "problem", f"{there} is a file, not a folder",
            "choose another HUB_DATA_DIR",
        )  # fmt: skip
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "data folder", "problem", f"{folder} cannot be written by this user",
            "make it writable, or choose another HUB_DATA_DIR",
        )  # fmt: skip
        return
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding(
            "data folder", "advice", f"{folder} is open to other users",
            f"it holds keys: chmod 700 {folder}",
        )  # fmt: skip
        return
    made = "exists" if folder.exists() else "will be made"
    yield Finding("data folder", "ok", f"{folder} {made}")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.folder
    there = folder if folder.exists() else next(p for p in folder.parents if p.exists())
    free = shutil.disk_usage(there).free
    detail = f"{free // 1024**2:,} MiB free at {there}"
    if free < _LEAST_FREE:
        yield Finding("disk", "advice", detail, "a database wants 1 GiB; free some space")
    else:
        yield Finding("disk", "ok", detail)


def _database(settings: Settings) -> Iterator[Finding]:
    kind = "external Postgres" if settings.database_url else "embedded Postgres"
    if not settings.database_url and not (settings.folder / "postgres.ready").exists():
        yield Finding("database", "ok", "embedded Postgres, made at the first start")
        return
    try:
        if settings.database_url:
            yield from _look_into(settings.database_url, kind)
        else:
            with opened(settings) as url:
                yield from _look_into(url, kind)
    except psycopg.OperationalError as error:
        yield Finding(
            "database", "problem", str(error).strip().splitlines()[0],
            "start that Postgres or correct HUB_DATABASE_URL; unset it for the embedded one",
        )  # fmt: skip
    except psycopg.Error as error:
        yield Finding(
            "database", "problem", str(error).strip().splitlines()[0],
            "correct HUB_DATABASE_URL: postgresql://user:password@host:5432/name",
        )  # fmt: skip
    except HubError as error:
        yield Finding("database", "problem", str(error))


def _look_into(url: str, kind: str) -> Iterator[Finding]:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        version = connection.info.server_version
        row = connection.execute(
            "SELECT current_setting('server_version'), clock_timestamp() - %s::timestamptz",
            [_wall()],
        ).fetchone()
    assert row is not None
    shown, skew = row
    if version < _LEAST_VERSION:
        yield Finding("database", "problem", f"{kind} {shown}", "upgrade it to 15 or newer")
    else:
        yield Finding("database", "ok", f"{kind} {shown} answers")
    yield _schema(current(url))
    seconds = abs(int(skew.total_seconds()))
    if seconds > _LARGEST_SKEW:
        yield Finding(
            "clock", "advice", f"this machine and the database differ by {seconds} s",
            "let both follow NTP (timedatectl set-ntp true)",
        )  # fmt: skip
    else:
        yield Finding("clock", "ok", "agrees with the database's")


def _wall() -> object:
    from hub.runtime import SystemClock

    return SystemClock().now()


def _schema(found: str) -> Finding:
    if found == head():
        return Finding("schema", "ok", f"revision {found}")
    if found > head():
        return Finding(
            "schema", "problem", f"revision {found}, this release knows up to {head()}",
            "install the newer release",
        )  # fmt: skip
    return Finding(
        "schema", "advice", f"revision {found or 'none'}, this release has {head()}",
        "hub serve and hub migrate upgrade it",
    )  # fmt: skip


def _ports(settings: Settings) -> Iterator[Finding]:
    serving = _served(settings.folder)
    taken: dict[tuple[str, int], str] = {}
    for setting, host, port in _listening(settings):
        other = taken.setdefault((host, port), setting)
        if port and other != setting:
            yield Finding(
                f"port {port}", "problem", f"{setting} and {other} name the same port",
                f"set {setting} to another port",
            )  # fmt: skip
            continue
        yield _port(setting, host, port, serving=serving)


def _listening(settings: Settings) -> Iterator[tuple[str, str, int]]:
    yield "HUB_HTTP_PORT", settings.http_host, settings.http_port
    yield "HUB_OCPP_PORT", settings.ocpp_host, settings.ocpp_port
    if settings.ocpp_tls_cert:
        yield "HUB_OCPP_TLS_PORT", settings.ocpp_host, settings.ocpp_tls_port


def _port(setting: str, host: str, port: int, *, serving: bool) -> Finding:
    name = f"port {port}"
    reason = _refusal(host, port)
    match reason:
        case None:
            return Finding(name, "ok", f"{setting}: free on {host}")
        case errno.EADDRINUSE if serving:
            return Finding(name, "ok", f"{setting}: used, and a hub serves this folder")
        case errno.EADDRINUSE:
            return Finding(
                name, "problem", f"{setting}: another program listens on {host}:{port}",
                f"stop it, or set {setting} to another port",
            )  # fmt: skip
        case errno.EACCES:
            return Finding(
                name, "problem", f"{setting}: this user may not listen on port {port}",
                f"set {setting} to a port above 1023, with a proxy before it",
            )  # fmt: skip
    return Finding(
        name, "problem", f"{setting}: {host} is no address of this machine",
        f"set {setting.removesuffix('PORT').removesuffix('TLS_')}HOST to 127.0.0.1, or to "
        "0.0.0.0 for all of its addresses",
    )  # fmt: skip


def _served(folder: Path) -> bool:
    path = folder / "hub.lock"
    return path.exists() and not FileLock(path).is_free()


def _refusal(host: str, port: int) -> int | None:
    """Why the port cannot be bound, as an ``errno``; ``None`` when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
    return None


def _certificates(settings: Settings) -> Iterator[Finding]:
    for setting, cert, key in (
        ("HUB_HTTP_TLS", settings.http_tls_cert, settings.http_tls_key),
        ("HUB_OCPP_TLS", settings.ocpp_tls_cert, settings.ocpp_tls_key),
    ):
        if not cert:
            continue
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key or None)
        except OSError as error:
            yield Finding(
                "certificate", "problem", f"{setting}_CERT {cert}: {error.strerror or error}",
                f"name a readable PEM file, and its key with {setting}_KEY",
            )  # fmt: skip
        else:
            yield Finding("certificate", "ok", f"{setting}_CERT {cert} can be read")


def _exposure(settings: Settings) -> Iterator[Finding]:
    inner = settings.http_host in ("127.0.0.1", "::1", "localhost")
    if not inner and not settings.http_tls_cert and not settings.public_url.startswith("https:"):
        yield Finding(
            "encryption", "advice", f"HTTP on {settings.http_host} without TLS",
            "set HUB_HTTP_TLS_CERT and HUB_HTTP_TLS_KEY, or put a TLS proxy before it and set "
            "HUB_PUBLIC_URL to its https address",
        )  # fmt: skip


_CHECKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    _folder, _disk, _database, _ports, _certificates, _exposure,
)  # fmt: skip
