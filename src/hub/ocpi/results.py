"""The results of partners' commands: decided once, delivered until the partner has heard (CO-2).

Decided by the station's answer, by the session that it started, or by the timer: whichever is
first (CO-4).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from hub.charging.events import SessionOpened
from hub.kernel import decode
from hub.ocpi import objects
from hub.ocpi.client import OcpiClient, PartnerRefused
from hub.ocpi.events import CommandTimedOut, ResultDue
from hub.ocpi.headers import PartyRef
from hub.runtime import Database, Retry, Tx, correlated, job
from hub.stations.commands import NeutralReply, command
from hub.stations.events import CommandAnswered

DELIVERY_RETRY: Final = Retry(attempts=8, first=2, longest=120)

_RESULTS: Final = {
    "Accepted": "ACCEPTED", "Unlocked": "ACCEPTED", "Rejected": "REJECTED",
    "UnlockFailed": "FAILED", "NotSupported": "NOT_SUPPORTED",
    "OngoingAuthorizedTransaction": "REJECTED", "UnknownConnector": "REJECTED",
}  # fmt: skip


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A result on its way to the partner that gave the command."""

    partner_id: UUID
    response_url: str
    to_country: str
    to_party: str
    result: str
    result_text: str | None
    trace: str


@job("ocpi.command_timer", CommandTimedOut)
async def command_timer(tx: Tx, event: CommandTimedOut) -> None:
    """End a command whose station stayed silent."""
    await _decide(tx, event.id, "TIMEOUT", "the station did not answer in time")


@job("ocpi.command_answered", CommandAnswered)
async def command_answered(tx: Tx, event: CommandAnswered) -> None:
    """Turn a station's answer into the partner's result, when a partner gave the command."""
    row_id = await tx.value("SELECT id FROM ocpi.command WHERE command_id = %s", event.command_id)
    if row_id is None:
        return
    result, text = "TIMEOUT", "the station did not answer in time"
    if event.status == "answered":
        result, text = _read(await _reply(tx, event.command_id))
    elif event.status == "failed":
        result, text = "FAILED", "the station could not carry it out"
    await _decide(tx, row_id, result, text)


@job("ocpi.command_proved", SessionOpened, when=lambda e: e.partner_id is not None)
async def command_proved(tx: Tx, event: SessionOpened) -> None:
    """A session has begun that a partner's START_SESSION asked for: that is its result too."""
    if event.partner_id is None:
        return
    row_id = await tx.value(
        """SELECT c.id FROM ocpi.command c JOIN charging.v_session s ON s.station_id = c.station_id
             AND upper(s.token_uid) = upper(c.token_uid)
           WHERE s.id = %s AND c.partner_id = %s AND c.kind = 'START_SESSION'
             AND c.result IS NULL ORDER BY c.id DESC LIMIT 1""",
        event.session_id, event.partner_id,
    )  # fmt: skip
    if row_id is not None:
        await _decide(tx, row_id, "ACCEPTED", "")


async def _reply(tx: Tx, command_id: UUID) -> bytes:
    return (await command(tx, command_id)).reply or b""


def _read(reply: bytes) -> tuple[str, str]:
    try:
        status = decode(reply, NeutralReply).status
    except msgspec.DecodeError:
        return "FAILED", "the station's answer could not be read"
    result = _RESULTS.get(status, "FAILED")
    return result, "" if result == "ACCEPTED" else f"the station answered {status}"


async def _decide(tx: Tx, row_id: UUID, result: str, text: str) -> None:
    decided = await tx.run(
        """UPDATE ocpi.command SET result = %s, result_text = %s
           WHERE id = %s AND result IS NULL AND response = 'ACCEPTED'""",
        result, text or None, row_id,
    )  # fmt: skip
    if decided:
        tx.emit(ResultDue(tenant_id=tx.tenant, id=row_id))


class Results:
    """Delivers results to the addresses that partners gave."""

    def __init__(self, database: Database, client: OcpiClient) -> None:
        self._database = database
        self._client = client

    async def deliver(self, event: ResultDue) -> None:
        """POST the result, unwrapped (CO-2). A partner that refuses it has heard it."""
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            due = await tx.one(
                Due,
                """SELECT partner_id, response_url, to_country, to_party, result, result_text, trace
                   FROM ocpi.command WHERE id = %s AND delivered_at IS NULL""",
                event.id,
            )
            if due is None:
                return
            to = PartyRef(due.to_country, due.to_party)
            line = await self._client.line(tx, due.partner_id, to=to)
        body = line.dialect.command_result.lower(objects.CommandResult(due.result, due.result_text))
        with correlated(due.trace):
            try:
                await self._client.call(line, "commands", "POST", due.response_url, body=body)
            except PartnerRefused as refused:
                if refused.http >= 500:
                    raise
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            await tx.run(
                "UPDATE ocpi.command SET delivered_at = %s WHERE id = %s", tx.now, event.id
            )
