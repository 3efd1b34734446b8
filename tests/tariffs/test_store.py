"""Saved tariffs: versions, the default, deletion, tenants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import psycopg
import pytest

from hub.kernel import InvalidValue, NotFound, new_id
from hub.runtime import Database
from hub.tariffs import (
    Tariff,
    TariffRef,
    current_tariff,
    delete_tariff,
    load_tariff,
    save_tariff,
    tariffs,
)

from .builders import comp, element, tariff


def priced_at(price: str, name: str = "Day") -> Tariff:
    made = tariff(
        element(
            comp("ENERGY", price, "19"), start_time="08:00", start_date="2026-06-01", max_kwh="7.5"
        ),
        min_price={"excl_vat": "0.50"},
        energy_mix={"is_green_energy": True},
        start_date_time="2026-06-01T00:00:00Z",
    )
    return msgspec.structs.replace(made, id=name)


async def other_tenant(database: Database) -> UUID:
    tenant = new_id()
    async with database.system_tx() as tx:
        await tx.run(
            "INSERT INTO runtime.tenant (id, name, currency) VALUES (%s, %s, 'EUR')",
            tenant,
            "other",
        )
    return tenant


async def test_a_tariff_comes_back_exactly_as_it_was_saved(database: Database) -> None:
    seen = datetime(2026, 6, 2, 8, 30, tzinfo=UTC)
    given = msgspec.structs.replace(priced_at("0.4900"), last_updated=seen)
    async with database.tx() as tx:
        assert await save_tariff(tx, given) == TariffRef("Day", 1)
    async with database.tx() as tx:
        loaded = await load_tariff(tx, "day")
        assert loaded == given
        assert (
            loaded.elements[0].price_components[0].price.as_tuple() == Decimal("0.4900").as_tuple()
        )


async def test_same_content_keeps_its_version_and_other_content_gets_the_next(
    database: Database,
) -> None:
    async with database.tx() as tx:
        assert await save_tariff(tx, priced_at("0.49")) == TariffRef("Day", 1)
        again = msgspec.structs.replace(
            priced_at("0.49"), last_updated=datetime(2026, 7, 1, tzinfo=UTC)
        )
        assert await save_tariff(tx, again) == TariffRef("Day", 1)
        assert await save_tariff(tx, priced_at("0.59")) == TariffRef("Day", 2)
    async with database.tx() as tx:
        first, now = [await load_tariff(tx, "Day", version) for version in (1, None)]
        assert [t.elements[0].price_components[0].price for t in (first, now)] == [
            Decimal("0.49"),
            Decimal("0.59"),
        ]
        assert await current_tariff(tx, "DAY") == TariffRef("Day", 2)


async def test_each_new_version_and_each_deletion_is_one_event(database: Database) -> None:
    async with database.tx() as tx:
        await save_tariff(tx, priced_at("0.49"))
        await save_tariff(tx, priced_at("0.49"))
        await save_tariff(tx, priced_at("0.59"))
        await delete_tariff(tx, "Day")
    async with database.system_tx() as tx:
        rows = await tx.rows("SELECT name FROM runtime.event ORDER BY id")
    assert [row[0] for row in rows] == ["tariffs.TariffChanged"] * 2 + ["tariffs.TariffDeleted"]


async def test_a_tenant_has_one_default(database: Database) -> None:
    async with database.tx() as tx:
        assert await current_tariff(tx, None) is None
        await save_tariff(tx, priced_at("0.49", "a"), default=True)
        await save_tariff(tx, priced_at("0.59", "b"), default=True)
        assert await current_tariff(tx, None) == TariffRef("b", 1)
        await save_tariff(tx, priced_at("0.69", "b"))
        assert await current_tariff(tx, None) == TariffRef("b", 2)


async def test_a_deleted_tariff_stays_for_the_cdrs_that_name_it(database: Database) -> None:
    async with database.tx() as tx:
        ref = await save_tariff(tx, priced_at("0.49"), default=True)
        await delete_tariff(tx, "Day")
        assert await current_tariff(tx, None) is None
        assert await tariffs(tx) == []
        assert (await load_tariff(tx, ref.id, ref.version)).id == "Day"
        with pytest.raises(NotFound):
            await load_tariff(tx, "Day")
        with pytest.raises(NotFound):
            await delete_tariff(tx, "Day")
        assert await save_tariff(tx, priced_at("0.49")) == TariffRef("Day", 2)


async def test_tariffs_are_listed_page_by_page(database: Database) -> None:
    async with database.tx() as tx:
        for name in ("c", "A", "b"):
            await save_tariff(tx, priced_at("0.49", name))
        first = await tariffs(tx, limit=2)
        rest = await tariffs(tx, after=first[-1].id, limit=2)
    assert [[item.id for item in page] for page in (first, rest)] == [["A", "b"], ["c"]]


async def test_tenants_do_not_see_each_others_tariffs(database: Database) -> None:
    tenant = await other_tenant(database)
    async with database.tx() as tx:
        await save_tariff(tx, priced_at("0.49"), default=True)
    async with database.tx(tenant) as tx:
        assert await current_tariff(tx, "Day") is None
        assert await save_tariff(tx, priced_at("0.99"), default=True) == TariffRef("Day", 1)


async def test_a_version_can_be_neither_changed_nor_removed(database: Database) -> None:
    async with database.tx() as tx:
        await save_tariff(tx, priced_at("0.49"))
    for sql in ("UPDATE tariffs.version SET body = ''", "DELETE FROM tariffs.version"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.tx() as tx:
                await tx.run(sql)


async def test_an_id_that_ocpi_cannot_carry_is_refused(database: Database) -> None:
    async with database.tx() as tx:
        with pytest.raises(InvalidValue):
            await save_tariff(tx, priced_at("0.49", "x" * 37))
