"""Field quirks (q) whose right behaviour is that nothing happens: no error, no second truth."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hub.charging import Token, grant_remote
from hub.charging.messages import AuthorizeAsked, IdToken
from hub.stations import connector_statuses, report_status
from hub.stations.messages import StatusReported
from tests.charging.field import Field, minute, reading


async def test_q16_the_status_that_came_last_counts_whatever_its_timestamp_says(
    field: Field,
) -> None:
    for status, at in (("CHARGING", minute(9)), ("AVAILABLE", minute(2)), ("BLOCKED", None)):
        told = StatusReported(
            station=field.station, at=at or minute(-500), evse=1, connector=1,
            status=status, raw=status,  # type: ignore[arg-type]
        )  # fmt: skip
        async with field.database.tx() as tx:
            assert await report_status(tx, told)
            (row,) = await connector_statuses(tx, field.station.id)
        assert row.status == status


async def test_q17_a_sample_without_unit_measurand_and_context_is_the_register_in_wh(
    field: Field,
) -> None:
    answer = await field.start(0, at=minute(0))
    await field.meters(answer.number, reading(minute(5), 4000))
    assert (await field.only()).energy_wh == Decimal(4000)


async def test_q21_an_idle_sample_a_little_off_the_stop_register_is_no_error(
    field: Field,
) -> None:
    answer = await field.start(0, at=minute(0))
    await field.meters(answer.number, reading(minute(30), 10_004))
    await field.stop(answer.number, 10_000, at=minute(60))
    await field.meters(None, reading(minute(61), 10_003))
    await field.meters(None, reading(minute(62), 9_999))
    session = await field.only()
    assert (session.state, session.energy_wh) == ("COMPLETED", Decimal(10_000))
    assert session.estimated is False
    assert await field.exceptions() == []
    again = await field.start(10_003, at=minute(70))
    await field.stop(again.number, 12_003, at=minute(80))
    assert [one.energy_wh for one in await field.sessions()] == [Decimal(10_000), Decimal(2000)]
    assert await field.exceptions() == []


async def test_q38_a_remote_start_that_never_came_authorises_nothing_later(
    field: Field,
) -> None:
    app = Token(
        country_code="NL", party_id="HUB", uid="APP-7", type="APP_USER", contract_id="NL-HUB-7",
        issuer="us", whitelist="ALWAYS",
    )  # fmt: skip
    asked = AuthorizeAsked(station=field.station, token=IdToken("APP-7"), evse=1)
    async with field.database.tx() as tx:
        await grant_remote(tx, asked, app, reference="CMD-1")
    field.clock.at += timedelta(minutes=16)
    answer = await field.start(0, tag="APP-7")
    assert answer.token is not None
    assert answer.token.status != "Accepted"
    assert (await field.only()).authorization_reference is None


async def test_q39_a_card_is_the_same_card_in_any_case(field: Field) -> None:
    await field.card("04aabbccdd")
    for uid in ("04AABBCCDD", "04aabbccdd", "04AaBbCcDd"):
        answer = await field.start(0, at=minute(len(await field.sessions())), tag=uid)
        assert answer.token is not None
        assert answer.token.status == "Accepted", uid
        await field.stop(answer.number, 0)
