"""Bring a database to this release's schema; refuse one that a newer release has migrated."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import structlog

from hub.kernel import HubError

log = structlog.get_logger()

_LOCK = 0x4875624D
_REVISION = re.compile(r"^(\d{4})_\w+\.py$")


class SchemaTooNew(HubError):
    """The database was migrated by a newer release of this program."""

    code = "schema_too_new"
    status = 409

    def __init__(self, found: str, known: str) -> None:
        super().__init__(found, known)
        self.found = found
        self.known = known

    def __str__(self) -> str:
        return (
            f"the database has schema {self.found}, this release knows up to {self.known}: "
            "install the newer release, or restore a backup made before its migration"
        )


def scripts() -> Path:
    """The folder of the migrations: in an installed package, or beside ``src`` in a checkout."""
    packed = Path(__file__).parents[1] / "_migrations"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "migrations"


def head() -> str:
    """The newest revision that this release carries."""
    files = (_REVISION.match(path.name) for path in (scripts() / "versions").iterdir())
    return max(found[1] for found in files if found)


def current(url: str) -> str:
    """The revision of a database, or "" when it has no schema of ours."""
    with psycopg.connect(url, autocommit=True) as connection:
        exists = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if not exists or exists[0] is None:
            return ""
        found = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
        return str(found[0]) if found else ""


def migrate(owner_url: str) -> str:
    """Upgrade to ``head()`` under a lock; returns the revision found before.

    Several processes may call it at once: one works, the others wait and find it done.
    Raises ``SchemaTooNew`` when the database is ahead of this release.
    """
    before, target = current(owner_url), head()
    if before > target:
        raise SchemaTooNew(before, target)
    if before == target:
        return before
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        if current(owner_url) != target:
            log.info("schema_migrating", found=before or "none", target=target)
            _upgrade(owner_url)
    return before


def _upgrade(owner_url: str) -> None:
    # Imported here: Alembic brings SQLAlchemy, which a warm start does not need.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["url"] = owner_url
    command.upgrade(config, "head")
