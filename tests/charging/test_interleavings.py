"""Any order, any repetition: one session per transaction, energy equal to its registers."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hub.charging.messages import Transaction
from tests.charging.field import Field, minute, reading

Send = Callable[[], Awaitable[object]]

_RUN = count(1)
_QUICK = settings(
    max_examples=12, deadline=None, database=None, phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip

rises = st.lists(st.integers(0, 3000), min_size=1, max_size=5)
repeats = st.integers(1, 3)


def _registers(start: int, steps: list[int]) -> list[int]:
    found = [start]
    for step in steps:
        found.append(found[-1] + step)
    return found


@_QUICK
@given(
    plans=st.lists(st.tuples(st.integers(0, 10**6), rises, repeats), min_size=1, max_size=2),
    seed=st.randoms(use_true_random=False),
)
async def test_2_x_events_in_any_order_and_repetition_make_one_exact_session(
    field: Field, plans: list[tuple[int, list[int], int]], seed: random.Random
) -> None:
    sends: list[Send] = []
    expected: dict[str, int] = {}
    for evse, (begin, steps, times) in enumerate(plans, 1):
        ref = f"tx-{next(_RUN)}"
        values = _registers(begin, steps)
        expected[ref] = values[-1] - values[0]
        for message in _events_2_x(field, ref, evse, values):
            sends.extend([message] * times)
    seed.shuffle(sends)
    for send in sends:
        await send()
    found = {s.ref: s for s in await field.sessions() if s.ref in expected}
    assert {ref: s.energy_wh for ref, s in found.items()} == expected
    assert {(s.state, s.held) for s in found.values()} == {("COMPLETED", False)}
    for ref, session in found.items():
        steps = plans[list(expected).index(ref)][1]
        assert await field.readings(session.id) == len(steps) + 1
    assert await field.exceptions() == []


def _events_2_x(field: Field, ref: str, evse: int, values: list[int]) -> list[Send]:
    tx = Transaction(ref=ref)
    last = len(values) - 1

    async def started() -> None:
        begin = (reading(minute(0), values[0], "Transaction.Begin"),)
        await field.start(None, at=minute(0), transaction=tx, seq=0, evse=evse, readings=begin)

    def updated(n: int) -> Send:
        async def send() -> None:
            await field.update(ref, n, at=minute(n), readings=(reading(minute(n), values[n]),))

        return send

    async def ended() -> None:
        end = (reading(minute(last), values[last], "Transaction.End"),)
        await field.stop(None, None, at=minute(last), transaction=tx, seq=last, readings=end)

    return [started, *(updated(n) for n in range(1, last)), ended]


@_QUICK
@given(
    plans=st.lists(st.tuples(st.integers(0, 10**6), rises, repeats), min_size=1, max_size=2),
    seed=st.randoms(use_true_random=False),
)
async def test_1_6_messages_repeated_and_interleaved_make_one_exact_session(
    field: Field, plans: list[tuple[int, list[int], int]], seed: random.Random
) -> None:
    """A 1.6 stop needs the number from its start; the rest comes in any order."""
    run = next(_RUN)
    sends: list[Send] = []
    expected: dict[int, int] = {}
    for evse, (begin, steps, times) in enumerate(plans, 1):
        values = _registers(begin, steps)
        at = timedelta(hours=3 * run + evse)
        answer = await field.start(begin, at=minute(0) + at, evse=evse)
        expected[answer.number] = values[-1] - values[0]
        for message in _messages_1_6(field, answer.number, evse, at, values):
            sends.extend([message] * times)
    seed.shuffle(sends)
    closed_before = await field.events("SessionClosed")
    for send in sends:
        await send()
    found = {s.number: s for s in await field.sessions() if s.number in expected}
    assert {number: s.energy_wh for number, s in found.items()} == expected
    assert {s.state for s in found.values()} == {"COMPLETED"}
    assert await field.events("SessionClosed") - closed_before == len(plans)
    assert await field.exceptions() == []


def _messages_1_6(
    field: Field, number: int, evse: int, at: timedelta, values: list[int]
) -> list[Send]:
    async def started() -> None:
        again = await field.start(values[0], at=minute(0) + at, evse=evse)
        assert again.number == number

    def metered(n: int) -> Send:
        async def send() -> None:
            await field.meters(number, reading(minute(n) + at, values[n]), evse=evse)

        return send

    async def stopped() -> None:
        await field.stop(number, values[-1], at=minute(len(values)) + at)

    return [started, *(metered(n) for n in range(1, len(values))), stopped]
