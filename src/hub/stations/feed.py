"""A CPO's network from a file: OCPI 2.x locations in the dialects that the field writes.

``read_feed`` is a decision: bytes in, our values out, with a report of everything that was
mended, refused or doubted, by path and reason. A bad EVSE never costs its neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hub.kernel import HubError, InvalidValue, encode, parse_instant
from hub.runtime import Tx
from hub.stations.feed_tariffs import doubts_of, mended_tariff
from hub.stations.locations import save_location
from hub.stations.model import Connector, Coordinates, Evse, EvseStatus, Location
from hub.tariffs import Tariff, save_tariff

_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)
_STATUSES: Final = frozenset(get_args(EvseStatus))
_ALPHA3: Final = {
    "AT": "AUT", "BE": "BEL", "BG": "BGR", "CH": "CHE", "CY": "CYP", "CZ": "CZE", "DE": "DEU",
    "DK": "DNK", "EE": "EST", "ES": "ESP", "FI": "FIN", "FR": "FRA", "GB": "GBR", "GR": "GRC",
    "HR": "HRV", "HU": "HUN", "IE": "IRL", "IS": "ISL", "IT": "ITA", "LI": "LIE", "LT": "LTU",
    "LU": "LUX", "LV": "LVA", "MT": "MLT", "NL": "NLD", "NO": "NOR", "PL": "POL", "PT": "PRT",
    "RO": "ROU", "SE": "SWE", "SI": "SVN", "SK": "SVK", "UA": "UKR", "US": "USA",
}  # fmt: skip
_ZONES: Final = {
    "AUT": "Europe/Vienna", "BEL": "Europe/Brussels", "CHE": "Europe/Zurich",
    "DEU": "Europe/Berlin", "DNK": "Europe/Copenhagen", "FRA": "Europe/Paris",
    "GBR": "Europe/London", "ITA": "Europe/Rome", "LUX": "Europe/Luxembourg",
    "NLD": "Europe/Amsterdam", "NOR": "Europe/Oslo", "POL": "Europe/Warsaw",
    "SWE": "Europe/Stockholm",
}  # fmt: skip
_LENGTHS: Final = {
    "name": 255, "address": 45, "city": 45, "postal_code": 10, "state": 20, "help_phone": 25,
    "floor_level": 4, "physical_reference": 16,
}  # fmt: skip
_LOCATION_MORE: Final = (
    "related_locations", "directions", "suboperator", "owner", "images", "energy_mix",
)  # fmt: skip
_LOCATION_KNOWN: Final = frozenset({
    *Location.__struct_fields__, *_LOCATION_MORE, "type", "tariffs",
}) - {"more"}  # fmt: skip
_EVSE_MORE: Final = (
    "status_schedule",
    "directions",
    "images",
    "parking",
    "accepted_service_providers",
)
_EVSE_KNOWN: Final = frozenset({
    "uid", "evse_id", "status", "connectors", "capabilities", "floor_level", "floor",
    "physical_reference", "coordinates", "parking_restrictions", "last_updated", "tariffs",
    *_EVSE_MORE,
})  # fmt: skip
_CONNECTOR_MORE: Final = ("terms_and_conditions", "capabilities")
_CONNECTOR_KNOWN: Final = frozenset({
    *Connector.__struct_fields__, *_CONNECTOR_MORE, "voltage", "amperage", "tariffs",
}) - {"more"}  # fmt: skip


class FeedError(HubError):
    """A file that holds no locations at all."""

    code = "bad_feed"
    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the file holds no OCPI locations: {self.reason}"


class Note(msgspec.Struct, frozen=True):
    """Something about the file, told once: its first path, why, and how often it occurred."""

    path: str
    reason: str
    times: int = 1


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says. ``doubts`` were taken as written but probably mean something else."""

    locations: tuple[Location, ...]
    tariffs: tuple[Tariff, ...]
    mended: tuple[Note, ...]
    refused: tuple[Note, ...]
    doubts: tuple[Note, ...]


class Imported(msgspec.Struct, frozen=True):
    """How many locations and tariffs of a feed were stored, and how many locations changed."""

    locations: int
    changed: int
    tariffs: int


def read_feed(body: bytes) -> Feed:
    """Locations and tariffs of an OCPI-like file; ``FeedError`` when it holds none to read.

    Takes a list, one object, an OCPI envelope (``data``), or ``items``/``locations``.
    """
    try:
        raw = _JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation) as error:
        raise FeedError(f"not JSON: {error}") from error
    reader = _Reader()
    found = tuple(reader.locations(_listed(raw)))
    if isinstance(raw, Mapping):
        for index, tariff in enumerate(reader.listed(raw, "tariffs", "")):
            reader.tariff(tariff, f"tariffs[{index}]", {})
    tariffs = tuple(reader.tariffs.values())
    for tariff in tariffs:
        for path, reason in doubts_of(tariff):
            reader.doubts[path, reason] += 1
    return Feed(
        locations=found,
        tariffs=tariffs,
        mended=_told(reader.mended),
        refused=_told(reader.refused),
        doubts=_told(reader.doubts),
    )


async def import_feed(tx: Tx, feed: Feed) -> Imported:
    """Store a feed's tariffs, then its locations (same content again changes nothing)."""
    for tariff in feed.tariffs:
        await save_tariff(tx, tariff)
    changed = [await save_location(tx, location) for location in feed.locations]
    return Imported(len(feed.locations), sum(changed), len(feed.tariffs))


def _listed(raw: object) -> list[object]:
    if isinstance(raw, Mapping):
        for name in ("data", "items", "locations"):
            if name in raw:
                inner = raw[name]
                return list(inner) if isinstance(inner, list) else [inner]
        return [raw]
    if isinstance(raw, list):
        return list(raw)
    raise FeedError("neither a list nor an object")


def _told(notes: Counter[tuple[str, str]]) -> tuple[Note, ...]:
    first: dict[tuple[str, str], tuple[str, int]] = {}
    for (path, reason), times in notes.items():
        kind = ("".join(c for c in path if not c.isdigit()), reason)
        known, count = first.get(kind, (path, 0))
        first[kind] = (known, count + times)
    return tuple(Note(path, reason, times) for (_, reason), (path, times) in first.items())


class _Reader:
    """The state of one reading: the report so far and what has been seen already."""

    def __init__(self) -> None:
        self.mended: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.doubts: Counter[tuple[str, str]] = Counter()
        self.tariffs: dict[str, Tariff] = {}
        self._uids: set[str] = set()
        self._ids: set[tuple[str, str, str]] = set()

    def mend(self, path: str, reason: str) -> None:
        self.mended[path, reason] += 1

    def listed(self, raw: Mapping[str, Any], name: str, path: str) -> list[Any]:
        """A member that should be a list, as one."""
        value = raw.get(name)
        if value is None or isinstance(value, list):
            return value or []
        self.mend(f"{path}.{name}", "not a list: left out")
        return []

    def _words(self, raw: Mapping[str, Any], name: str, path: str) -> tuple[str, ...]:
        return tuple(str(word) for word in self.listed(raw, name, path) if word)

    def each(self, raw: list[Any], path: str, read: Callable[[Any, str], Any]) -> Iterator[Any]:
        """The readable members of a list; the others go into the report."""
        for index, item in enumerate(raw):
            where = f"{path}[{index}]"
            try:
                if not isinstance(item, Mapping):
                    raise InvalidValue(where, "must be an object")
                yield read(item, where)
            except InvalidValue as error:
                self.refused[error.field, error.reason] += 1

    def locations(self, raw: list[object]) -> Iterator[Location]:
        """Every location that can be read."""
        yield from self.each(raw, "", self.location)

    def location(self, raw: Mapping[str, Any], path: str) -> Location:
        self._unknown(raw, _LOCATION_KNOWN, path)
        owner = self._owner(raw, path)
        key = (*owner, self._required(raw, "id", path).lower())
        if key in self._ids:
            raise InvalidValue(f"{path}.id", f"a second location {raw['id']!r} of the same party")
        self._ids.add(key)
        country = self._country(raw, path)
        for index, tariff in enumerate(self.listed(raw, "tariffs", path)):
            self.tariff(tariff, f"{path}.tariffs[{index}]", raw)
        return Location(
            country_code=owner[0],
            party_id=owner[1],
            id=self._required(raw, "id", path),
            publish=self._publish(raw, path),
            address=self._required(raw, "address", path),
            city=self._required(raw, "city", path),
            country=country,
            coordinates=self._place(raw.get("coordinates"), f"{path}.coordinates"),
            time_zone=self._zone(raw, country, path),
            evses=tuple(
                self.each(
                    self.listed(raw, "evses", path),
                    f"{path}.evses",
                    lambda e, p: self.evse(e, p, raw),
                )
            ),
            name=self._text(raw, "name", path),
            postal_code=self._text(raw, "postal_code", path),
            state=self._text(raw, "state", path),
            parking_type=self._text(raw, "parking_type", path),
            facilities=self._words(raw, "facilities", path),
            charging_when_closed=raw.get("charging_when_closed") is not False,
            help_phone=self._text(raw, "help_phone", path),
            opening_times=self._json(raw, "opening_times", path),
            operator=self._json(raw, "operator", path),
            publish_allowed_to=self._json(raw, "publish_allowed_to", path),
            more=self._more(raw, _LOCATION_MORE, path),
            last_updated=self._updated(raw, path),
        )

    def evse(self, raw: Mapping[str, Any], path: str, location: Mapping[str, Any]) -> Evse:
        self._unknown(raw, _EVSE_KNOWN, path)
        evse_id = self._text(raw, "evse_id", path)
        uid = self._text(raw, "uid", path)
        if uid is None and evse_id:
            self.mend(f"{path}.uid", "missing: taken from evse_id")
            uid = evse_id
        if uid is None:
            raise InvalidValue(f"{path}.uid", "missing")
        if uid.lower() in self._uids:
            raise InvalidValue(f"{path}.uid", f"{uid!r} is used twice in this file")
        tariffs = tuple(
            self.tariff(t, f"{path}.tariffs[{n}]", location)
            for n, t in enumerate(self.listed(raw, "tariffs", path))
        )
        ids = tuple(name for name in tariffs if name)
        if ids:
            self.mend(f"{path}.tariffs", "inline: stored as tariffs and named by tariff_ids")
        connectors = tuple(
            self.each(self.listed(raw, "connectors", path), f"{path}.connectors",
                      lambda c, p: self.connector(c, p, ids))
        )  # fmt: skip
        if not connectors:
            raise InvalidValue(
                f"{path}.connectors", "no readable connector; OCPI wants one at least"
            )
        self._uids.add(uid.lower())
        floor = self._text(raw, "floor_level", path) or self._renamed(
            raw, "floor", "floor_level", path
        )
        return Evse(
            uid=uid,
            connectors=connectors,
            evse_id=evse_id,
            status=self._status(raw, path),
            capabilities=self._words(raw, "capabilities", path),
            floor_level=None if floor is None else str(floor),
            physical_reference=self._text(raw, "physical_reference", path),
            coordinates=(
                self._place(raw["coordinates"], f"{path}.coordinates")
                if raw.get("coordinates")
                else None
            ),
            parking_restrictions=self._words(raw, "parking_restrictions", path),
            tariff_id=ids[0] if ids else None,
            more=self._more(raw, _EVSE_MORE, path),
            last_updated=self._updated(raw, path),
        )

    def connector(self, raw: Mapping[str, Any], path: str, inherited: tuple[str, ...]) -> Connector:
        self._unknown(raw, _CONNECTOR_KNOWN, path)
        named = list(self._words(raw, "tariff_ids", path))
        if not named and raw.get("tariff_id"):
            self.mend(f"{path}.tariff_id", "OCPI 2.1.1: read as tariff_ids")
            named = [str(raw["tariff_id"])]
        kind = self._required(raw, "power_type", path)
        amperage = self._whole(raw, "max_amperage", "amperage", path)
        voltage = self._whole(raw, "max_voltage", "voltage", path)
        power = self._power(raw, path)
        if kind == "AC_3_PHASE" and power and _line_to_line(voltage, amperage, power):
            self.mend(f"{path}.max_voltage", "line to line: read as 230 V to neutral (OCPI 8.3.3)")
            voltage = 230
        return Connector(
            id=self._required(raw, "id", path),
            standard=self._required(raw, "standard", path),
            format=self._required(raw, "format", path),
            power_type=kind,
            max_voltage=voltage,
            max_amperage=amperage,
            max_electric_power=power,
            tariff_ids=tuple(named) or inherited,
            more=self._more(raw, _CONNECTOR_MORE, path),
            last_updated=self._updated(raw, path),
        )

    def tariff(self, raw: object, path: str, location: Mapping[str, Any]) -> str | None:
        """Note an inline tariff; the id under which it is known, ``None`` when refused."""
        try:
            tariff, mended = mended_tariff(raw, location)
        except InvalidValue as error:
            self.refused[f"{path}.{error.field}", error.reason] += 1
            return None
        for where, reason in mended:
            self.mend(f"{path}.{where}", reason)
        name = tariff.id
        while (known := self.tariffs.get(name)) and msgspec.structs.replace(known, id="") != (
            msgspec.structs.replace(tariff, id="")
        ):
            name += "~"
        if name != tariff.id:
            self.mend(
                f"{path}.id", f"{tariff.id!r} names two different tariffs: stored as {name!r}"
            )
        self.tariffs[name] = msgspec.structs.replace(tariff, id=name)
        return name

    # -- members ---------------------------------------------------------------------------

    def _unknown(self, raw: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        for name in raw:
            if name not in known:
                self.mend(f"{path}.{name}", "not a member of OCPI: left out")

    def _text(self, raw: Mapping[str, Any], name: str, path: str) -> str | None:
        value = raw.get(name)
        if value is None:
            return None
        where = f"{path}.{name}"
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise InvalidValue(where, "must be a text")
        if not isinstance(value, str):
            self.mend(where, "a number: read as text")
        text = self._printable(str(value), where)
        if not text:
            self.mend(where, "empty: left out")
            return None
        longest = _LENGTHS.get(name)
        if longest and len(text) > longest:
            self.mend(where, f"longer than {longest} characters: cut")
            text = text[:longest]
        return text

    def _printable(self, text: str, where: str) -> str:
        kept = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if kept != text:
            self.mend(where, "control characters or stray spaces: replaced by one space")
        return kept

    def _required(self, raw: Mapping[str, Any], name: str, path: str) -> str:
        value = self._text(raw, name, path)
        if value is None:
            raise InvalidValue(f"{path}.{name}", "missing")
        return value

    def _renamed(self, raw: Mapping[str, Any], old: str, new: str, path: str) -> Any:
        value = raw.get(old)
        if value is not None:
            self.mend(f"{path}.{old}", f"read as {new}")
        return value

    def _owner(self, raw: Mapping[str, Any], path: str) -> tuple[str, str]:
        country, party = self._text(raw, "country_code", path), self._text(raw, "party_id", path)
        if not (country and party):
            named = [
                str(e.get("evse_id") or "")
                for e in self.listed(raw, "evses", path)
                if isinstance(e, Mapping)
            ]
            parts = next((name.split("*") for name in named if name.count("*") >= 2), None)
            if parts is None:
                raise InvalidValue(f"{path}.party_id", "missing, and no evse_id tells it")
            self.mend(f"{path}.party_id", "missing: taken from the first evse_id")
            country, party = parts[0], parts[1]
        return country.upper(), party.upper()

    def _country(self, raw: Mapping[str, Any], path: str) -> str:
        country = self._required(raw, "country", path).upper()
        if len(country) == 2 and country in _ALPHA3:
            self.mend(f"{path}.country", "two letters: read as ISO 3166-1 alpha-3")
            country = _ALPHA3[country]
        if len(country) != 3 or not country.isalpha():
            raise InvalidValue(f"{path}.country", f"{country!r} is no ISO 3166-1 alpha-3 code")
        return country

    def _publish(self, raw: Mapping[str, Any], path: str) -> bool:
        publish = raw.get("publish")
        if isinstance(publish, bool):
            return publish
        older = "type" in raw
        self.mend(
            f"{path}.publish",
            "OCPI 2.1.1 publishes every location" if older else "missing: kept unpublished",
        )
        return older

    def _zone(self, raw: Mapping[str, Any], country: str, path: str) -> str:
        zone = self._text(raw, "time_zone", path)
        if zone is None and country in _ZONES:
            self.mend(f"{path}.time_zone", "missing: the one zone of that country")
            zone = _ZONES[country]
        if zone is None:
            raise InvalidValue(f"{path}.time_zone", "missing")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InvalidValue(f"{path}.time_zone", f"{zone!r} is no IANA time zone") from error
        return zone

    def _place(self, raw: object, path: str) -> Coordinates:
        if not isinstance(raw, Mapping):
            raise InvalidValue(path, "missing")
        return Coordinates(
            self._degrees(raw, "latitude", 90, path), self._degrees(raw, "longitude", 180, path)
        )

    def _degrees(self, raw: Mapping[str, Any], name: str, most: int, path: str) -> Decimal:
        value, where = raw.get(name), f"{path}.{name}"
        if not isinstance(value, str):
            self.mend(where, "a number: OCPI writes degrees as text")
        try:
            degrees = Decimal(str(value).strip().replace(",", "."))
        except InvalidOperation as error:
            raise InvalidValue(where, f"{str(value)[:20]!r} is not a number of degrees") from error
        if not degrees.is_finite() or abs(degrees) > most:
            raise InvalidValue(where, f"{degrees} is beyond {most} degrees")
        if isinstance(exponent := degrees.as_tuple().exponent, int) and exponent < -7:
            self.mend(where, "more than seven decimals: rounded")
            degrees = degrees.quantize(Decimal("1e-7"))
        return degrees

    def _status(self, raw: Mapping[str, Any], path: str) -> EvseStatus:
        word = str(raw.get("status") or "").upper()
        if word not in _STATUSES:
            self.mend(f"{path}.status", f"{word or 'nothing'!s}: no OCPI status, read as UNKNOWN")
            return "UNKNOWN"
        return word  # type: ignore[return-value]

    def _whole(self, raw: Mapping[str, Any], name: str, older: str, path: str) -> int:
        value = raw.get(name)
        if value is None:
            value = self._renamed(raw, older, name, path)
        try:
            number = Decimal(str(value))
            whole = int(number)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise InvalidValue(f"{path}.{name}", "missing or not a number") from error
        if number != whole or isinstance(value, str):
            self.mend(f"{path}.{name}", "not written as a whole number: read as one")
        return whole

    def _power(self, raw: Mapping[str, Any], path: str) -> int | None:
        if raw.get("max_electric_power") is None:
            return None
        watts = self._whole(raw, "max_electric_power", "max_electric_power", path)
        if 0 < watts < 1000:
            self.mend(f"{path}.max_electric_power", "kilowatts: OCPI counts watts")
            watts *= 1000
        return watts

    def _json(self, raw: Mapping[str, Any], name: str, path: str) -> bytes | None:
        value = raw.get(name)
        return None if value is None else encode(self._clean(value, f"{path}.{name}"))

    def _more(self, raw: Mapping[str, Any], names: tuple[str, ...], path: str) -> bytes:
        kept = {name: self._clean(raw[name], f"{path}.{name}") for name in names if raw.get(name)}
        return encode(kept)

    def _clean(self, value: Any, path: str) -> Any:
        """JSON that is passed on: no control characters, no empty texts, lower-case languages."""
        if isinstance(value, Mapping):
            cleaned = {}
            for name, inner in value.items():
                kept = self._clean(inner, f"{path}.{name}")
                if name == "language" and isinstance(kept, str) and kept != kept.lower():
                    self.mend(f"{path}.language", "capitals: ISO 639-1 is lower case")
                    kept = kept.lower()
                if not kept and isinstance(kept, str):
                    self.mend(f"{path}.{name}", "empty: left out")
                else:
                    cleaned[name] = kept
            return cleaned
        if isinstance(value, list):
            return [self._clean(item, f"{path}[{n}]") for n, item in enumerate(value)]
        return self._printable(value, path) if isinstance(value, str) else value

    def _updated(self, raw: Mapping[str, Any], path: str) -> Any:
        where = f"{path}.last_updated"
        if raw.get("last_updated") is None:
            self.mend(where, "missing: the hour of the import")
            return None
        try:
            return parse_instant(str(raw["last_updated"]))
        except InvalidValue as error:
            self.mend(where, f"{error.reason}: the hour of the import")
            return None


def _line_to_line(voltage: int, amperage: int, power: int) -> bool:
    """Whether volts times amperes times the root of 3 is the stated power."""
    root3 = voltage * amperage * 1732 // 1000
    return voltage >= 380 and abs(root3 - power) * 20 <= power
