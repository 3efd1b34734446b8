"""P11, CDR pricing: sessions priced per second on one core, and growth with the periods.

Floor: 20 Decimal multiplications and their sum. Candidate: 20 periods under a tariff of two
windows with weekdays, ENERGY, PARKING_TIME and FLAT, step size and VAT. Prints one JSON object.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hub.tariffs import Period, Tariff, price, tariff_of_ocpi

WEEK = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]
GOAL = 15_000


def bench_tariff() -> Tariff:
    """Day and night on weekdays, with a fallback window, fees, parking and VAT."""
    day = [
        {"type": "FLAT", "price": "0.50", "vat": 19, "step_size": 1},
        {"type": "ENERGY", "price": "0.49", "vat": 19, "step_size": 100},
        {"type": "PARKING_TIME", "price": "6.00", "vat": 19, "step_size": 300},
    ]
    night = [
        {"type": "FLAT", "price": "0.50", "vat": 19, "step_size": 1},
        {"type": "ENERGY", "price": "0.39", "vat": 19, "step_size": 100},
        {"type": "PARKING_TIME", "price": "3.00", "vat": 19, "step_size": 300},
    ]
    window = {"start_time": "08:00", "end_time": "20:00", "day_of_week": WEEK}
    elements = [
        {"price_components": day, "restrictions": window},
        {"price_components": night, "restrictions": {"start_time": "20:00", "end_time": "08:00"}},
    ]
    return tariff_of_ocpi({"id": "P11", "currency": "EUR", "elements": elements})


def bench_session(count: int, start: datetime) -> list[Period]:
    """A session of ``count`` quarter hours over the evening's change of price, the end parked."""
    periods = []
    for number in range(count):
        parked = number >= count * 4 // 5
        begin = start + timedelta(minutes=15 * number)
        wh = Decimal(0) if parked else Decimal(2750 + number % 7)
        periods.append(
            Period(begin, begin + timedelta(minutes=15), wh, "PARKING" if parked else "CHARGING")
        )
    return periods


def floor() -> Decimal:
    """Twenty products and their sum, the least that any pricing does."""
    return sum((wh * rate for wh, rate in _PAIRS), Decimal(0))


_PAIRS = [(Decimal(2750 + n), Decimal("0.49")) for n in range(20)]


def best(work: Callable[[], object], rounds: int, times: int = 7) -> float:
    """Least CPU seconds per call over several rounds."""
    spent = []
    for _ in range(times):
        begun = time.process_time()
        for _ in range(rounds):
            work()
        spent.append((time.process_time() - begun) / rounds)
    return min(spent)


def main() -> None:
    """Measure and print; fails when what is priced is not what was meant."""
    tariff = bench_tariff()
    start = datetime(2026, 6, 3, 15, 7, tzinfo=UTC)
    # Sessions of forty different days, so that a kept day does not flatter the result.
    short = [bench_session(20, start + timedelta(days=n)) for n in range(40)]
    long = bench_session(1000, start)
    checked = price(tariff, short[0], time_zone="Europe/Berlin")
    if len(checked.lines) < 3 or len({line.element for line in checked.lines}) != 2:
        raise SystemExit("the session no longer crosses its windows")
    turn = iter(range(1 << 60))

    def candidate() -> object:
        return price(tariff, short[next(turn) % 40], time_zone="Europe/Berlin")

    least = best(floor, 5_000)
    twenty = best(candidate, 1_000)
    thousand = best(lambda: price(tariff, long, time_zone="Europe/Berlin"), 30)
    result = {
        "goal": "P11",
        "floor_us": round(least * 1e6, 2),
        "candidate_us": round(twenty * 1e6, 2),
        "ratio": round(least / twenty, 4),
        "cdr_per_second_per_core": round(1 / twenty),
        "goal_cdr_per_second_per_core": GOAL,
        "thousand_periods_us": round(thousand * 1e6, 1),
        "growth_20_to_1000": round(thousand / twenty, 1),
        "goal_growth": 60,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
