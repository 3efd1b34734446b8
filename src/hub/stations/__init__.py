"""What stands in the field: locations, EVSEs, connectors, stations and their links, and the
commands owed to them. Who charges, and what it costs, is for the rooms above."""

from hub.stations.commands import (
    Command,
    NeutralReply,
    RemoteStart,
    RemoteStop,
    Reset,
    Unlock,
    answer_command,
    command,
    commands,
    commands_due,
    conceal_command,
    expire_commands,
    requeue_command,
    send_command,
    take_command,
)
from hub.stations.credentials import password_matches
from hub.stations.errors import CommandClosed, EvseBound
from hub.stations.links import (
    BootAnswer,
    boot,
    connector_statuses,
    forget_connections,
    mark_unreachable,
    report_status,
    seen,
    station_connected,
    station_disconnected,
)
from hub.stations.locations import (
    bind_station,
    evse_by_uid,
    evse_of,
    location,
    locations,
    save_location,
    station_evses,
    unbind_station,
)
from hub.stations.model import (
    Connector,
    ConnectorStatus,
    Coordinates,
    Evse,
    EvseAt,
    EvseStatus,
    Location,
    StationId,
    StationRef,
    StationRow,
)
from hub.stations.readback import (
    ChargingProfile,
    Reservation,
    Variable,
    charging_profiles,
    end_reservation,
    note_command_effect,
    reservations,
    save_variables,
    variables,
)
from hub.stations.registry import (
    Registered,
    approve_station,
    find_station,
    note_unknown_station,
    refuse_station,
    register_station,
    set_assumed_protocol,
    set_password,
    station,
    stations,
)

__all__ = [
    "BootAnswer", "ChargingProfile", "Command", "CommandClosed", "Connector", "ConnectorStatus",
    "Coordinates", "Evse", "EvseAt", "EvseBound", "EvseStatus", "Location", "NeutralReply",
    "Registered", "RemoteStart", "RemoteStop", "Reservation", "Reset", "StationId", "StationRef",
    "StationRow", "Unlock", "Variable", "answer_command", "approve_station", "bind_station",
    "boot", "charging_profiles", "command", "commands", "commands_due", "conceal_command",
    "connector_statuses",
    "end_reservation", "evse_by_uid", "evse_of", "expire_commands", "find_station",
    "forget_connections", "location", "locations", "mark_unreachable", "note_command_effect",
    "note_unknown_station", "password_matches", "refuse_station", "register_station",
    "report_status", "requeue_command", "reservations", "save_location", "save_variables", "seen",
    "send_command", "set_assumed_protocol", "set_password", "station", "station_connected",
    "station_disconnected", "station_evses", "stations", "take_command", "unbind_station",
    "variables",
]  # fmt: skip
