"""The log of every OCPI leg, in and out, with bodies as they were and secrets removed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from hub.kernel import new_id
from hub.runtime import Tx

_TOKEN: Final = re.compile(rb'("token"\s*:\s*)"(?:[^"\\]|\\.)*"')
_KEPT: Final = 256 << 10


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One request with its answer. ``error`` says why there is no answer."""

    partner_id: UUID | None
    direction: Literal["in", "out"]
    correlation_id: str
    request_id: str
    module: str
    method: str
    url: str
    request: bytes
    response: bytes = b""
    http_status: int | None = None
    status_code: int | None = None
    millis: int = 0
    error: str | None = None


class Message(Leg, frozen=True, kw_only=True):
    """A leg as it was logged."""

    id: UUID
    at: datetime


async def log_leg(tx: Tx, leg: Leg) -> None:
    """Write a leg down. Tokens of the credentials module are masked, bodies kept to 256 KiB."""
    await tx.run(
        """INSERT INTO ocpi.message (id, tenant_id, partner_id, direction, at, millis,
             correlation_id, request_id, module, method, url, http_status, status_code, request,
             response, error)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        new_id(), tx.tenant, leg.partner_id, leg.direction, tx.now, leg.millis,
        leg.correlation_id, leg.request_id, leg.module, leg.method, _plain(leg.url),
        leg.http_status, leg.status_code, _masked(leg.module, leg.request),
        _masked(leg.module, leg.response), _plain(leg.error) if leg.error else None,
    )  # fmt: skip


def _plain(text: str) -> str:
    return text.replace("\0", "")[:2000]


def _masked(module: str, body: bytes) -> bytes:
    kept = body[:_KEPT]
    return _TOKEN.sub(rb'\1"***"', kept) if module == "credentials" else kept


_COLUMNS = ", ".join(Message.__struct_fields__)


async def messages(
    tx: Tx,
    *,
    partner_id: UUID | None = None,
    correlation_id: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Message]:
    """A page of logged legs, newest first, of one partner or one correlation id if given."""
    return await tx.all(
        Message,
        f"""SELECT {_COLUMNS} FROM ocpi.message
            WHERE (%s::uuid IS NULL OR partner_id = %s)
              AND (%s::text IS NULL OR correlation_id = %s)
              AND (%s::uuid IS NULL OR id < %s)
            ORDER BY id DESC LIMIT %s""",
        partner_id, partner_id, correlation_id, correlation_id, before, before, limit,
    )  # fmt: skip


async def prune_messages(tx: Tx, before: datetime) -> int:
    """Delete legs older than ``before``; returns how many."""
    return await tx.run("DELETE FROM ocpi.message WHERE at < %s", before)
