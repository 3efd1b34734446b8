"""Registration with a partner, from either side, and the rotation and end of credentials (C).

Flows: the calls to the partner happen between transactions; a failure leaves the partner as it
was before.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from hub.kernel import HubError, NotFound, decode, new_secret
from hub.ocpi import objects
from hub.ocpi.call import Call
from hub.ocpi.client import Line, OcpiClient, PartnerRefused, PartnerUnreachable, seal_context
from hub.ocpi.dialect import Dialect
from hub.ocpi.envelope import (
    CANNOT_USE_YOURS,
    CLIENT_ERROR,
    INVALID,
    NO_COMMON_VERSION,
    NO_ENDPOINTS,
    Invalid,
    Refused,
    Reply,
    one_object,
)
from hub.ocpi.events import PartnerConnected
from hub.parties import (
    Endpoint,
    Partner,
    PartyClaim,
    PartyTaken,
    connect_partner,
    drop_credentials,
    fade_credentials,
    grant_credential,
    our_parties,
    parties_of,
    partner_by_id,
    plan_partner,
    register_party,
    save_endpoints,
    set_partner_state,
)
from hub.parties.credentials import promote_callback
from hub.parties.partners import forget_partner, remember_style
from hub.runtime import Database, Settings, Tx
from hub.runtime.vault import Vault

log = structlog.get_logger()


class HandshakeFailed(HubError):
    """A handshake that we started and that did not come to an end. ``reason`` says where."""

    code = "handshake_failed"
    status = 502

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"no connection with {self.url}: {self.reason}"


class Version(msgspec.Struct):
    """An entry of a partner's version list."""

    version: str
    url: str


class Offer(msgspec.Struct, frozen=True):
    """What a partner serves in the version chosen."""

    dialect: Dialect
    endpoints: tuple[Endpoint, ...]


class Handshake:
    """Connects partners and us. ``dialects`` in the order of preference, best first."""

    def __init__(
        self,
        database: Database,
        client: OcpiClient,
        vault: Vault,
        settings: Settings,
        *,
        dialects: Sequence[Dialect],
    ) -> None:
        self._database = database
        self._client = client
        self._vault = vault
        self._settings = settings
        self._dialects = dialects

    # As receiver: the partner calls our credentials module.

    async def register(self, call: Call) -> Reply:
        """POST credentials: fetch the partner's endpoints with its token, answer with token C.

        405 when registered already (C-5); an answer that got lost may be asked for again with
        token A until token C is used (C-4).
        """
        if call.credential.kind == "access":
            raise Refused(CLIENT_ERROR, "registered already; use PUT to update", http=405)
        return await self._exchanged(call)

    async def update(self, call: Call) -> Reply:
        """PUT credentials: fetch everything again and exchange both tokens (C-6)."""
        if call.credential.kind != "access":
            raise Refused(CLIENT_ERROR, "not registered yet; use POST", http=405)
        return await self._exchanged(call)

    async def unregister(self, call: Call) -> Reply:
        """DELETE credentials: void all tokens and stop all traffic (C-8)."""
        if call.credential.kind != "access":
            raise Refused(CLIENT_ERROR, "not registered", http=405)
        async with self._database.tx(call.tenant, actor=f"partner:{call.partner.id}") as tx:
            await _cut_off(tx, call.partner.id)
        return Reply()

    async def show(self, call: Call) -> Reply:
        """GET credentials: ours, with the token that the caller has just used (C-9, T-A6)."""
        async with self._database.tx(call.tenant, actor="ocpi") as tx:
            ours = await self._ours(tx, call.token)
        return Reply(data=call.dialect.credentials.lower(ours))

    async def _exchanged(self, call: Call) -> Reply:
        given = call.dialect.credentials.read(call.body)
        async with self._database.tx(call.tenant, actor="ocpi") as tx:
            await _check_roles(tx, call.partner, given.roles)
        line = Line(
            partner=call.partner, dialect=call.dialect, token=given.token,
            style=call.partner.token_style,
        )  # fmt: skip
        try:
            offer = await self._offer(line, given.url)
        except (PartnerRefused, PartnerUnreachable, Invalid, msgspec.DecodeError) as error:
            raise Refused(CANNOT_USE_YOURS, f"your versions could not be read: {error}") from error
        token = new_secret()
        try:
            async with self._database.tx(call.tenant, actor=f"partner:{call.partner.id}") as tx:
                await fade_credentials(tx, call.partner.id)
                await grant_credential(
                    tx, call.partner.id, self._vault.hash_token(token), kind="access"
                )
                await self._store(tx, call.partner.id, given, offer)
                ours = await self._ours(tx, token)
        except PartyTaken as taken:
            raise Refused(INVALID, f"roles: {taken}") from taken
        return Reply(data=call.dialect.credentials.lower(ours))

    # As initiator: we call the partner's credentials module.

    async def connect(
        self,
        tenant: UUID,
        url: str,
        token: str,
        *,
        name: str = "",
        claims: Sequence[PartyClaim] = (),
    ) -> UUID:
        """Register with the platform whose versions are at ``url``, by its token A.

        ``claims`` limits the roles that it may have (empty: whatever it says). Returns the
        partner's id; raises ``HandshakeFailed``, and leaves no partner behind then.
        """
        mine = new_secret()
        async with self._database.tx(tenant, actor="operator") as tx:
            partner_id = await plan_partner(tx, name or url, claims)
            await grant_credential(tx, partner_id, self._vault.hash_token(mine), kind="callback")
            partner = await partner_by_id(tx, partner_id)
        try:
            line = Line(partner=partner, dialect=self._dialects[0], token=token)
            line = await self._spoken(line, url)
            await self._introduce(line, url, "POST", mine)
        except (HubError, msgspec.DecodeError) as error:
            async with self._database.tx(tenant, actor="operator") as tx:
                await forget_partner(tx, partner_id)
            raise HandshakeFailed(url, str(error)) from error
        return partner_id

    async def rotate(self, tenant: UUID, partner_id: UUID) -> None:
        """Exchange the tokens of a connection for new ones (C-7); ``HandshakeFailed``."""
        mine = new_secret()
        async with self._database.tx(tenant, actor="operator") as tx:
            line = await self._client.line(tx, partner_id)
            await grant_credential(tx, partner_id, self._vault.hash_token(mine), kind="callback")
        url = line.partner.versions_url or ""
        try:
            await self._introduce(line, url, "PUT", mine)
        except (HubError, msgspec.DecodeError) as error:
            raise HandshakeFailed(url, str(error)) from error

    async def disconnect(self, tenant: UUID, partner_id: UUID) -> None:
        """Tell the partner that we leave, and void all tokens whatever it says (C-8)."""
        async with self._database.tx(tenant, actor="operator") as tx:
            line = await self._client.line(tx, partner_id)
        try:
            url = line.url("credentials", "SENDER")
            await self._client.call(line, "credentials", "DELETE", url)
        except (PartnerRefused, PartnerUnreachable, NotFound) as error:
            log.warning("ocpi_leave_unheard", partner=str(partner_id), reason=str(error))
        async with self._database.tx(tenant, actor="operator") as tx:
            await _cut_off(tx, partner_id)

    async def _spoken(self, line: Line, url: str) -> Line:
        """The line with the spelling of tokens that this partner takes (T-A7, D1)."""
        try:
            await self._client.call(line, "versions", "GET", url)
        except PartnerRefused as refused:
            if refused.http != 401:
                raise
            raw = msgspec.structs.replace(line, style="raw")
            await self._client.call(raw, "versions", "GET", url)
            async with self._database.tx(line.partner.tenant_id, actor="operator") as tx:
                await remember_style(tx, line.partner.id, "raw")
            return raw
        return line

    async def _introduce(self, line: Line, url: str, method: str, mine: str) -> None:
        offer = await self._offer(line, url)
        partner, tenant = line.partner, line.partner.tenant_id
        target = next((e.url for e in offer.endpoints if e.module == "credentials"), "")
        async with self._database.tx(tenant, actor="operator") as tx:
            body = offer.dialect.credentials.lower(await self._ours(tx, mine))
        heard = await self._client.call(line, "credentials", method, target, body=body)
        given = offer.dialect.credentials.read(one_object(heard.data))
        async with self._database.tx(tenant, actor="operator") as tx:
            await _check_roles(tx, partner, given.roles)
            if method == "PUT":
                await fade_credentials(tx, partner.id)
            await promote_callback(tx, partner.id)
            await self._store(tx, partner.id, given, offer)

    # Both.

    async def _offer(self, line: Line, url: str) -> Offer:
        """The best version that both speak, and what the partner serves in it (V-9, C-3)."""
        heard = await self._client.call(line, "versions", "GET", url)
        listed = {one.version: one.url for one in decode(heard.data, list[Version])}
        dialect = next((one for one in self._dialects if one.version in listed), None)
        if dialect is None:
            ours = ", ".join(one.version for one in self._dialects)
            raise Refused(NO_COMMON_VERSION, f"you offer none of our versions ({ours})")
        heard = await self._client.call(line, "versions", "GET", listed[dialect.version])
        details = dialect.details.read(one_object(heard.data))
        endpoints = tuple(
            Endpoint(e.module, "RECEIVER" if e.role == "RECEIVER" else "SENDER", e.url)
            for e in details.endpoints
        )
        if not any(endpoint.module == "credentials" for endpoint in endpoints):
            raise Refused(NO_ENDPOINTS, "your version details list no credentials endpoint")
        return Offer(dialect, _with_credentials(endpoints))

    async def _store(
        self, tx: Tx, partner_id: UUID, given: objects.Credentials, offer: Offer
    ) -> None:
        for role in given.roles:
            await register_party(tx, role, partner_id=partner_id)
        await connect_partner(
            tx,
            partner_id,
            version=offer.dialect.version,
            versions_url=given.url,
            token_out=self._vault.seal(given.token.encode(), context=seal_context(partner_id)),
            endpoints=offer.endpoints,
        )
        tx.emit(PartnerConnected(tenant_id=tx.tenant, partner_id=partner_id))

    async def _ours(self, tx: Tx, token: str) -> objects.Credentials:
        roles = tuple(
            PartyClaim(p.country_code, p.party_id, p.role, p.name, p.website)
            for p in await our_parties(tx)
        )
        return objects.Credentials(token, f"{self._settings.base_url}/ocpi/versions", roles)


def _with_credentials(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Credentials under one role: partners list it as either, and it means nothing (V-4)."""
    rest = [one for one in endpoints if one.module != "credentials"]
    url = next(one.url for one in endpoints if one.module == "credentials")
    return (Endpoint("credentials", "SENDER", url), *rest)


async def _check_roles(tx: Tx, partner: Partner, roles: Sequence[PartyClaim]) -> None:
    """Roles are a claim: each must be one that the partner was invited with (C-10, C-13)."""
    allowed = {(p.country_code, p.party_id, p.role) for p in await parties_of(tx, partner.id)}
    claimed = {(r.country_code.upper(), r.party_id.upper(), r.role) for r in roles}
    if len(claimed) != len(roles):
        raise Refused(INVALID, "roles: each role of a party may be listed once")
    strange = sorted(claimed - allowed) if allowed else []
    if strange:
        country, party, role = strange[0]
        log.warning("ocpi_role_refused", partner=str(partner.id), role=f"{role} {country}-{party}")
        raise Refused(INVALID, f"roles: this token is not for {role} {country}-{party}")


async def _cut_off(tx: Tx, partner_id: UUID) -> None:
    await drop_credentials(tx, partner_id)
    await save_endpoints(tx, partner_id, ())
    await set_partner_state(tx, partner_id, "SUSPENDED")
