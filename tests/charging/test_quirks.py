"""Field quirks (q) and a peer's defects (A-M) below the wire: each is one exact session here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from hub.charging import (
    close_abandoned,
    exceptions,
    note_boot,
    note_status,
    open_session,
    resolve_exception,
)
from hub.charging.events import SessionAbandoned
from hub.charging.messages import (
    AuthorizeAsked,
    IdToken,
    Transaction,
    TransactionStarted,
)
from hub.stations.messages import StationBooted, StatusReported
from tests.charging.field import Field, minute, reading

BOOT_1970 = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


# --- exactly one session per transaction ---------------------------------------------------


async def test_q1_a_start_repeated_with_a_new_message_id_gets_the_same_number_and_status(
    field: Field,
) -> None:
    first = await field.start(1000, at=minute(0))
    again = await field.start(1000, at=minute(0))
    assert again == first
    assert (await field.only()).state == "ACTIVE"
    assert await field.events("SessionOpened") == 1


async def test_d_a_late_duplicate_start_after_its_stop_opens_nothing(field: Field) -> None:
    first = await field.start(1000, at=minute(0))
    await field.stop(first.number, 6000, at=minute(10))
    assert (await field.start(1000, at=minute(0))).number == first.number
    assert (await field.only()).state == "COMPLETED"
    assert await field.events("SessionClosed") == 1


async def test_d_in_2_x_a_late_duplicate_started_after_its_ended_opens_nothing(
    field: Field,
) -> None:
    tx1 = Transaction(ref="t")
    begin = (reading(minute(0), 100, "Transaction.Begin"),)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin)
    end = (reading(minute(9), 900, "Transaction.End"),)
    await field.stop(None, None, at=minute(9), transaction=tx1, seq=1, readings=end)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin)
    assert ((await field.only()).state, (await field.only()).energy_wh) == ("COMPLETED", 800)
    assert await field.events("SessionClosed") == 1


async def test_b_two_connectors_that_start_in_one_tick_get_two_numbers_and_two_sessions(
    field: Field,
) -> None:
    one, two = await asyncio.gather(
        field.start(1000, at=minute(0), evse=1), field.start(2000, at=minute(0), evse=2)
    )
    assert one.number != two.number
    await field.stop(one.number, 4000, at=minute(5))
    await field.stop(two.number, 9000, at=minute(5))
    assert sorted(s.energy_wh for s in await field.sessions()) == [3000, 7000]


async def test_two_copies_of_one_start_at_the_same_time_open_one_session(field: Field) -> None:
    answers = await asyncio.gather(*(field.start(1000, at=minute(0)) for _ in range(4)))
    assert len({answer.number for answer in answers}) == 1
    await field.only()


async def test_c_a_flush_of_three_transactions_keeps_three_times_ten_kwh(field: Field) -> None:
    numbers = []
    for n in range(3):
        answer = await field.start(n * 10000, at=minute(n))
        await field.meters(answer.number, reading(minute(n + 0.5), n * 10000 + 2500))
        await field.stop(answer.number, n * 10000 + 10000, at=minute(n + 0.9))
        numbers.append(answer.number)
    assert len(set(numbers)) == 3
    assert [s.energy_wh for s in await field.sessions()] == [10000, 10000, 10000]


async def test_q13_number_a_refused_identifier_still_gets_a_number_of_its_own(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0), tag="STRANGER")
    other = await field.start(1000, at=minute(0), tag="STRANGER", evse=2)
    assert answer.token is not None
    assert answer.token.status == "Invalid"
    assert answer.number > 0
    assert answer.number != other.number


async def test_q49_energy_of_a_refused_identifier_is_honoured_flagged_and_listed(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0), tag="STRANGER")
    await field.stop(answer.number, 3000, at=minute(5))
    session = await field.only()
    assert (session.state, session.energy_wh) == ("COMPLETED", 2000)
    assert {"refused_token", "unauthorised_energy"} <= set(session.flags)
    assert await field.exceptions() == ["unauthorised_energy"]


async def test_a_refused_identifier_without_energy_leaves_an_invalid_session(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0), tag="STRANGER")
    await field.stop(answer.number, 1000, at=minute(5), reason="DeAuthorized")
    assert ((await field.only()).state, await field.exceptions()) == ("INVALID", [])


# --- energy to the Wh -----------------------------------------------------------------------


async def test_a_without_meter_values_the_energy_is_stop_minus_start(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.stop(answer.number, 11000, at=minute(0))
    assert (await field.only()).energy_wh == 10000


async def test_a2_the_stop_register_wins_over_the_last_meter_value(field: Field) -> None:
    answer = await field.start(0, at=minute(0))
    await field.meters(answer.number, reading(minute(5), 4000))
    await field.stop(answer.number, 10000, at=minute(30))
    assert (await field.only()).energy_wh == 10000


async def test_h_the_end_register_may_come_only_in_the_ended_event(field: Field) -> None:
    tx1 = Transaction(ref="t")
    await field.start(
        None, at=minute(0), transaction=tx1, seq=0,
        readings=(reading(minute(0), 700, "Transaction.Begin"),),
    )  # fmt: skip
    await field.stop(
        None, None, at=minute(9), transaction=tx1, seq=1,
        readings=(reading(minute(9), 12700, "Transaction.End"),),
    )  # fmt: skip
    assert (await field.only()).energy_wh == 12000


async def test_m_meter_values_and_the_end_in_one_burst_are_all_kept(field: Field) -> None:
    answer = await field.start(0, at=minute(0))
    await asyncio.gather(
        *(field.meters(answer.number, reading(minute(n), n * 100)) for n in range(1, 9))
    )
    await field.stop(answer.number, 800, at=minute(9))
    session = await field.only()
    assert (session.energy_wh, await field.readings(session.id)) == (800, 8)


async def test_c2_every_reading_is_kept_once_however_often_it_is_sent(field: Field) -> None:
    answer = await field.start(0, at=minute(0))
    values = [reading(minute(1), 10), reading(minute(1), 230, measurand="Voltage", phase="L1")]
    assert await field.meters(answer.number, *values) == 2
    assert await field.meters(answer.number, *values) == 0
    # A clock with whole seconds: another value at the same instant is another reading.
    assert await field.meters(answer.number, reading(minute(1), 11)) == 1


async def test_readings_outside_a_session_are_kept_with_their_evse_once(field: Field) -> None:
    for _ in range(2):
        await field.meters(None, reading(minute(1), 5), evse=3)
    assert await field.readings(None) == 1


async def test_meter_values_without_a_transaction_belong_to_the_open_session_of_the_evse(
    field: Field,
) -> None:
    await field.start(0, at=minute(0))
    await field.meters(None, reading(minute(1), 500))
    assert (await field.only()).energy_wh == 500


async def test_late_meter_values_after_the_stop_are_kept_and_change_no_energy(
    field: Field,
) -> None:
    answer = await field.start(0, at=minute(0))
    await field.stop(answer.number, 1000, at=minute(9))
    await field.meters(answer.number, reading(minute(10), 1300))
    session = await field.only()
    assert (session.energy_wh, await field.readings(session.id)) == (1000, 1)


async def test_q18_samples_relative_to_the_session_show_progress_and_bill_nothing(
    field: Field,
) -> None:
    answer = await field.start(500_000, at=minute(0))
    await field.meters(answer.number, reading(minute(5), 1500))
    session = await field.only()
    assert (session.energy_wh, "session_relative" in session.flags) == (1500, True)
    await field.stop(answer.number, 504_000, at=minute(9))
    assert (await field.only()).energy_wh == 4000


async def test_q19_a_register_that_was_reset_is_summed_estimated_and_held(field: Field) -> None:
    answer = await field.start(5000, at=minute(0))
    await field.meters(answer.number, reading(minute(5), 6000), reading(minute(6), 0))
    await field.stop(answer.number, 700, at=minute(9))
    session = await field.only()
    assert (session.energy_wh, session.estimated, session.held) == (1700, True, True)
    assert (await field.exceptions(), await field.events("SessionClosed")) == (["held_session"], 0)


async def test_q20_dropouts_and_jumps_in_samples_do_not_move_the_running_energy(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0))
    for n, value in enumerate([2000, 0, 999_999_999, 2500], 1):
        await field.meters(answer.number, reading(minute(n), value))
    assert (await field.only()).energy_wh == 1500
    await field.stop(answer.number, 2600, at=minute(9))
    assert (await field.only()).energy_wh == 1600


async def test_q22_registers_with_decimals_are_exact(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.stop(answer.number, "5995441.125", at=minute(9))
    session = await field.only()
    assert session.energy_wh == Decimal("5994441.125")
    assert "implausible_energy" in session.flags
    assert (await field.exceptions(), await field.events("SessionClosed")) == (["held_session"], 0)


async def test_without_a_total_the_phases_of_a_register_are_summed(field: Field) -> None:
    answer = await field.start(0, at=minute(0))
    phases = [reading(minute(1), 100 * n, phase=f"L{n}") for n in (1, 2, 3)]
    await field.meters(answer.number, *phases)
    assert (await field.only()).energy_wh == 600


# --- numbers that name nothing, or another's -----------------------------------------------


@pytest.mark.parametrize("number", [-1, 0, 2**63 - 1], ids=["q4", "q5", "q6"])
async def test_a_stop_without_a_usable_number_ends_the_single_open_session(
    field: Field, number: int
) -> None:
    await field.start(1000, at=minute(0))
    for _ in range(2):
        await field.stop(number, 3000, at=minute(5))
    assert ((await field.only()).state, (await field.only()).energy_wh) == ("COMPLETED", 2000)
    assert (await field.exceptions(), await field.events("SessionClosed")) == ([], 1)


@pytest.mark.parametrize("number", [-1, 0, 2**63 - 1], ids=["q4", "q5", "q6"])
async def test_meter_values_without_a_usable_number_belong_to_the_evse_s_session(
    field: Field, number: int
) -> None:
    await field.start(1000, at=minute(0))
    await field.meters(number, reading(minute(1), 1400))
    assert (await field.only()).energy_wh == 400


async def test_q4_with_two_open_sessions_the_tag_decides_which_one_minus_one_ends(
    field: Field,
) -> None:
    await field.card("CARD2")
    await field.start(1000, at=minute(0), evse=1)
    await field.start(1000, at=minute(0), evse=2, tag="CARD2")
    await field.stop(-1, 5000, at=minute(5), tag="card2")
    states = {s.evse: s.state for s in await field.sessions()}
    assert states == {1: "ACTIVE", 2: "COMPLETED"}


async def test_q7_a_stop_of_an_unknown_transaction_is_answered_and_listed_once(
    field: Field,
) -> None:
    for _ in range(2):
        await field.stop(4711, 5000, at=minute(5))
    assert (await field.sessions(), await field.exceptions()) == ([], ["orphan_stop"])


async def test_q8_minus_one_after_a_refusal_ends_the_refused_session_and_not_the_true_one(
    field: Field,
) -> None:
    await field.card("SINGLE", max_sessions=1)
    first = await field.start(1000, at=minute(0), tag="SINGLE")
    second = await field.start(1000, at=minute(1), tag="SINGLE", evse=2)
    assert second.token is not None
    assert (second.token.status, first.number != second.number) == ("ConcurrentTx", True)
    await field.stop(-1, 1000, at=minute(2), tag="SINGLE")
    assert [s.state for s in await field.sessions()] == ["ACTIVE", "INVALID"]


async def test_q9_e_another_station_s_transaction_is_never_touched(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    thief = field.at_station("CP2")
    own = await thief.start(0, at=minute(0))
    await thief.stop(answer.number, 99_000, at=minute(5))
    await thief.meters(answer.number, reading(minute(5), 50_000))
    victim, thieving = await field.sessions("CP1"), await field.sessions("CP2")
    assert (victim[0].state, victim[0].energy_wh) == ("ACTIVE", 0)
    assert (thieving[0].number, thieving[0].state) == (own.number, "ACTIVE")
    assert await field.exceptions() == ["foreign_stop"]


async def test_g_two_stations_may_use_one_transaction_reference(field: Field) -> None:
    other = field.at_station("CP2")
    for speaker, wh in ((field, 1000), (other, 2000)):
        begin = (reading(minute(0), 0, "Transaction.Begin"),)
        await speaker.start(None, at=minute(0), transaction=Transaction(ref="tx-1"), seq=0,
                            readings=begin)  # fmt: skip
        await speaker.update("tx-1", 1, at=minute(1), readings=(reading(minute(1), wh),))
    end = (reading(minute(2), 5000, "Transaction.End"),)
    await other.stop(None, None, at=minute(2), transaction=Transaction(ref="tx-1"), seq=2,
                     readings=end)  # fmt: skip
    found = {s.station_id: (s.state, s.energy_wh) for s in await field.sessions()}
    assert found == {"CP1": ("ACTIVE", 1000), "CP2": ("COMPLETED", 5000)}


# --- stops -----------------------------------------------------------------------------------


async def test_q10_a_repeated_stop_is_idempotent(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    for _ in range(3):
        await field.stop(answer.number, 3000, at=minute(5))
    assert (await field.only()).energy_wh == 2000
    assert (await field.events("SessionClosed"), await field.exceptions()) == (1, [])


async def test_q10_a_second_stop_with_another_register_keeps_the_first_and_is_listed(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.stop(answer.number, 3000, at=minute(5))
    await field.stop(answer.number, 8000, at=minute(6))
    session = await field.only()
    assert (session.energy_wh, "stop_conflict" in session.flags) == (2000, True)
    assert await field.exceptions() == ["stop_conflict"]
    assert await field.events("SessionClosed") == 1


async def test_q11_a_stop_whose_start_was_lost_makes_one_session_that_is_held(
    field: Field,
) -> None:
    data = (
        reading(minute(0), 1000, "Transaction.Begin"),
        reading(minute(5), 4000, "Transaction.End"),
    )
    for _ in range(2):
        await field.stop(-1, 4000, at=minute(5), readings=data, tag="CARD1")
    session = await field.only()
    assert (session.state, session.energy_wh, session.held) == ("COMPLETED", 3000, True)
    assert (session.started_at, session.contract_id) == (minute(0), "NL-HUB-CARD1")
    assert "incomplete" in session.flags
    assert await field.events("SessionClosed") == 0
    # A person looks, and it is settled as it stands.
    async with field.database.tx() as tx:
        for one in await exceptions(tx):
            await resolve_exception(tx, one.id, "checked with the driver")
    assert (await field.only()).held is False
    assert await field.events("SessionClosed") == 1


async def test_q12_a_stop_that_comes_days_late_ends_at_its_own_time(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    field.clock.at = minute(0) + timedelta(days=4)
    await field.stop(answer.number, 3000, at=minute(45))
    session = await field.only()
    assert (session.ended_at, session.closed_at) == (minute(45), field.clock.at)


async def test_q14_a_clock_in_1970_is_replaced_by_the_receipt_and_its_length_is_kept(
    field: Field,
) -> None:
    answer = await field.start(1000, at=BOOT_1970, received=minute(0))
    again = await field.start(1000, at=BOOT_1970, received=minute(3))
    assert again.number == answer.number
    field.clock.at = minute(90)
    await field.stop(answer.number, 3000, at=BOOT_1970 + timedelta(minutes=30))
    session = await field.only()
    assert (session.started_at, session.ended_at) == (minute(0), minute(30))
    assert (session.start_raw, "clock_wrong" in session.flags) == (BOOT_1970, True)


async def test_q14_a_clock_far_in_the_future_is_replaced_by_the_receipt(field: Field) -> None:
    await field.start(1000, at=minute(60 * 24), received=minute(0))
    assert (await field.only()).started_at == minute(0)


# --- stops that never come ------------------------------------------------------------------


async def _boot(field: Field) -> None:
    booted = StationBooted(
        station=field.station, at=field.clock.now(), protocol="ocpp1.6", vendor="V", model="M"
    )
    async with field.database.tx() as tx:
        await note_boot(tx, booted)


async def _status(field: Field, raw: str) -> None:
    reported = StatusReported(
        station=field.station, at=field.clock.now(), evse=1, connector=1,
        status="AVAILABLE" if raw == "Available" else "CHARGING", raw=raw,
    )  # fmt: skip
    async with field.database.tx() as tx:
        await note_status(tx, reported)


async def _grace_ends(field: Field) -> None:
    field.clock.at += timedelta(minutes=2)
    session = (await field.sessions())[0]
    async with field.database.tx() as tx:
        await close_abandoned.run(tx, SessionAbandoned(session_id=session.id))


async def test_q13_after_a_boot_an_available_connector_ends_its_session_on_the_last_value(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.meters(answer.number, reading(minute(10), 4200))
    field.clock.at = minute(20)
    await _boot(field)
    assert (await field.only()).state == "ACTIVE"
    await _status(field, "Available")
    await _grace_ends(field)
    session = await field.only()
    assert (session.state, session.energy_wh, session.stop_reason) == (
        "COMPLETED", 3200, "PowerLoss",
    )  # fmt: skip
    assert (session.estimated, session.ended_at) == (True, minute(10))
    assert await field.events("SessionClosed") == 1


async def test_q13_the_next_start_on_the_connector_ends_a_session_whose_stop_was_lost(
    field: Field,
) -> None:
    first = await field.start(1000, at=minute(0))
    await field.meters(first.number, reading(minute(10), 2000))
    await _boot(field)
    await field.start(2100, at=minute(30))
    lost, new = await field.sessions()
    assert (lost.state, lost.energy_wh, lost.stop_reason) == ("COMPLETED", 1000, "PowerLoss")
    assert new.state == "ACTIVE"


async def test_q13_a_queued_stop_within_the_grace_wins_over_the_estimate(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.meters(answer.number, reading(minute(10), 4200))
    await _boot(field)
    await _status(field, "Available")
    await field.stop(answer.number, 5000, at=minute(12), reason="PowerLoss")
    await _grace_ends(field)
    session = await field.only()
    assert (session.energy_wh, session.estimated, session.ended_at) == (4000, False, minute(12))
    assert await field.events("SessionClosed") == 1


async def test_q13_a_session_that_goes_on_after_a_boot_is_left_alone(field: Field) -> None:
    answer = await field.start(1000, at=minute(0))
    await _boot(field)
    await _status(field, "Available")
    await field.meters(answer.number, reading(minute(10), 4200))
    await _grace_ends(field)
    assert (await field.only()).state == "ACTIVE"


async def test_q10_the_true_stop_after_an_estimate_corrects_the_energy_and_is_listed(
    field: Field,
) -> None:
    answer = await field.start(1000, at=minute(0))
    await field.meters(answer.number, reading(minute(10), 4200))
    await _status(field, "Available")
    await _grace_ends(field)
    await field.stop(answer.number, 5000, at=minute(12), reason="PowerLoss")
    session = await field.only()
    assert (session.energy_wh, session.estimated, "corrected" in session.flags) == (
        4000, False, True,
    )  # fmt: skip
    assert await field.exceptions() == ["late_stop"]


async def test_q43_a_2x_transaction_whose_end_was_lost_ends_after_the_next_one_started(
    field: Field,
) -> None:
    await field.start(100, at=minute(0), transaction=Transaction(ref="a"), seq=0)
    await field.update("a", 1, at=minute(5), readings=(reading(minute(5), 900),))
    await field.start(900, at=minute(10), transaction=Transaction(ref="b"), seq=0)
    lost, new = await field.sessions()
    assert (lost.state, lost.suspect_since is not None, new.state) == ("ACTIVE", True, "ACTIVE")
    async with field.database.tx() as tx:
        await close_abandoned.run(tx, SessionAbandoned(session_id=lost.id))
        await close_abandoned.run(tx, SessionAbandoned(session_id=new.id))
    lost, new = await field.sessions()
    assert (lost.state, lost.energy_wh, lost.estimated) == ("COMPLETED", 800, True)
    assert new.state == "ACTIVE"


async def test_q43_a_free_evse_ends_a_2x_transaction_that_is_not_heard_of_again(
    field: Field,
) -> None:
    await field.start(100, at=minute(0), transaction=Transaction(ref="a"), seq=0)
    await field.update("a", 1, at=minute(5), readings=(reading(minute(5), 900),))
    await _status(field, "Available")
    await _grace_ends(field)
    session = await field.only()
    assert (session.state, session.energy_wh, session.estimated) == ("COMPLETED", 800, True)


async def test_q43_a_2x_transaction_that_goes_on_beside_another_is_left_alone(
    field: Field,
) -> None:
    await field.start(100, at=minute(0), transaction=Transaction(ref="a"), seq=0)
    await field.start(900, at=minute(10), transaction=Transaction(ref="b"), seq=0)
    await field.update("a", 1, at=minute(11), readings=(reading(minute(11), 900),))
    await _grace_ends(field)
    assert [one.state for one in await field.sessions()] == ["ACTIVE", "ACTIVE"]


# --- 2.x: any order --------------------------------------------------------------------------


async def test_q42_an_updated_that_overtakes_its_started_opens_the_one_session(
    field: Field,
) -> None:
    await field.update("t", 1, at=minute(5), tag="CARD1", readings=(reading(minute(5), 900),))
    await field.start(
        None, at=minute(0), transaction=Transaction(ref="t"), seq=0,
        readings=(reading(minute(0), 100, "Transaction.Begin"),),
    )  # fmt: skip
    session = await field.only()
    assert (session.state, session.energy_wh, session.started_at) == ("ACTIVE", 800, minute(0))
    assert "start_missing" not in session.flags


async def test_q42_an_ended_that_overtakes_its_started_is_held_until_it_comes(
    field: Field,
) -> None:
    tx1 = Transaction(ref="t")
    end = (reading(minute(9), 900, "Transaction.End"),)
    await field.stop(None, None, at=minute(9), transaction=tx1, seq=1, readings=end)
    assert ((await field.only()).held, await field.events("SessionClosed")) == (True, 0)
    await field.start(
        None, at=minute(0), transaction=tx1, seq=0,
        readings=(reading(minute(0), 100, "Transaction.Begin"),),
    )  # fmt: skip
    session = await field.only()
    assert (session.state, session.energy_wh, session.held) == ("COMPLETED", 800, False)
    assert (session.contract_id, session.started_at) == ("NL-HUB-CARD1", minute(0))
    assert (await field.events("SessionClosed"), await field.exceptions()) == (1, [])


async def test_q42_an_event_after_the_ended_does_not_wake_the_session(field: Field) -> None:
    tx1 = Transaction(ref="t")
    begin = (reading(minute(0), 0, "Transaction.Begin"),)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin)
    end = (reading(minute(9), 900, "Transaction.End"),)
    await field.stop(None, None, at=minute(9), transaction=tx1, seq=1, readings=end)
    await field.update("t", 2, at=minute(10), readings=(reading(minute(10), 2000),))
    session = await field.only()
    assert (session.state, session.energy_wh) == ("COMPLETED", 900)
    assert "after_end" in session.flags


async def test_q42_without_an_end_register_a_gap_of_events_is_waited_for(field: Field) -> None:
    tx1 = Transaction(ref="t")
    begin = (reading(minute(0), 0, "Transaction.Begin"),)
    await field.start(None, at=minute(0), transaction=tx1, seq=0, readings=begin)
    await field.stop(None, None, at=minute(9), transaction=tx1, seq=2)
    assert ((await field.only()).held, await field.exceptions()) == (True, ["held_session"])
    await field.update("t", 1, at=minute(8), readings=(reading(minute(8), 800),))
    session = await field.only()
    assert (session.energy_wh, session.held, session.estimated) == (800, False, True)
    assert (await field.events("SessionClosed"), await field.exceptions()) == (1, [])


async def test_e_the_evse_and_the_token_may_come_only_in_a_later_updated(field: Field) -> None:
    tx1 = Transaction(ref="t")
    await field.start(
        None, at=minute(0), transaction=tx1, seq=0, tag=None, evse=None, connector=None,  # type: ignore[arg-type]
        readings=(reading(minute(0), 0, "Transaction.Begin"),),
    )  # fmt: skip
    assert (await field.only()).state == "PENDING"
    await field.update("t", 1, at=minute(2), evse=1, connector=1)
    answer = await field.update("t", 2, at=minute(3), tag="CARD1")
    assert answer.token is not None
    assert answer.token.status == "Accepted"
    session = await field.only()
    assert (session.state, session.evse, session.started_at) == ("ACTIVE", 1, minute(3))
    assert session.contract_id == "NL-HUB-CARD1"


async def test_i_an_unknown_identifier_in_a_transaction_event_is_not_accepted(
    field: Field,
) -> None:
    answer = await field.start(None, at=minute(0), transaction=Transaction(ref="t"), seq=0,
                               tag="STRANGER")  # fmt: skip
    assert answer.token is not None
    assert answer.token.status == "Invalid"
    assert (await field.only()).state == "PENDING"


async def test_q43_an_evse_repeated_on_every_event_is_harmless(field: Field) -> None:
    tx1 = Transaction(ref="t")
    await field.start(None, at=minute(0), transaction=tx1, seq=0)
    for seq in (1, 1, 2):
        await field.update("t", seq, at=minute(seq), evse=1, connector=1)
    assert (await field.only()).evse == 1


# --- a database that fails -------------------------------------------------------------------


async def test_k_a_database_error_is_raised_and_accepts_nobody(field: Field) -> None:
    started = TransactionStarted(
        station=field.station, transaction=Transaction(), at=minute(0), received_at=minute(0),
        evse=1, connector=1, token=IdToken("CARD1"), meter_start=Decimal(0),
    )  # fmt: skip
    asked = AuthorizeAsked(station=field.station, token=IdToken("CARD1"), evse=1)
    with psycopg.connect(field.database.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE charging.token RENAME TO gone")
        with pytest.raises(psycopg.Error):
            await field.authorizer.decide(asked)
        connection.execute("ALTER TABLE charging.gone RENAME TO token")
        connection.execute("ALTER TABLE charging.session RENAME TO gone")
        with pytest.raises(psycopg.Error):
            async with field.database.tx() as tx:
                await open_session(tx, started, None)


async def test_a_signed_value_is_kept_beside_its_plain_one(field: Field) -> None:
    answer = await field.start(0, at=minute(0))
    plain, signed = reading(minute(1), 100), reading(minute(1), 100, signed="OCMF|{}|{}")
    assert await field.meters(answer.number, plain, signed) == 2
    assert await field.meters(answer.number, plain, signed) == 0
