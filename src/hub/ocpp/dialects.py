"""Every version the door speaks, the most wanted one first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hub.ocpp import v16, v201
from hub.ocpp.dialect import Dialect
from hub.ocpp.versions import Version

DIALECTS: Final[Mapping[Version, Dialect]] = {
    Version.V201: v201.DIALECT,
    Version.V16: v16.DIALECT,
}
