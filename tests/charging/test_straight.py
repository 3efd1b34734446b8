"""The straight path of both OCPP generations."""

from __future__ import annotations

from decimal import Decimal

from hub.charging.messages import Transaction
from tests.charging.field import Field, minute, reading


async def test_a_1_6_transaction_becomes_one_session_with_its_register_difference(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0))
    assert answer.token is not None
    assert (answer.number > 0, answer.token.status) == (True, "Accepted")
    await field.meters(answer.number, reading(minute(5), 4000))
    assert (await field.only()).energy_wh == 3000
    await field.stop(answer.number, 11000, at=minute(30), reason="Local")
    session = await field.only()
    assert (session.state, session.energy_wh, session.estimated) == ("COMPLETED", 10000, False)
    assert (session.started_at, session.ended_at) == (minute(0), minute(30))
    assert (session.token_uid, session.contract_id) == ("CARD1", "NL-HUB-CARD1")
    assert await field.events("SessionOpened") == await field.events("SessionClosed") == 1


async def test_a_2_x_transaction_becomes_one_session_with_its_register_difference(
    field: Field,
) -> None:
    tx1 = Transaction(ref="tx-1")
    await field.start(
        None, at=minute(0), transaction=tx1, seq=0,
        readings=(reading(minute(0), 500, "Transaction.Begin"),),
    )  # fmt: skip
    await field.update("tx-1", 1, at=minute(10), readings=(reading(minute(10), 2500),))
    assert (await field.only()).energy_wh == Decimal(2000)
    await field.stop(
        None, None, at=minute(20), transaction=tx1, seq=2, reason="EVDisconnected",
        readings=(reading(minute(20), 8500, "Transaction.End"),),
    )  # fmt: skip
    session = await field.only()
    assert (session.state, session.energy_wh, session.held) == ("COMPLETED", 8000, False)
    assert await field.readings(session.id) == 3
