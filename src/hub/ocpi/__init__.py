"""The OCPI door: server, client and pushes; versions are dialects of one set of handlers.

We are a CPO towards eMSP platforms: they read our locations, tariffs, sessions and CDRs, give us
their tokens and commands, and are asked about their drivers.
"""

from hub.ocpi.client import OcpiClient, PartnerRefused, PartnerUnreachable
from hub.ocpi.door import DIALECTS, OcpiDoor, ocpi_openapi, ocpi_routes
from hub.ocpi.handshake import Handshake, HandshakeFailed
from hub.ocpi.messages import Message, messages, prune_messages
from hub.ocpi.pull import Pulled, TokenPull
from hub.ocpi.quarantine import Held, held_messages

__all__ = [
    "DIALECTS",
    "Handshake",
    "HandshakeFailed",
    "Held",
    "Message",
    "OcpiClient",
    "OcpiDoor",
    "PartnerRefused",
    "PartnerUnreachable",
    "Pulled",
    "TokenPull",
    "held_messages",
    "messages",
    "ocpi_openapi",
    "ocpi_routes",
    "prune_messages",
]
