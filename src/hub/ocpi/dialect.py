"""What differs between OCPI versions, as values: one set of handlers serves every dialect.

A shape ties a wire type of one version to the object that the hub works with: ``lift`` reads it
and may refuse (``InvalidValue``), ``lower`` writes it and never does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from hub.charging.model import Token
from hub.kernel import InvalidValue, decode, encode
from hub.ocpi import objects
from hub.ocpi.envelope import Invalid
from hub.settlement.model import Cdr
from hub.stations.model import Connector, Evse, Location
from hub.tariffs.model import Tariff

Canonical = TypeVar("Canonical")


def _has_control(value: object) -> bool:
    pending = [value]
    while pending:
        match pending.pop():
            case str(text):
                if any(mark < " " for mark in text):
                    return True
            case dict(members):
                pending.extend(members)
                pending.extend(members.values())
            case list(values):
                pending.extend(values)
    return False


class Written(msgspec.Struct, Generic[Canonical], frozen=True):
    """An object that we send: its wire type and how it is written."""

    wire: Any
    lower: Callable[[Canonical], object]


class Read(msgspec.Struct, Generic[Canonical], frozen=True):
    """An object that we receive: its wire type and how it is read."""

    wire: Any
    lift: Callable[[Any], Canonical]

    def read(self, body: bytes) -> Canonical:
        """The object in ``body``; ``Invalid`` when it breaks the wire type or a rule of it.

        No text in it may hold control characters (T-C2): not in what a partner sends, nor in
        what it answers.
        """
        try:
            if b"\\u00" in body and _has_control(msgspec.json.decode(body)):
                raise Invalid("a string holds control characters")
            return self.lift(decode(body, self.wire))
        except msgspec.DecodeError as error:
            raise Invalid(str(error)) from error
        except InvalidValue as error:
            raise Invalid(str(error)) from error


class Shape(Read[Canonical], Generic[Canonical], frozen=True):
    """An object that goes both ways."""

    lower: Callable[[Canonical], object]

    def patched(self, stored: Canonical, patch: bytes) -> Canonical:
        """``stored`` with the members that ``patch`` names replaced, null clearing them (T-E5).

        ``Invalid`` when the patch is no object, lacks ``last_updated`` (T-B11) or leaves
        something invalid.
        """
        try:
            changes = decode(patch, dict[str, msgspec.Raw])
        except msgspec.ValidationError as error:
            raise Invalid("a PATCH is a JSON object with the members to change") from error
        if "last_updated" not in changes:
            raise Invalid("a PATCH needs last_updated")
        whole = decode(encode(self.lower(stored)), dict[str, msgspec.Raw])
        return self.read(encode({**whole, **changes}))


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One version of OCPI."""

    version: str
    credentials: Shape[objects.Credentials]
    details: Shape[objects.VersionDetails]
    location: Written[Location]
    evse: Written[Evse]
    connector: Written[Connector]
    tariff: Written[Tariff]
    session: Written[objects.Session]
    cdr: Written[Cdr]
    token: Shape[Token]
    location_references: Written[objects.LocationReferences]
    authorization: Read[objects.Authorization]
    start_session: Read[objects.StartSession]
    stop_session: Read[objects.StopSession]
    unlock_connector: Read[objects.UnlockConnector]
    command_response: Written[objects.CommandResponse]
    command_result: Written[objects.CommandResult]
