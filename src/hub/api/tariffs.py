"""Tariffs in OCPI's own words: put, list, read, delete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, put
from litestar.params import FromPath, QueryParameter

from hub.api.access import Principal, needs
from hub.api.pages import Cursor, Limit, Page, key_of, page_of
from hub.api.ports import Work
from hub.api.problems import answers
from hub.api.raw import JsonObjectOperation
from hub.kernel import InvalidValue
from hub.parties import our_party
from hub.tariffs import (
    PriceLimit,
    Tariff,
    TariffElement,
    TariffRestrictions,
    delete_tariff,
    load_tariff,
    save_tariff,
    tariff_of_ocpi,
    tariffs,
)

AsDefault = Annotated[
    bool, QueryParameter(name="default", description="Also make it the tariff of what names none.")
]
Version = Annotated[
    int | None, QueryParameter(name="version", ge=1, description="An older version.")
]


class Stored(msgspec.Struct, frozen=True):
    """What a tariff is stored as: the same content keeps its version."""

    id: str
    version: int


@put(
    "/tariffs/{tariff_id:str}", tags=["tariffs"], operation_id="put_tariff",
    operation_class=JsonObjectOperation, responses=answers(), guards=[needs("tariffs:write")],
)  # fmt: skip
async def put_tariff(
    request: Request[Principal, Any, Any],
    tx: Work,
    tariff_id: FromPath[str],
    as_default: AsDefault = False,
) -> Stored:
    """Create or change a tariff: an OCPI Tariff object (2.1.1 to 2.3.0) as body."""
    tariff = tariff_of_ocpi(await request.body())
    if tariff.id.casefold() != tariff_id.casefold():
        raise InvalidValue("id", f"{tariff.id!r} is not the {tariff_id!r} of the address")
    if not tariff.party_id:
        own = await our_party(tx)
        tariff = msgspec.structs.replace(
            tariff, country_code=own.country_code, party_id=own.party_id
        )
    kept = await save_tariff(tx, tariff, default=as_default)
    return Stored(kept.id, kept.version)


@get(
    "/tariffs", tags=["tariffs"], operation_id="list_tariffs", responses=answers(),
    guards=[needs("tariffs:read")],
)  # fmt: skip
async def list_tariffs(tx: Work, limit: Limit = 50, cursor: Cursor = None) -> Page[dict[str, Any]]:
    """The tariffs on offer, as OCPI Tariff objects, by id."""
    key = key_of(cursor, tuple[str])
    rows = await tariffs(tx, after=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit, lambda row: (row.id,), ocpi_of)


@get(
    "/tariffs/{tariff_id:str}", tags=["tariffs"], operation_id="get_tariff",
    responses=answers(404), guards=[needs("tariffs:read")],
)  # fmt: skip
async def get_tariff(tx: Work, tariff_id: FromPath[str], version: Version = None) -> dict[str, Any]:
    """One tariff as an OCPI Tariff object, the current version or an older one."""
    return ocpi_of(await load_tariff(tx, tariff_id, version))


@delete(
    "/tariffs/{tariff_id:str}", tags=["tariffs"], operation_id="delete_tariff",
    responses=answers(404), guards=[needs("tariffs:write")], status_code=204,
)  # fmt: skip
async def remove_tariff(tx: Work, tariff_id: FromPath[str]) -> None:
    """Stop offering a tariff; what was priced by it stays explained."""
    await delete_tariff(tx, tariff_id)


def ocpi_of(tariff: Tariff) -> dict[str, Any]:
    """The tariff as OCPI 2.2.1 writes it; absent members are left out."""
    return _present({
        "country_code": tariff.country_code, "party_id": tariff.party_id, "id": tariff.id,
        "currency": tariff.currency, "type": tariff.type,
        "tariff_alt_text": list(tariff.tariff_alt_text) or None,
        "tariff_alt_url": tariff.tariff_alt_url,
        "min_price": _limit(tariff.min_price), "max_price": _limit(tariff.max_price),
        "preauthorize_amount": tariff.preauthorize_amount,
        "elements": [_element(one) for one in tariff.elements],
        "tax_included": tariff.tax_included,
        "start_date_time": tariff.start_date_time, "end_date_time": tariff.end_date_time,
        "energy_mix": None if tariff.energy_mix is None else msgspec.Raw(tariff.energy_mix),
        "last_updated": tariff.last_updated,
    })  # fmt: skip


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _limit(limit: PriceLimit | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    return _present({"excl_vat": limit.excl_vat, "incl_vat": limit.incl_vat})


def _element(element: TariffElement) -> dict[str, Any]:
    components = [
        _present({"type": one.type, "price": one.price, "vat": one.vat, "step_size": one.step_size})
        for one in element.price_components
    ]
    limits = element.restrictions
    return _present({
        "price_components": components,
        "restrictions": dict(_restrictions(limits)) if limits else None,
    })  # fmt: skip


def _restrictions(limits: TariffRestrictions) -> Iterator[tuple[str, Any]]:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is None or value == ():
            continue
        if name in ("start_time", "end_time"):
            value = f"{value // 3600:02d}:{value % 3600 // 60:02d}"
        yield name, value
