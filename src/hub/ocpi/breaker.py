"""A partner that is down is left alone for a while, so that it costs the others nothing (HUB-7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from hub.kernel import HubError

_FAILURES: Final = 5
_PAUSE: Final = 30.0


class PartnerDown(HubError):
    """A partner whose last calls all failed; it is tried again after a pause."""

    code = "partner_down"
    status = 503

    def __init__(self, partner_id: UUID) -> None:
        super().__init__(partner_id)
        self.partner_id = partner_id

    def __str__(self) -> str:
        return f"partner {self.partner_id} was unreachable {_FAILURES} times in a row; waiting"


class Breakers:
    """Counts failures in a row per partner. Times are monotonic, of this process alone."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: dict[UUID, int] = {}
        self._until: dict[UUID, float] = {}

    def check(self, partner_id: UUID) -> None:
        """Raise ``PartnerDown`` while the partner is left alone; one trial call ends the pause."""
        if self._until.get(partner_id, 0.0) > self._now():
            raise PartnerDown(partner_id)

    def failed(self, partner_id: UUID) -> None:
        """Note a call that got no answer."""
        self._failures[partner_id] = self._failures.get(partner_id, 0) + 1
        if self._failures[partner_id] >= _FAILURES:
            self._until[partner_id] = self._now() + _PAUSE

    def worked(self, partner_id: UUID) -> None:
        """Note a call that got any answer."""
        self._failures.pop(partner_id, None)
        self._until.pop(partner_id, None)
