"""Sessions as priced periods (OCPI CD-9), and the price so far."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hub.charging import pricing_periods
from hub.charging.energy import Sample
from hub.charging.messages import Transaction
from hub.charging.model import Session
from hub.charging.periods import periods_of
from hub.kernel import new_id
from hub.tariffs import Period, PriceComponent, Tariff, TariffElement, save_tariff
from tests.charging.field import NOON, Field, minute, reading


def _session(wh: int, minutes: float = 60, start: int = 1000) -> Session:
    return Session(
        id=new_id(), tenant_id=new_id(), station_id="CP1", number=1, natural_key="k",
        state="COMPLETED", started_at=minute(0), ended_at=minute(minutes), opened_at=NOON,
        meter_start=Decimal(start), meter_stop=Decimal(start + wh), energy_wh=Decimal(wh),
        currency="EUR", time_zone="UTC", trace="t", last_updated=NOON,
    )  # fmt: skip


def _shape(periods: list[Period]) -> list[tuple[datetime, datetime, Decimal, str]]:
    return [(p.start, p.end, p.energy_wh, p.kind) for p in periods]


def test_without_meter_values_a_session_is_one_charging_period() -> None:
    assert _shape(periods_of(_session(5000), [], [])) == [
        (minute(0), minute(60), Decimal(5000), "CHARGING")
    ]


def test_the_last_interval_up_to_the_stop_register_is_billed() -> None:
    found = periods_of(_session(9000), [Sample(minute(30), Decimal(4000))], [])
    assert _shape(found) == [
        (minute(0), minute(30), Decimal(3000), "CHARGING"),
        (minute(30), minute(60), Decimal(6000), "CHARGING"),
    ]


def test_cd_9_suspended_ev_is_parking_and_suspended_evse_is_charging() -> None:
    states = [
        (minute(0), "Charging"), (minute(20), "SuspendedEVSE"), (minute(30), "SuspendedEV"),
        (minute(50), "Charging"),
    ]  # fmt: skip
    found = periods_of(_session(6000), [], states)
    assert [(p.start, p.end, p.kind) for p in found] == [
        (minute(0), minute(30), "CHARGING"),
        (minute(30), minute(50), "PARKING"),
        (minute(50), minute(60), "CHARGING"),
    ]
    assert [p.energy_wh for p in found] == [4500, 0, 1500]


def test_the_handshake_before_charging_is_no_parking_and_a_full_car_is() -> None:
    states = [(minute(0), "EVConnected"), (minute(2), "Charging"), (minute(40), "EVConnected")]
    kinds = [(p.start, p.kind) for p in periods_of(_session(6000), [], states)]
    assert kinds == [(minute(0), "CHARGING"), (minute(40), "PARKING")]


def test_a_zero_power_tail_without_a_state_stays_charging() -> None:
    found = periods_of(_session(3000), [Sample(minute(20), Decimal(4000))], [])
    assert {p.kind for p in found} == {"CHARGING"}
    assert found[-1].energy_wh == 0


@given(
    wh=st.integers(0, 10**6),
    points=st.lists(st.tuples(st.integers(-10, 70), st.integers(-(10**6), 2 * 10**6)), max_size=9),
    states=st.lists(
        st.tuples(
            st.integers(-10, 70),
            st.sampled_from(["Charging", "SuspendedEV", "SuspendedEVSE", "EVConnected", "Idle"]),
        ),
        max_size=6,
    ),
)
def test_periods_cover_the_session_and_add_up_to_its_energy_whatever_was_sampled(
    wh: int, points: list[tuple[int, int]], states: list[tuple[int, str]]
) -> None:
    samples = sorted((Sample(minute(n), Decimal(v)) for n, v in points), key=lambda s: s.at)
    changes = sorted((minute(n), state) for n, state in states)
    found = periods_of(_session(wh), samples, changes)
    assert sum(p.energy_wh for p in found) == wh
    assert (found[0].start, found[-1].end) == (minute(0), minute(60))
    assert all(a.end == b.start for a, b in pairwise(found))


def test_a_session_of_no_length_keeps_its_energy() -> None:
    found = periods_of(_session(700, minutes=0), [], [])
    assert [(p.energy_wh, p.start == p.end) for p in found] == [(700, True)]


async def test_a_running_session_shows_its_price_by_the_tariff_frozen_at_its_start(
    field: Field,
) -> None:
    def tariff(price: str) -> Tariff:
        energy = PriceComponent(type="ENERGY", price=Decimal(price), vat=Decimal(20))
        return Tariff(id="T", currency="SEK", elements=(TariffElement(price_components=(energy,)),))

    async with field.database.tx() as tx:
        await save_tariff(tx, tariff("0.30"), default=True)
    answer = await field.start(1000, at=minute(0))
    async with field.database.tx() as tx:
        await save_tariff(tx, tariff("9.99"), default=True)
    await field.meters(answer.number, reading(minute(30), 11000))
    session = await field.only()
    assert (session.tariff_id, session.tariff_version, session.currency) == ("T", 1, "SEK")
    assert (session.price_excl, session.price_incl) == (Decimal("3.00"), Decimal("3.60"))


async def test_a_2_x_end_is_answered_with_the_total_cost(field: Field) -> None:
    energy = PriceComponent(type="ENERGY", price=Decimal("0.50"))
    tariff = Tariff(id="T", currency="EUR", elements=(TariffElement(price_components=(energy,)),))
    async with field.database.tx() as tx:
        await save_tariff(tx, tariff, default=True)
    tx1 = Transaction(ref="t")
    begin = (reading(minute(0), 0, "Transaction.Begin"),)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin)
    end = (reading(minute(9), 8000, "Transaction.End"),)
    answer = await field.stop(None, None, at=minute(9), transaction=tx1, seq=1, readings=end)
    assert answer.total_cost == Decimal("4.00")


async def test_states_that_the_station_reports_cut_the_stored_session(field: Field) -> None:
    tx1 = Transaction(ref="t")
    begin = (reading(minute(0), 0, "Transaction.Begin"),)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin,
                      charging_state="Charging")  # fmt: skip
    await field.update("t", 1, at=minute(40), charging_state="SuspendedEV")
    end = (reading(minute(60), 4000, "Transaction.End"),)
    await field.stop(None, None, at=minute(60), transaction=tx1, seq=2, readings=end)
    async with field.database.tx() as tx:
        found = await pricing_periods(tx, (await field.only()).id)
    assert _shape(found) == [
        (minute(0), minute(40), Decimal(4000), "CHARGING"),
        (minute(40), minute(60), Decimal(0), "PARKING"),
    ]
