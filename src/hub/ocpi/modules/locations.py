"""Our locations, for partners to read (L-1): the list, one location, one EVSE, one connector."""

from __future__ import annotations

from hub.kernel import NotFound
from hub.ocpi.call import Call, Route
from hub.ocpi.envelope import UNKNOWN_LOCATION, Refused, Reply
from hub.ocpi.paging import Found, Page, asked_page, page_reply
from hub.runtime import Tx
from hub.stations.locations import location, locations
from hub.stations.model import Evse, Location

_BATCH = 1000


async def list_locations(tx: Tx, call: Call) -> Reply:
    """A page of our locations, in the order of their ids."""
    page = asked_page(call.query)
    skip = 0 if page.after else page.offset
    found = await locations(
        tx, after=page.after, limit=skip + page.limit + 1,
        date_from=page.date_from, date_to=page.date_to,
    )  # fmt: skip
    shown = found[skip : skip + page.limit]
    listed = Found(
        [call.dialect.location.lower(one) for one in shown],
        shown[-1].id if shown else "",
        await _total(tx, page),
        len(found) > skip + page.limit,
    )
    return page_reply(call, page, listed)


async def _total(tx: Tx, page: Page) -> int:
    total, after = 0, ""
    while True:
        found = await locations(
            tx, after=after, limit=_BATCH, date_from=page.date_from, date_to=page.date_to
        )
        total += len(found)
        if len(found) < _BATCH:
            return total
        after = found[-1].id


async def show_location(tx: Tx, call: Call) -> Reply:
    """One location with its EVSEs."""
    return Reply(data=call.dialect.location.lower(await _location(tx, call)))


async def show_evse(tx: Tx, call: Call) -> Reply:
    """One EVSE of a location."""
    return Reply(data=call.dialect.evse.lower(_evse(await _location(tx, call), call)))


async def show_connector(tx: Tx, call: Call) -> Reply:
    """One connector of an EVSE."""
    evse = _evse(await _location(tx, call), call)
    wanted = call.params["connector"].upper()
    for connector in evse.connectors:
        if connector.id.upper() == wanted:
            return Reply(data=call.dialect.connector.lower(connector))
    raise Refused(UNKNOWN_LOCATION, f"EVSE {evse.uid} has no connector {wanted}", http=404)


async def _location(tx: Tx, call: Call) -> Location:
    try:
        return await location(tx, call.params["location"])
    except NotFound as error:
        raise Refused(UNKNOWN_LOCATION, str(error), http=404) from error


def _evse(place: Location, call: Call) -> Evse:
    wanted = call.params["evse"].upper()
    for evse in place.evses:
        if evse.uid.upper() == wanted:
            return evse
    raise Refused(UNKNOWN_LOCATION, f"location {place.id} has no EVSE {wanted}", http=404)


ROUTES = [
    Route(
        module="locations", side="sender", method="GET", path="", action=list_locations,
        summary="Our locations", gives=lambda d: d.location.wire, listed=True,
    ),
    Route(
        module="locations", side="sender", method="GET", path="{location}", action=show_location,
        summary="One location", gives=lambda d: d.location.wire,
    ),
    Route(
        module="locations", side="sender", method="GET", path="{location}/{evse}",
        action=show_evse, summary="One EVSE", gives=lambda d: d.evse.wire,
    ),
    Route(
        module="locations", side="sender", method="GET", path="{location}/{evse}/{connector}",
        action=show_connector, summary="One connector", gives=lambda d: d.connector.wire,
    ),
]  # fmt: skip
