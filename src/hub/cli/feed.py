"""A CPO's network from a file, with the report of what was mended, refused and doubted."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from hub.cli.opening import print_json, tell, within
from hub.kernel import InvalidValue
from hub.runtime import PLATFORM, Database, Settings
from hub.stations.feed import Feed, Imported, Note, import_feed, read_feed

_SHOWN = 20


def import_locations(arguments: argparse.Namespace) -> int:
    """Read FILE and store its locations and tariffs; exit 1 when anything was refused."""
    settings: Settings = arguments.settings
    try:
        feed = read_feed(Path(arguments.file).read_bytes())
    except OSError as error:
        raise InvalidValue("FILE", f"cannot read {arguments.file}: {error.strerror}") from error

    async def store(database: Database) -> Imported:
        async with database.tx(PLATFORM, actor="cli") as tx:
            return await import_feed(tx, feed)

    stored = within(settings, store)
    if arguments.json:
        print_json({
            **msgspec.structs.asdict(stored),
            "evses": sum(len(place.evses) for place in feed.locations),
            "mended": feed.mended, "refused": feed.refused, "doubts": feed.doubts,
        })  # fmt: skip
    else:
        print(f"stored {stored.locations} locations ({stored.changed} changed), "
              f"{stored.tariffs} tariffs")  # fmt: skip
        _explain(feed)
    return 1 if feed.refused else 0


def _explain(feed: Feed) -> None:
    for word, notes in (("mended", feed.mended), ("refused", feed.refused), ("doubt", feed.doubts)):
        for note in notes[:_SHOWN]:
            tell(f"{word:8}{_place(note)}: {note.reason}")
        if len(notes) > _SHOWN:
            tell(f"{word:8}and {len(notes) - _SHOWN} kinds more; --json lists all")


def _place(note: Note) -> str:
    return note.path if note.times == 1 else f"{note.path} and {note.times - 1} more"
