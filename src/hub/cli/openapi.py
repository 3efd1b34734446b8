"""``hub openapi``: the interface descriptions as files.

Our REST API, what we serve over OCPI by version, and the payloads of the durable events.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hub.api.web import openapi_document
from hub.cli.opening import tell
from hub.kernel import HubError
from hub.runtime import Database, Event, LocalBus, Settings, SystemClock
from hub.runtime.http import Outbound
from hub.runtime.vault import Vault


class FolderRefused(HubError):
    """A folder that the descriptions cannot be written into."""

    code = "folder_refused"
    status = 500

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot write into {self.folder} ({self.reason}); name another one with --folder"


def documents() -> dict[str, bytes]:
    """Every description by file name; needs neither a database nor a port."""
    from hub.app import wiring_of
    from hub.ocpi import DIALECTS, OcpiDoor, ocpi_openapi

    settings, clock, vault = Settings(), SystemClock(), Vault([bytes(32)])
    database = Database("", clock=clock)
    outbound = Outbound(public_url=settings.base_url, private=settings.outbound_private)
    door = OcpiDoor(database, vault, outbound, settings, clock=clock)
    versions = {f"ocpi-{one.version}.json": _indented(ocpi_openapi(door, one)) for one in DIALECTS}
    return {
        "hub.json": openapi_document(wiring_of(settings, database, LocalBus(), vault)),
        **versions,
        "events.json": _indented(events_document()),
    }


def events_document() -> dict[str, Any]:
    """Every durable event: its stored name, its version, and its payload as JSON Schema."""
    found = sorted(_events(Event), key=lambda kind: kind.event_name())
    schemas, components = msgspec.json.schema_components(found, ref_template="#/schemas/{name}")
    return {
        "events": [
            {
                "name": kind.event_name(), "version": kind.version,
                "description": inspect.cleandoc(kind.__doc__ or ""), "schema": schema,
            }
            for kind, schema in zip(found, schemas, strict=True)
        ],
        "schemas": dict(sorted(components.items())),
    }  # fmt: skip


def _events(kind: type[Event]) -> Iterator[type[Event]]:
    for one in kind.__subclasses__():
        if one.__module__.startswith("hub."):
            yield one
        yield from _events(one)


def _indented(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def write_documents(arguments: argparse.Namespace) -> int:
    """Write the descriptions into a folder."""
    folder = Path(arguments.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in documents().items():
            (folder / name).write_bytes(body)
            tell(f"hub: wrote {folder / name}")
    except OSError as error:
        raise FolderRefused(folder, error.strerror or str(error)) from error
    return 0
