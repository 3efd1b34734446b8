"""What the console looks like, as far as a machine can judge: contrasts, curves, words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hub.api.sessions import ReadingRow
from hub.console.curve import HEIGHT, WIDTH, curve_of
from hub.console.pages import asset
from hub.console.words import ago, kwh, minor, money, since

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def reading(minute: int, value: str, measurand: str, phase: str | None = None) -> ReadingRow:
    return ReadingRow(
        at=START + timedelta(minutes=minute), measurand=measurand, phase=phase, unit="",
        context="Sample.Periodic", value=Decimal(value),
    )  # fmt: skip


def schemes() -> list[dict[str, str]]:
    """The colours of the light scheme, and of the dark one over it."""
    css = asset("style.css").decode()
    light, dark = re.findall(r":root \{(.*?)\n *\}", css, re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return [found, found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [("ink", "paper"), ("ink", "card"), ("dim", "paper"), ("dim", "card"), ("brand", "card"),
     ("brand", "brand-soft"), ("brand-ink", "brand"), ("good", "good-soft"),
     ("busy", "busy-soft"), ("warn", "warn-soft"), ("bad", "bad-soft"), ("idle", "idle-soft"),
     ("bad", "card"), ("brand", "warn-soft")],
)  # fmt: skip
def test_text_keeps_the_contrast_of_wcag_aa(scheme: int, ink: str, paper: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[ink], colours[paper]) >= 4.5


def test_a_curve_spans_the_session_and_stays_inside_its_frame() -> None:
    rows = [reading(m, str(m * 100), "Energy.Active.Import.Register") for m in range(0, 61, 10)]
    curve = curve_of(rows)
    assert curve is not None
    points = [tuple(map(Decimal, p.split(","))) for p in curve.energy.split()]
    assert (points[0][0], points[-1][0]) == (0, WIDTH)
    assert all(0 <= y <= HEIGHT for _, y in points)
    assert points[0][1] > points[-1][1]
    assert curve.top_energy == "6.00 kWh"
    # 100 Wh a minute is 6 kW, read from the register since no power was measured.
    assert curve.top_power == "6.0 kW"


def test_the_power_of_three_phases_is_their_sum() -> None:
    rows = [
        reading(m, "1000", "Power.Active.Import", phase)
        for m in (0, 10)
        for phase in ("L1", "L2", "L3")
    ]
    curve = curve_of(rows)
    assert curve is not None
    assert curve.top_power == "3.0 kW"
    assert curve.energy == ""


def test_one_instant_makes_no_curve() -> None:
    assert curve_of([]) is None
    assert curve_of([reading(0, "5", "Energy.Active.Import.Register")]) is None


def test_words_for_people() -> None:
    assert money(Decimal("1234.565"), "EUR") == "1,234.57 EUR"
    assert money(None, "EUR") == "\u2013"
    assert minor(-1210, "EUR") == "-12.10 EUR"
    assert kwh(Decimal(7303)) == "7.303 kWh"
    assert since(START, START + timedelta(hours=2, minutes=3)) == "2 h 03 min"
    assert ago(START, START + timedelta(minutes=5)) == "5 min ago"
    assert ago(None, START) == "never"
