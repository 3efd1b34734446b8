"""A car as a station's meter sees it: state of charge, a power curve, exact energy.

Energy is counted in whole millijoules, so that registers never drift.
"""

from __future__ import annotations

from itertools import pairwise

_MJ_PER_WH = 3_600_000
CURVE = ((0, 100), (55, 100), (80, 55), (90, 25), (100, 8))
"""State of charge in percent against power in percent of the car's best, linear in between."""


class Car:
    """A battery that takes what station and curve allow, until it is full."""

    def __init__(
        self, *, capacity_wh: int = 60_000, soc: int = 20, max_power_w: int = 11_000
    ) -> None:
        self.capacity_wh = capacity_wh
        self.max_power_w = max_power_w
        self._stored_mj = capacity_wh * _MJ_PER_WH * soc // 100

    @property
    def soc(self) -> int:
        """State of charge in whole percent."""
        return self._stored_mj * 100 // (self.capacity_wh * _MJ_PER_WH)

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self._stored_mj >= self.capacity_wh * _MJ_PER_WH

    def power_w(self, limit_w: int) -> int:
        """The power that the car asks for now, at most ``limit_w``."""
        return 0 if self.full else min(limit_w, self.max_power_w * self._share() // 100)

    def draw(self, milliseconds: int, limit_w: int, at_most_mj: int | None = None) -> int:
        """Millijoules taken within ``milliseconds`` at no more than ``limit_w``."""
        room = self.capacity_wh * _MJ_PER_WH - self._stored_mj
        taken = min(room, self.power_w(limit_w) * milliseconds)
        if at_most_mj is not None:
            taken = min(taken, at_most_mj)
        self._stored_mj += taken
        return taken

    def _share(self) -> int:
        for (low, power), (high, later) in pairwise(CURVE):
            if self.soc <= high:
                return power + (later - power) * (self.soc - low) // (high - low)
        return CURVE[-1][1]


class Meter:
    """The register of one EVSE: it only ever goes up."""

    def __init__(self, start_wh: int = 0) -> None:
        self._mj = start_wh * _MJ_PER_WH

    @property
    def wh(self) -> int:
        """The register in whole Wh, as a station prints it."""
        return self._mj // _MJ_PER_WH

    def add(self, millijoules: int) -> None:
        """Count energy that went through."""
        self._mj += millijoules

    def left_until(self, wh: int) -> int:
        """Millijoules until the register shows ``wh``."""
        return max(0, wh * _MJ_PER_WH - self._mj)
