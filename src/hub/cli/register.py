"""Commands that let somebody in: stations, partners, callers of the API."""

from __future__ import annotations

import argparse
from uuid import UUID

from hub.api.stations import station_url
from hub.cli.opening import print_json, tell, within
from hub.kernel import InvalidValue
from hub.ocpi.door import OcpiDoor
from hub.parties import Invited, OwnParty, PartyClaim, ensure_own_party, invite_partner
from hub.parties.api_tokens import MadeApiToken, create_api_token, scopes_of
from hub.runtime import PLATFORM, Database, Settings
from hub.runtime.http import Outbound
from hub.runtime.vault import Vault
from hub.stations import Registered, register_station

_ACTOR = "cli"


def station_add(arguments: argparse.Namespace) -> int:
    """Register a station; prints its URL and password."""
    settings: Settings = arguments.settings

    async def add(database: Database) -> Registered:
        async with database.tx(PLATFORM, actor=_ACTOR) as tx:
            return await register_station(tx, arguments.id, profile=arguments.profile)

    made = within(settings, add)
    url = station_url(settings, made.station_id, arguments.profile)
    if arguments.json:
        print_json({"station_id": made.station_id, "url": url, "password": made.password})
        return 0
    print(f"station   {made.station_id}\nurl       {url}")
    print(f"password  {made.password or 'none (security profile 0 or 3)'}")
    if made.password:
        tell("hub: the password is shown this once")
    return 0


def partner_invite(arguments: argparse.Namespace) -> int:
    """Make credentials token A for a partner; prints it with our versions URL."""
    settings: Settings = arguments.settings
    claim = PartyClaim(
        arguments.country.upper(), arguments.party.upper(), arguments.role, arguments.name
    )

    async def invite(database: Database) -> Invited:
        vault = Vault.of(settings.folder, settings.secret_key)
        async with database.tx(PLATFORM, actor=_ACTOR) as tx:
            return await invite_partner(tx, vault, [claim], name=arguments.name)

    made = within(settings, invite)
    url = f"{settings.base_url}/ocpi/versions"
    if arguments.json:
        print_json({
            "partner_id": str(made.partner_id), "versions_url": url, "token": made.token,
        })  # fmt: skip
        return 0
    print(f"partner   {made.partner_id}\nversions  {url}\ntoken A   {made.token}")
    tell("hub: give both to the partner; it sends the token Base64-encoded; it is shown this once")
    return 0


def token_create(arguments: argparse.Namespace) -> int:
    """Make an API token; prints it."""
    scopes = scopes_of(arguments.role)
    name = arguments.name or arguments.role
    if not name.isprintable() or len(name) > 100:
        raise InvalidValue("--name", "up to 100 printable characters")

    async def create(database: Database) -> MadeApiToken:
        async with database.tx(PLATFORM, actor=_ACTOR) as tx:
            return await create_api_token(tx, name, scopes)

    made = within(arguments.settings, create)
    if arguments.json:
        print_json({"token": made.token})
        return 0
    print(made.token)
    tell("hub: this token is shown this once; send it as 'Authorization: Bearer <token>'")
    return 0


def partner_connect(arguments: argparse.Namespace) -> int:
    """Start the handshake with a platform that invited us; prints the partner's id."""
    settings: Settings = arguments.settings

    async def connect(database: Database) -> UUID:
        vault = Vault.of(settings.folder, settings.secret_key)
        outbound = Outbound(public_url=settings.base_url, private=settings.outbound_private)
        own = OwnParty(settings.country_code, settings.party_id, "")
        async with database.tx(PLATFORM, actor=_ACTOR) as tx:
            await ensure_own_party(tx, own)
        async with outbound:
            door = OcpiDoor(database, vault, outbound, settings, clock=database.clock)
            database.subscriptions = door.subscriptions()
            return await door.handshake.connect(PLATFORM, arguments.url, arguments.token)

    partner_id = within(settings, connect)
    if arguments.json:
        print_json({"partner_id": str(partner_id)})
        return 0
    print(f"partner   {partner_id}")
    tell("hub: connected; sessions, locations and tokens flow while `hub serve` runs")
    return 0
