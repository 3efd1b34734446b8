"""Past sessions in a CSV as values: what is plain is mended and counted, the rest refused.

Two layouts, told apart by their header: the plain one, whose columns are ``id, start, end,
energy_kwh`` and optionally ``station`` and ``driver`` (RFC 3339 times, UTC when no zone is
given); and the public workplace charging data set (``sessionId, created, ended, kwhTotal``,
years printed as 0014 and 0015).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from hub.kernel import HubError, InvalidValue, parse_instant

_PLAIN: Final = {"id": "id", "start": "start", "end": "end", "energy_kwh": "energy_kwh",
                 "station": "station", "driver": "driver"}  # fmt: skip
_WORKPLACE: Final = {"id": "sessionId", "start": "created", "end": "ended",
                     "energy_kwh": "kwhTotal", "station": "stationId",
                     "driver": "userId"}  # fmt: skip
_REQUIRED: Final = ("id", "start", "end", "energy_kwh")
_ZONED: Final = re.compile(r"([Zz]|[+-]\d{2}:?\d{2}|[+-]\d{2})\s*$")
_CENTURY: Final = re.compile(r"^00(\d\d)-")
_LONGEST_DAYS: Final = 31
_STRONGEST_KW: Final = 1000


class PastSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the past: its register difference is all that is known of its energy."""

    id: str
    start: datetime
    end: datetime
    energy_kwh: Decimal
    station: str
    driver: str


class Refused(msgspec.Struct, frozen=True):
    """A row that was left out. ``row`` is its line in the file, the header being line 1."""

    row: int
    reason: str


class NotSessions(HubError):
    """The file has no header that this program knows; nothing was read."""

    code = "not_sessions"
    status = 400

    def __init__(self, found: tuple[str, ...]) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        seen = ", ".join(self.found)[:120] or "nothing"
        return (
            "the first line must name the columns id, start, end, energy_kwh (and may name "
            f"station and driver); it names {seen}"
        )


class PastSessions:
    """Reads a CSV line by line. After iterating, ``refused`` and ``mended`` say what was done.

    A row is one line: a stray quote spoils its own row and none after it.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._line = 0
        self.refused: list[Refused] = []
        self.mended: Counter[str] = Counter()
        self._seen: dict[str, int] = {}
        self._columns = self._header()

    def _header(self) -> dict[str, int]:
        try:
            header = [name.strip().lstrip("\ufeff") for name in self._cells()]
        except (csv.Error, UnicodeDecodeError, StopIteration):
            header = []
        for layout in (_PLAIN, _WORKPLACE):
            if all(layout[name] in header for name in _REQUIRED):
                return {n: header.index(c) for n, c in layout.items() if c in header}
        raise NotSessions(tuple(header))

    def __iter__(self) -> Iterator[PastSession]:
        while True:
            try:
                row = self._cells()
                if row:
                    yield self._session(row)
            except StopIteration:
                return
            except UnicodeDecodeError:
                self._refuse("from here on the file is no UTF-8 text")
                return
            except csv.Error as error:
                self._refuse(f"no CSV: {error}")
            except InvalidValue as error:
                self._refuse(str(error))

    def _cells(self) -> list[str]:
        self._line += 1
        return next(csv.reader([next(self._lines)], strict=True), [])

    def _refuse(self, reason: str) -> None:
        self.refused.append(Refused(self._line, reason))

    def _session(self, row: list[str]) -> PastSession:
        cells = {name: row[at].strip() for name, at in self._columns.items() if at < len(row)}
        for name in _REQUIRED:
            if not cells.get(name):
                raise InvalidValue(name, "is missing")
        if len(cells["id"]) > 36 or "\x00" in "".join(cells.values()):
            raise InvalidValue("id", "has more than 36 characters, or a NUL in the row")
        if cells["id"] in self._seen:
            raise InvalidValue(
                "id", f"{cells['id']!r} was in line {self._seen[cells['id']]} already"
            )
        notes: list[str] = []
        made = PastSession(
            id=cells["id"],
            start=_instant(cells, "start", notes),
            end=_instant(cells, "end", notes),
            energy_kwh=_energy(cells["energy_kwh"]),
            station=cells.get("station") or "unknown",
            driver=cells.get("driver") or "unknown",
        )
        _plausible(made)
        self._seen[made.id] = self._line
        self.mended.update(dict.fromkeys(notes, 1))
        return made


def _instant(cells: Mapping[str, str], name: str, notes: list[str]) -> datetime:
    text = cells[name]
    if found := _CENTURY.match(text):
        text = f"20{found[1]}{text[4:]}"
        notes.append(f"year 00{found[1]} read as 20{found[1]}")
    if not _ZONED.search(text[10:]):
        notes.append("time without a zone read as UTC")
    try:
        return parse_instant(text)
    except InvalidValue as error:
        raise InvalidValue(name, error.reason) from error


def _energy(text: str) -> Decimal:
    try:
        energy = Decimal(text)
    except InvalidOperation:
        raise InvalidValue("energy_kwh", f"{text[:40]!r} is no number") from None
    if not energy.is_finite() or energy < 0 or energy > 10**6:
        raise InvalidValue("energy_kwh", f"{text[:40]} is no energy")
    if energy.as_tuple().exponent < -9:  # type: ignore[operator]
        raise InvalidValue("energy_kwh", f"{text[:40]} has more than 9 decimals")
    return energy


def _plausible(session: PastSession) -> None:
    span = session.end - session.start
    if span.total_seconds() < 0:
        raise InvalidValue("end", "lies before the start")
    if span.days >= _LONGEST_DAYS:
        raise InvalidValue("end", f"lies {span.days} days after the start")
    hours = Decimal(span.days * 86400 + span.seconds) / 3600
    if session.energy_kwh > _STRONGEST_KW * max(hours, Decimal(1) / 60):
        raise InvalidValue("energy_kwh", f"{session.energy_kwh} kWh need more than 1 MW")
