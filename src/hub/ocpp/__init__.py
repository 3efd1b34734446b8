"""The stations' door: OCPP 1.6 and 2.0.1 over WebSocket, as messages of the rooms below.

An answer means stored. What a session is, and what it costs, is not decided here.
"""

from hub.ocpp.catalogue import ActionCatalogue
from hub.ocpp.server import COMMAND_TOPIC, Listen, OcppServer
from hub.ocpp.tls import server_context

__all__ = ["COMMAND_TOPIC", "ActionCatalogue", "Listen", "OcppServer", "server_context"]
