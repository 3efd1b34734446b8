"""What a partner and we may exchange: everything by default, or only what was agreed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from hub.kernel import new_id
from hub.runtime import Tx


async def agree(tx: Tx, partner_id: UUID, module: str, *, until: datetime | None = None) -> None:
    """Allow ``module`` between a partner and us from now on, or prolong the agreement."""
    await tx.run(
        """INSERT INTO parties.agreement
             (id, tenant_id, partner_id, module, valid_from, valid_until)
           VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (partner_id, module) DO UPDATE SET valid_until = EXCLUDED.valid_until""",
        new_id(), tx.tenant, partner_id, module, tx.now, until,
    )  # fmt: skip


async def end_agreement(tx: Tx, partner_id: UUID, module: str) -> None:
    """End the agreement about ``module`` now."""
    await tx.run(
        "UPDATE parties.agreement SET valid_until = %s WHERE partner_id = %s AND module = %s",
        tx.now, partner_id, module,
    )  # fmt: skip


async def may_exchange(
    tx: Tx, partner_id: UUID, module: str, *, default: Literal["open", "closed"]
) -> bool:
    """Whether a partner and we may exchange ``module`` now.

    ``open``: two registered parties may; ``closed``: only under a valid agreement.
    """
    if default == "open":
        return True
    return bool(
        await tx.value(
            """SELECT EXISTS (SELECT 1 FROM parties.agreement
               WHERE partner_id = %s AND module = %s AND valid_from <= %s
                 AND (valid_until IS NULL OR valid_until > %s))""",
            partner_id, module, tx.now, tx.now,
        )
    )  # fmt: skip
