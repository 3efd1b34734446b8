"""How values read to people: money, energy, durations, and the colour of a state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from hub.kernel import Money, round_half_up

_STATES: Final = {
    "AVAILABLE": "good", "COMPLETED": "good", "CONNECTED": "good", "approved": "good",
    "answered": "good",
    "CHARGING": "busy", "ACTIVE": "busy", "sent": "busy",
    "RESERVED": "warn", "RESERVATION": "warn", "PENDING": "warn", "BLOCKED": "warn",
    "PLANNED": "warn", "pending": "warn", "queued": "warn", "OFFLINE": "warn",
    "OUTOFORDER": "bad", "INOPERATIVE": "bad", "INVALID": "bad", "SUSPENDED": "bad",
    "refused": "bad", "failed": "bad", "timeout": "bad", "expired": "bad",
}  # fmt: skip

NONE: Final = "\u2013"
_BRIEF: Final = 12

_SHOWN: Final = {"OUTOFORDER": "Out of order", "INOPERATIVE": "Inoperative"}

NAVIGATION: Final = (
    ("/console", "Overview"),
    ("/console/stations", "Stations"),
    ("/console/sessions", "Sessions"),
    ("/console/cdrs", "CDRs"),
    ("/console/books", "Books"),
    ("/console/work", "To decide"),
)


def state_class(state: str) -> str:
    """The colour of a state's dot; the word beside it says the same."""
    return _STATES.get(state, "hollow")


def state_word(state: str) -> str:
    """A state as a word for people."""
    return _SHOWN.get(state, state.replace("_", " ").capitalize())


def brief(name: str) -> str:
    """A long identifier by its beginning, for tables; its page shows it in whole."""
    return name if len(name) <= _BRIEF else f"{name[: _BRIEF - 4]}\u2026"


def money(amount: Decimal | None, currency: str) -> str:
    """An amount in whole minor units with its currency; a dash when there is none."""
    return NONE if amount is None else f"{Money(amount, currency).rounded().amount:,} {currency}"


def minor(amount: int, currency: str) -> str:
    """Whole minor units as money."""
    return f"{Money.of_minor(amount, currency).amount:,} {currency}"


def kwh(energy_wh: Decimal | None) -> str:
    """Energy in kWh with three decimals: every Wh shows."""
    return NONE if energy_wh is None else f"{round_half_up(energy_wh.scaleb(-3), 3):,} kWh"


def when(at: datetime | None) -> str:
    """An instant, short, in UTC."""
    return NONE if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def short(at: datetime) -> str:
    """An instant for tables: day, month, hour and minute, in UTC."""
    return f"{at:%d %b %H:%M}"


def span(seconds: int) -> str:
    """A duration as h, min and s."""
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s"


def since(start: datetime, end: datetime) -> str:
    """How long from ``start`` to ``end``."""
    return span(int((end - start).total_seconds()))


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, roughly; 'never' when it did not happen."""
    if at is None:
        return "never"
    seconds = int((now - at).total_seconds())
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word} ago"
    return "just now"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money, "minor": minor, "kwh": kwh, "when": when, "short": short,
    "ago": ago, "since": since, "brief": brief,
    "state_class": state_class, "state_word": state_word,
}  # fmt: skip
GLOBALS: Final[dict[str, Any]] = {"NAVIGATION": NAVIGATION}
