"""What rooms above hear about tariffs."""

from __future__ import annotations

from hub.runtime import Event


class TariffChanged(Event):
    """A tariff has a new version that governs sessions started from now on."""

    tariff_id: str


class TariffDeleted(Event):
    """A tariff is no longer offered; its versions stay for the CDRs that name them."""

    tariff_id: str
