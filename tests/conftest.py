"""A real Postgres for every test that asks: one server per worker, one migrated template, clones.

``HUB_TEST_DATABASE_URL`` names an external Postgres 15 or newer whose login may create databases
and roles; without it the embedded one is started in a folder of its own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hub.runtime import Database, SystemClock
from hub.runtime.migrate import migrate


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A login that may create databases."""
    given = os.environ.get("HUB_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from hub.runtime.postgres import EmbeddedPostgres

    folder: Path = tmp_path_factory.mktemp("postgres")
    with EmbeddedPostgres(folder, durable=False) as server:
        yield server.start()


@pytest.fixture(scope="session")
def template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that tests clone."""
    name = f"hub_template_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    migrate(make_conninfo(postgres_url, dbname=name))
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def database_url(postgres_url: str, template: str) -> Iterator[str]:
    """The owner's URL of a fresh, migrated database of this test alone."""
    name = f"hub_test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield make_conninfo(postgres_url, dbname=name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open ``Database`` on a fresh, migrated database."""
    opened = Database(database_url, clock=SystemClock())
    await opened.open()
    yield opened
    await opened.close()
