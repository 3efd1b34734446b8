"""The database of a command: the one a running server uses, or started for the command alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg

from hub.kernel import HubError, encode
from hub.runtime import Database, Settings, clock_of
from hub.runtime.migrate import migrate
from hub.runtime.postgres import EmbeddedPostgres

T = TypeVar("T")


class NoDatabase(HubError):
    """The database named by the settings cannot be reached."""

    code = "no_database"
    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"cannot reach the database: {self.reason}; check HUB_DATABASE_URL, or leave it "
            "unset to use the embedded one (hub doctor says more)"
        )


def tell(sentence: str) -> None:
    """Say something to people, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def opened(settings: Settings) -> Iterator[str]:
    """The URL of the migrated database; an embedded one runs at least as long as the block."""
    with served(settings) as (url, _):
        yield url


@contextmanager
def served(
    settings: Settings, *, durable: bool = True
) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """As ``opened``, with the server of an embedded database.

    Without ``durable`` an embedded one may lose everything when the machine fails.
    """
    if settings.database_url:
        _migrated(settings.database_owner_url or settings.database_url)
        yield settings.database_url, None
        return
    with EmbeddedPostgres(
        settings.folder, durable=durable, progress=lambda text: tell(f"hub: {text}")
    ) as server:
        _migrated(server.url)
        yield server.url, server


def _migrated(url: str) -> None:
    try:
        migrate(url)
    except psycopg.OperationalError as error:
        raise NoDatabase(str(error).strip().splitlines()[0]) from error


def within(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """What ``work`` returns, given the open database of the settings."""

    async def run(url: str) -> T:
        database = Database(url, clock=clock_of(settings.clock), size=4)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    with opened(settings) as url:
        return asyncio.run(run(url))


def print_json(value: object) -> None:
    """The one JSON object of a command."""
    print(encode(value).decode(), flush=True)
