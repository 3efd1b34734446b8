"""How many statements a station's message costs: round trips are what a message waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hub.charging.messages import Transaction
from hub.runtime import Tx
from tests.charging.field import Field, minute, reading

Count = Callable[[], int]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Count:
    """How many statements ran inside transactions since the last call."""
    ran: list[str] = []
    for name in ("run", "one", "all", "row", "rows", "value"):
        inner = getattr(Tx, name)

        def counted(self: Tx, *args: Any, _inner: Any = inner) -> Any:
            ran.append(str(args))
            return _inner(self, *args)

        monkeypatch.setattr(Tx, name, counted)

    def count() -> int:
        found = len(ran)
        ran.clear()
        return found

    return count


async def test_start_meters_and_stop_of_1_6_cost_few_statements(
    field: Field, statements: Count
) -> None:
    statements()
    answer = await field.start(0, at=minute(0))
    # The standing decision, the tokens, the decision's row, the place, the session, the event.
    assert statements() <= 6
    await field.meters(answer.number, reading(minute(1), 10))
    assert statements() <= 3
    await field.stop(answer.number, 20, at=minute(2))
    # The session, its new state, the event.
    assert statements() <= 3


async def test_an_event_of_2_x_costs_two_statements(field: Field, statements: Count) -> None:
    await field.start(None, at=minute(0), transaction=Transaction(ref="t"), seq=0)
    statements()
    await field.update("t", 1, at=minute(1), readings=(reading(minute(1), 10),))
    assert statements() <= 2
