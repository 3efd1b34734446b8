"""Our own network: locations with EVSEs and connectors, in OCPI words; who speaks for them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, get, post, put
from litestar.params import FromPath, JSONBody

from hub.api.access import Principal, needs
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import ApiError, FieldProblem, answers
from hub.api.raw import LocationsOperation
from hub.stations import Location, bind_station, location, locations, station
from hub.stations.feed import Feed, Note, import_feed, read_feed

_JSON_MEMBERS: Final = ("opening_times", "operator", "publish_allowed_to")
_TOLD: Final = 100


class NothingReadable(ApiError):
    """A feed of which nothing could be stored."""

    code = "nothing_readable"
    status = 400

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self.feed = feed

    def members(self) -> dict[str, Any]:
        """What was refused, by path."""
        found = [FieldProblem(one.path, one.reason) for one in self.feed.refused[:_TOLD]]
        return {"errors": found}

    def __str__(self) -> str:
        return "no location was stored: the body holds none, or all were refused (see errors)"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored, and what the feed was mended, refused or doubted for, by path."""

    locations: int
    changed: int
    evses: int
    tariffs: int
    mended: tuple[Note, ...]
    refused: tuple[Note, ...]
    doubts: tuple[Note, ...]


@get(
    "/locations", tags=["partners"], operation_id="list_locations", responses=answers(),
    guards=[needs("stations:read")],
)  # fmt: skip
async def list_locations(
    tx: Work, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """Our locations with EVSEs and connectors, in OCPI's words, by id."""
    key = key_of(cursor, tuple[str])
    rows = await locations(tx, after=key[0] if key else "", limit=limit + 1)
    return page_of(rows, limit, lambda row: (row.id,), location_shape)


@post(
    "/locations", tags=["partners"], operation_id="save_locations",
    operation_class=LocationsOperation, responses=answers(), status_code=200,
    guards=[needs("stations:write")],
)  # fmt: skip
async def save(request: Request[Principal, Any, Any], tx: Work) -> Report:
    """Create or replace locations: one OCPI Location object, a list of them, or a whole feed.

    EVSEs that a location no longer lists become REMOVED. Dialects of OCPI 2.x are mended, a bad
    EVSE never costs its neighbours, and the report tells both. What a feed holds inline as
    tariffs is stored too.
    """
    feed = read_feed(await request.body())
    if not feed.locations:
        raise NothingReadable(feed)
    stored = await import_feed(tx, feed)
    return Report(
        **msgspec.structs.asdict(stored), evses=sum(len(one.evses) for one in feed.locations),
        mended=feed.mended, refused=feed.refused, doubts=feed.doubts,
    )  # fmt: skip


@get(
    "/locations/{location_id:str}", tags=["partners"], operation_id="get_location",
    responses=answers(404), guards=[needs("stations:read")],
)  # fmt: skip
async def get_location(tx: Work, location_id: FromPath[str]) -> dict[str, Any]:
    """One location with its EVSEs and connectors."""
    return location_shape(await location(tx, location_id))


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The EVSE of a location that a station's EVSE number speaks for."""

    evse_uid: str


@put(
    "/stations/{station_id:str}/evses/{number:int}", tags=["stations"], operation_id="bind_evse",
    responses=answers(404, 409), guards=[needs("stations:write")], status_code=204,
)  # fmt: skip
async def bind_evse(
    tx: Work, station_id: FromPath[str], number: FromPath[int], data: JSONBody[Binding]
) -> None:
    """Let one EVSE number of a station speak for an EVSE of a location."""
    row = await station(tx, station_id)
    await bind_station(tx, row.id, number, data.evse_uid)


def location_shape(found: Location) -> dict[str, Any]:
    """The location as OCPI writes it; absent members are left out."""
    return {
        **_members(found),
        "evses": [
            {**_members(evse), "connectors": [_members(one) for one in evse.connectors]}
            for evse in found.evses
        ],
    }


def _members(struct: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if value is None or value == () or name in ("more", "evses", "connectors"):
            continue
        found[name] = msgspec.Raw(value) if name in _JSON_MEMBERS else value
    if "coordinates" in found:
        # OCPI 2.2.1 mod_locations GeoLocation: decimal degrees as strings.
        place = found["coordinates"]
        found["coordinates"] = {
            "latitude": str(place.latitude), "longitude": str(place.longitude),
        }  # fmt: skip
    return found
