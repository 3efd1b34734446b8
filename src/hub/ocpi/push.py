"""Pushes to partners: sessions, CDRs, EVSE status, locations and tariffs, in order per object.

What is sent is what is true when it is sent, so that late and repeated jobs do no harm; an object
that the partner has already in this form is not sent again (L-13, D9). Only partners that serve
the Receiver of a module are pushed to.
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

from hub.charging.events import SessionClosed, SessionOpened, SessionUpdated
from hub.kernel import NotFound, encode
from hub.ocpi.cdr_reading import cdr_of_partner
from hub.ocpi.client import Line, OcpiClient, PartnerRefused
from hub.ocpi.events import CdrPushWanted, PushWanted
from hub.ocpi.session_reading import session_of_partner
from hub.parties import endpoint_of, may_exchange, partners_with
from hub.runtime import Database, Retry, Settings, Tx, job
from hub.settlement import CdrIssued
from hub.stations.events import EvseStatusChanged, LocationChanged
from hub.stations.locations import location
from hub.tariffs import TariffChanged, TariffDeleted, load_tariff

STATE_RETRY: Final = Retry(attempts=12, first=2, longest=900)
CDR_RETRY: Final = Retry(attempts=60, first=2, longest=3600)

_MODULE: Final = {
    "session": "sessions", "evse": "locations", "location": "locations", "tariff": "tariffs",
}  # fmt: skip


def _roams(event: SessionOpened | SessionUpdated | SessionClosed | CdrIssued) -> bool:
    return event.partner_id is not None


@job("ocpi.session_opened", SessionOpened, when=_roams)
async def session_opened(tx: Tx, event: SessionOpened) -> None:
    """A session of a partner's driver began."""
    await _want_session(tx, event.partner_id, event.session_id)


@job("ocpi.session_updated", SessionUpdated, when=_roams)
async def session_updated(tx: Tx, event: SessionUpdated) -> None:
    """A session of a partner's driver went on."""
    await _want_session(tx, event.partner_id, event.session_id)


@job("ocpi.session_closed", SessionClosed, when=_roams)
async def session_closed(tx: Tx, event: SessionClosed) -> None:
    """A session of a partner's driver ended."""
    await _want_session(tx, event.partner_id, event.session_id)


@job("ocpi.cdr_issued", CdrIssued, when=_roams)
async def cdr_issued(tx: Tx, event: CdrIssued) -> None:
    """A CDR was issued: it goes to the owner of its token alone (CD-15)."""
    if event.partner_id is not None:
        tx.emit(CdrPushWanted(
            tenant_id=tx.tenant, partner_id=event.partner_id, cdr_id=event.cdr_id
        ))  # fmt: skip


@job("ocpi.evse_status_changed", EvseStatusChanged)
async def evse_status_changed(tx: Tx, event: EvseStatusChanged) -> None:
    """An EVSE's status changed: every partner that takes locations hears it."""
    if event.location_id is not None and event.evse_uid is not None:
        await _want_all(tx, "evse", f"{event.location_id}/{event.evse_uid}")


@job("ocpi.location_changed", LocationChanged)
async def location_changed(tx: Tx, event: LocationChanged) -> None:
    """A location changed: every partner that takes locations gets it whole."""
    await _want_all(tx, "location", event.location_id)


@job("ocpi.tariff_changed", TariffChanged)
async def tariff_changed(tx: Tx, event: TariffChanged) -> None:
    """A tariff changed: every partner that takes tariffs gets it."""
    await _want_all(tx, "tariff", event.tariff_id)


@job("ocpi.tariff_deleted", TariffDeleted)
async def tariff_deleted(tx: Tx, event: TariffDeleted) -> None:
    """A tariff is no longer offered: who has it is told to delete it."""
    await _want_all(tx, "tariff", event.tariff_id)


async def _want_session(tx: Tx, partner_id: UUID | None, session_id: UUID) -> None:
    if partner_id is not None:
        _want(tx, partner_id, "session", str(session_id))


async def _want_all(tx: Tx, kind: str, object_id: str) -> None:
    for partner in await partners_with(tx, _MODULE[kind], "RECEIVER"):
        _want(tx, partner.id, kind, object_id)


def _want(tx: Tx, partner_id: UUID, kind: str, object_id: str) -> None:
    wanted = PushWanted(tenant_id=tx.tenant, partner_id=partner_id, kind=kind, object_id=object_id)
    tx.emit(wanted)


class Push:
    """Delivers what is wanted."""

    def __init__(self, database: Database, client: OcpiClient, settings: Settings) -> None:
        self._database = database
        self._client = client
        self._settings = settings

    async def deliver(self, event: PushWanted) -> None:
        """Bring one object at one partner up to date. Raises what the partner or the way did."""
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            line = await self._line(tx, event.partner_id, _MODULE[event.kind])
            if line is None:
                return
            wire = await self._present(tx, line, event)
            digest = b"" if wire is None else _digest(wire)
            delivered = await _delivered(tx, event.partner_id, event.kind, event.object_id)
        if delivered == digest or (wire is None and delivered is None):
            return
        await self._send(line, event, wire)
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            await _note(tx, event.partner_id, event.kind, event.object_id, digest=digest)

    async def _send(self, line: Line, event: PushWanted, wire: object | None) -> None:
        module = _MODULE[event.kind]
        owner = (line.ours.country_code, line.ours.party_id) if line.ours else ("", "")
        url = line.url(module, "RECEIVER", *owner, *event.object_id.split("/"))
        if wire is None and event.kind == "tariff":
            await self._client.call(line, module, "DELETE", url)
        elif event.kind == "evse":
            await self._patch_status(line, url, wire)
        elif wire is not None:
            await self._client.call(line, module, "PUT", url, body=wire)

    async def _line(self, tx: Tx, partner_id: UUID, module: str) -> Line | None:
        """The line to a partner that takes ``module``, or ``None``: then nothing is owed."""
        default = self._settings.roaming_default
        if await endpoint_of(tx, partner_id, module, "RECEIVER") is None:
            return None
        if not await may_exchange(tx, partner_id, module, default=default):
            return None
        try:
            line = await self._client.line(tx, partner_id)
        except NotFound:
            return None
        return None if line.partner.state == "SUSPENDED" else line

    async def _present(self, tx: Tx, line: Line, event: PushWanted) -> object | None:
        """The object as it is now, in the partner's version; ``None`` when it is gone."""
        if event.kind == "session":
            session = await session_of_partner(tx, event.partner_id, UUID(event.object_id))
            return None if session is None else line.dialect.session.lower(session)
        try:
            if event.kind == "tariff":
                return line.dialect.tariff.lower(await load_tariff(tx, event.object_id))
            place = await location(tx, event.object_id.split("/")[0])
        except NotFound:
            return None
        if event.kind == "location":
            return line.dialect.location.lower(place)
        uid = event.object_id.partition("/")[2]
        evse = next((one for one in place.evses if one.uid == uid), None)
        return None if evse is None else line.dialect.evse.lower(evse)

    async def _patch_status(self, line: Line, url: str, wire: object) -> None:
        """PATCH the status; the whole EVSE when the partner does not have it yet (HUB-15)."""
        changes = {
            "status": getattr(wire, "status", None),
            "last_updated": getattr(wire, "last_updated", None),
        }
        try:
            await self._client.call(line, "locations", "PATCH", url, body=changes)
        except PartnerRefused as refused:
            if refused.http != 404 and refused.status_code != 2003:
                raise
            await self._client.call(line, "locations", "PUT", url, body=wire)

    async def deliver_cdr(self, event: CdrPushWanted) -> None:
        """POST a CDR and keep the address that the partner gives it (CD-1)."""
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            line = await self._line(tx, event.partner_id, "cdrs")
            cdr = await cdr_of_partner(tx, event.partner_id, event.cdr_id)
            if line is None or cdr is None:
                return
            if await _delivered(tx, event.partner_id, "cdr", str(event.cdr_id)) is not None:
                return
        wire = line.dialect.cdr.lower(cdr)
        url = line.url("cdrs", "RECEIVER")
        heard = await self._client.call(line, "cdrs", "POST", url, body=wire)
        where = heard.headers.get("location")
        async with self._database.tx(event.tenant_id, actor="ocpi") as tx:
            await _note(
                tx, event.partner_id, "cdr", str(event.cdr_id), digest=_digest(wire), where=where
            )


def _digest(wire: object) -> bytes:
    return hashlib.sha256(encode(wire)).digest()


async def _delivered(tx: Tx, partner_id: UUID, kind: str, object_id: str) -> bytes | None:
    """The digest of what the partner has of an object, or ``None`` when it has nothing."""
    known = await tx.value(
        "SELECT hash FROM ocpi.delivery WHERE partner_id = %s AND kind = %s AND object_id = %s",
        partner_id, kind, object_id,
    )  # fmt: skip
    return None if known is None else bytes(known)


async def _note(
    tx: Tx, partner_id: UUID, kind: str, object_id: str, *, digest: bytes, where: str | None = None
) -> None:
    await tx.run(
        """INSERT INTO ocpi.delivery (tenant_id, partner_id, kind, object_id, hash, at, location)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (partner_id, kind, object_id) DO UPDATE
             SET hash = excluded.hash, at = excluded.at, location = excluded.location""",
        tx.tenant, partner_id, kind, object_id, digest, tx.now, where,
    )  # fmt: skip
