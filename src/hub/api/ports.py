"""What this door needs from outside, given by ``hub.app``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from litestar.di import NamedDependency

from hub.runtime import Bus, Database, Settings, Tx
from hub.runtime.vault import Vault


class ActionCatalogue(Protocol):
    """The OCPP actions that a CSMS may send, and their schemas, by version."""

    def actions(self, protocol: str) -> Sequence[str]:
        """Every CSMS-initiated action of ``ocpp1.6``, ``ocpp2.0.1``, ..., sorted."""
        ...

    def check(self, protocol: str, action: str, payload: bytes) -> str | None:
        """What the action's schema says against ``payload``, or ``None`` when it fits."""
        ...


@dataclass(frozen=True)
class Wiring:
    """The things handlers work with."""

    settings: Settings
    database: Database
    bus: Bus
    catalogue: ActionCatalogue
    vault: Vault


Work = NamedDependency[Tx]
"""The handler's transaction: the caller's tenant, committed before the answer is sent."""

Wired = NamedDependency[Wiring]
"""The handler's wiring."""
