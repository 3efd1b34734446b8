"""The price of a session so far, by the tariff that was frozen at its start.

Pricing itself is ``hub.tariffs``; this module only brings a session to it. ``settlement`` prices
the ended session for its CDR and leaves that price here (``note_price``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from hub.charging.energy import Sample
from hub.charging.model import Session
from hub.charging.periods import periods_of, states_of
from hub.charging.store import samples_of
from hub.runtime import Tx
from hub.tariffs import load_tariff, price

PRICE_EVERY: Final = timedelta(seconds=10)
"""How fresh the price of a running session is kept, at most."""


async def running_price(
    tx: Tx,
    session: Session,
    *,
    samples: Sequence[Sample] = (),
    states: Sequence[tuple[datetime, str]] = (),
) -> Session:
    """``session`` with its price so far, computed anew at most every ``PRICE_EVERY``.

    ``samples`` and ``states`` are those of messages that are not stored yet.
    """
    if session.priced_at is not None and tx.now - session.priced_at < PRICE_EVERY:
        return session
    return await priced(tx, session, samples=samples, states=states)


async def priced(
    tx: Tx,
    session: Session,
    *,
    samples: Sequence[Sample] = (),
    states: Sequence[tuple[datetime, str]] = (),
) -> Session:
    """``session`` with its price to its end or to now, when it has a tariff.

    ``samples`` and ``states`` are those of a message that is not stored yet.
    """
    if session.tariff_id is None or session.tariff_version is None:
        return session
    tariff = await load_tariff(tx, session.tariff_id, session.tariff_version)
    known = sorted([*await samples_of(tx, session.id), *samples], key=lambda s: s.at)
    changes = sorted([*await states_of(tx, session), *states])
    found = price(tariff, periods_of(session, known, changes), time_zone=session.time_zone)
    return replace(
        session,
        price_excl=found.total_excl.amount,
        price_incl=found.total_incl.amount,
        priced_at=tx.now,
    )


async def note_price(tx: Tx, session_id: UUID, excl: Decimal, incl: Decimal) -> None:
    """Show the final price of an ended session, as its CDR has it."""
    await tx.run(
        """UPDATE charging.session SET price_excl = %s, price_incl = %s, priced_at = %s
           WHERE id = %s""",
        excl, incl, tx.now, session_id,
    )  # fmt: skip
