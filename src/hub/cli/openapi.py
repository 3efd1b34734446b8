"""``hub openapi``: the interface descriptions as files."""

from __future__ import annotations

import argparse
from pathlib import Path

from hub.api.web import openapi_document
from hub.cli.opening import tell


def documents() -> dict[str, bytes]:
    """Every description by file name; needs neither a database nor a port."""
    from hub.app import wiring_of
    from hub.runtime import Database, LocalBus, Settings, SystemClock
    from hub.runtime.vault import Vault

    settings = Settings()
    database = Database("", clock=SystemClock())
    return {
        "hub.json": openapi_document(wiring_of(settings, database, LocalBus(), Vault([bytes(32)])))
    }


def write_documents(arguments: argparse.Namespace) -> int:
    """Write the descriptions into a folder."""
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in documents().items():
        (folder / name).write_bytes(body)
        tell(f"hub: wrote {folder / name}")
    return 0
