"""A simulated station's OCPP 1.6 voice, spoken through the ``ocpp`` package."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from ocpp.v16 import ChargePoint, call, call_result

from hub.sim.plate import BootAnswer, Evse, Note
from hub.sim.station import SimStation
from hub.sim.voice import Speaking
from hub.sim.wire import Wire, answers

_READ_ONLY = {"NumberOfConnectors", "SupportedFeatureProfiles"}


class Voice16(Speaking, ChargePoint):  # type: ignore[misc]
    """OCPP 1.6J over one connection."""

    def __init__(self, station: SimStation, wire: Wire) -> None:
        super().__init__(station, wire)
        station.settings["NumberOfConnectors"] = str(len(station.evses))

    # -- telling ---------------------------------------------------------------------------

    async def boot(self, reason: str) -> BootAnswer:
        """BootNotification (1.6 has no reason)."""
        del reason
        answer = await self.ask(
            call.BootNotification(
                charge_point_vendor="Simulated",
                charge_point_model="One",
                charge_point_serial_number=self.station.identity[:25],
                firmware_version="1.0",
            )
        )
        return BootAnswer(str(answer.status), int(answer.interval))

    async def heartbeat(self) -> None:
        """Heartbeat."""
        await self.ask(call.Heartbeat())

    async def status(self, evse: Evse | None) -> None:
        """StatusNotification of a connector, or of connector 0."""
        await self.ask(
            call.StatusNotification(
                connector_id=evse.number if evse else 0,
                error_code="NoError",
                status=evse.state if evse else "Available",
                timestamp=self.station.stamp(),
            )
        )

    async def authorize(self, uid: str, uid_type: str) -> str:
        """Authorize; 1.6 knows only the uid."""
        del uid_type
        answer = await self.ask(call.Authorize(id_tag=uid))
        return str(answer.id_tag_info["status"])

    async def deliver(self, note: Note) -> None:
        """StartTransaction, MeterValues or StopTransaction."""
        match note.kind:
            case "start":
                await self._started(note)
            case "sample":
                await self._sampled(note)
            case "stop":
                await self._stopped(note)

    async def _started(self, note: Note) -> None:
        charge = note.charge
        answer = await self.ask(
            call.StartTransaction(
                connector_id=charge.evse,
                id_tag=charge.uid,
                meter_start=note.wh,
                timestamp=self.station.stamp(note.at),
            ),
            note.message_id,
        )
        charge.number = int(answer.transaction_id)
        charge.answer = str(answer.id_tag_info["status"])

    async def _sampled(self, note: Note) -> None:
        await self.ask(
            call.MeterValues(
                connector_id=note.charge.evse,
                transaction_id=note.charge.number,
                meter_value=[self._meter_value(note, "Sample.Periodic")],
            ),
            note.message_id,
        )

    async def _stopped(self, note: Note) -> None:
        charge = note.charge
        known = charge.uid if charge.reason == "Local" else None
        answer = await self.ask(
            call.StopTransaction(
                meter_stop=note.wh,
                timestamp=self.station.stamp(note.at),
                transaction_id=charge.number or 0,
                reason=None if charge.reason == "Local" else charge.reason,
                id_tag=known,
                transaction_data=[self._meter_value(note, "Transaction.End")],
            ),
            note.message_id,
        )
        if answer.id_tag_info:
            charge.answer = str(answer.id_tag_info["status"])

    def _meter_value(self, note: Note, context: str) -> dict[str, object]:
        register = {"value": str(note.wh), "unit": "Wh"}
        if self.station.faults.kwh:
            register = {"value": f"{Decimal(note.wh).scaleb(-3):.3f}", "unit": "kWh"}
        common = {"context": context}
        return {
            "timestamp": self.station.stamp(note.at),
            "sampled_value": [
                {**register, **common, "measurand": "Energy.Active.Import.Register"},
                {
                    **common,
                    "value": str(note.power_w),
                    "measurand": "Power.Active.Import",
                    "unit": "W",
                },
                {**common, "value": str(note.soc), "measurand": "SoC", "unit": "Percent"},
            ],
        }

    # -- obeying ---------------------------------------------------------------------------

    @answers("RemoteStartTransaction")
    def on_remote_start(self, id_tag: str, connector_id: int | None = None, **_: Any) -> Any:
        """Starts on the named connector, or on the first free one."""
        station = self.station
        free = [n for n, e in station.evses.items() if e.operative and not e.charge]
        wanted = connector_id if connector_id is not None else next(iter(free), 0)
        if wanted not in free or self.word("RemoteStartTransaction") == "Rejected":
            return call_result.RemoteStartTransaction(status="Rejected")
        station.spawn(_remote_start(station, wanted, id_tag))
        return call_result.RemoteStartTransaction(status="Accepted")

    @answers("RemoteStopTransaction")
    def on_remote_stop(self, transaction_id: int) -> Any:
        """Stops the transaction that the hub numbered so."""
        charge = self.station.charge_of(number=transaction_id)
        if charge is None or self.word("RemoteStopTransaction") == "Rejected":
            return call_result.RemoteStopTransaction(status="Rejected")
        self.station.spawn(self.station.stop(charge, "Remote"))
        return call_result.RemoteStopTransaction(status="Accepted")

    @answers("Reset")
    def on_reset(self, type: str) -> Any:  # noqa: A002 - the standard's name
        """Really ends transactions, disconnects and boots again."""
        if self.word("Reset") == "Rejected":
            return call_result.Reset(status="Rejected")
        self.station.spawn(self.station.reboot("RemoteReset", f"{type}Reset"))
        return call_result.Reset(status="Accepted")

    @answers("UnlockConnector")
    def on_unlock(self, connector_id: int) -> Any:
        """Ends a running transaction and opens the lock."""
        place = self.station.evses.get(connector_id)
        if place is None:
            return call_result.UnlockConnector(status="NotSupported")
        if self.word("UnlockConnector") == "Rejected":
            return call_result.UnlockConnector(status="UnlockFailed")
        if place.charge:
            self.station.spawn(self.station.stop(place.charge, "UnlockCommand"))
        return call_result.UnlockConnector(status="Unlocked")

    @answers("ChangeAvailability")
    def on_change_availability(self, connector_id: int, type: str) -> Any:  # noqa: A002
        """Connector 0 means all; a charging connector is scheduled."""
        places = [e for n, e in self.station.evses.items() if connector_id in {0, n}]
        if not places or self.word("ChangeAvailability") == "Rejected":
            return call_result.ChangeAvailability(status="Rejected")
        for place in places:
            place.operative = type == "Operative"
            if not place.charge:
                self.station.spawn(self.station.tell_state(place, "Available"))
        busy = any(place.charge for place in places)
        return call_result.ChangeAvailability(status="Scheduled" if busy else "Accepted")

    @answers("GetConfiguration")
    def on_get_configuration(self, key: list[str] | None = None) -> Any:
        """Known keys with their values, unknown ones by name."""
        settings = self.station.settings
        known = [k for k in (key or list(settings)) if k in settings]
        return call_result.GetConfiguration(
            configuration_key=[
                {"key": k, "readonly": k in _READ_ONLY, "value": settings[k]} for k in known
            ],
            unknown_key=[k for k in key or [] if k not in settings],
        )

    @answers("ChangeConfiguration")
    def on_change_configuration(self, key: str, value: str) -> Any:
        """Sets a known, writable key; the sample interval takes effect at once."""
        if key not in self.station.settings:
            return call_result.ChangeConfiguration(status="NotSupported")
        if key in _READ_ONLY or self.word("ChangeConfiguration") == "Rejected":
            return call_result.ChangeConfiguration(status="Rejected")
        self.station.settings[key] = value
        if key == "MeterValueSampleInterval" and value.isdigit():
            self.station.sample_every = int(value)
        return call_result.ChangeConfiguration(status="Accepted")

    @answers("TriggerMessage")
    def on_trigger(self, requested_message: str, connector_id: int | None = None) -> Any:
        """Sends what was asked for, after the answer."""
        station, place = self.station, self.station.evses.get(connector_id or 1)
        work: dict[str, Callable[[], Coroutine[object, object, None]]] = {
            "BootNotification": lambda: _quiet(self.boot("Triggered")),
            "Heartbeat": self.heartbeat,
            "StatusNotification": lambda: self.status(place),
        }
        if requested_message not in work or place is None:
            return call_result.TriggerMessage(status="NotImplemented")
        station.spawn(work[requested_message]())
        return call_result.TriggerMessage(status=self.word("TriggerMessage"))

    @answers("ReserveNow")
    def on_reserve(self, connector_id: int, id_tag: str, reservation_id: int, **_: Any) -> Any:
        """Holds a free connector for one card."""
        place = self.station.evses.get(connector_id or 1)
        if place is None or self.word("ReserveNow") == "Rejected":
            return call_result.ReserveNow(status="Rejected")
        if place.charge or place.car:
            return call_result.ReserveNow(status="Occupied")
        place.reservation = (reservation_id, id_tag)
        self.station.spawn(self.station.tell_state(place, "Reserved"))
        return call_result.ReserveNow(status="Accepted")

    @answers("CancelReservation")
    def on_cancel_reservation(self, reservation_id: int) -> Any:
        """Frees the connector that this reservation holds."""
        for place in self.station.evses.values():
            if place.reservation and place.reservation[0] == reservation_id:
                place.reservation = None
                self.station.spawn(self.station.tell_state(place, "Available"))
                return call_result.CancelReservation(status="Accepted")
        return call_result.CancelReservation(status="Rejected")

    @answers("SetChargingProfile")
    def on_set_profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        """The first period's limit takes effect (A counts as three phases of 230 V)."""
        if self.word("SetChargingProfile") == "Rejected":
            return call_result.SetChargingProfile(status="Rejected")
        schedule = cs_charging_profiles["charging_schedule"]
        watts = limit_in_watts(schedule, schedule["charging_schedule_period"][0]["limit"])
        self.station.profiles[int(cs_charging_profiles["charging_profile_id"])] = (
            cs_charging_profiles
        )
        for number, place in self.station.evses.items():
            if connector_id in {0, number}:
                place.limit_w = watts
        return call_result.SetChargingProfile(status="Accepted")

    @answers("ClearChargingProfile")
    def on_clear_profile(self, id: int | None = None, **_: Any) -> Any:  # noqa: A002
        """Forgets profiles; without any left the limit is gone."""
        profiles = self.station.profiles
        gone = [n for n in profiles if id in {None, n}]
        for number in gone:
            del profiles[number]
        if not profiles:
            for place in self.station.evses.values():
                place.limit_w = None
        return call_result.ClearChargingProfile(status="Accepted" if gone else "Unknown")

    @answers("GetCompositeSchedule")
    def on_composite_schedule(self, connector_id: int, duration: int, **_: Any) -> Any:
        """One period with the present limit."""
        place = self.station.evses.get(connector_id or 1)
        if place is None:
            return call_result.GetCompositeSchedule(status="Rejected")
        limit = self.station.max_power_w if place.limit_w is None else place.limit_w
        return call_result.GetCompositeSchedule(
            status="Accepted",
            connector_id=connector_id,
            schedule_start=self.station.stamp(),
            charging_schedule={
                "duration": duration,
                "charging_rate_unit": "W",
                "charging_schedule_period": [{"start_period": 0, "limit": limit}],
            },
        )

    @answers("SendLocalList")
    def on_send_local_list(
        self,
        list_version: int,
        update_type: str,
        local_authorization_list: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Replaces or changes the local authorisation list."""
        if self.word("SendLocalList") == "Rejected":
            return call_result.SendLocalList(status="Failed")
        station = self.station
        if update_type == "Differential" and list_version <= station.list_version:
            return call_result.SendLocalList(status="VersionMismatch")
        if update_type == "Full":
            station.local_list.clear()
        for entry in local_authorization_list or []:
            if info := entry.get("id_tag_info"):
                station.local_list[entry["id_tag"]] = info["status"]
            else:
                station.local_list.pop(entry["id_tag"], None)
        station.list_version = list_version
        return call_result.SendLocalList(status="Accepted")

    @answers("GetLocalListVersion")
    def on_local_list_version(self) -> Any:
        """The version of the list, 0 when there is none."""
        return call_result.GetLocalListVersion(list_version=self.station.list_version)

    @answers("ClearCache")
    def on_clear_cache(self) -> Any:
        """Nothing is cached, so nothing can fail."""
        return call_result.ClearCache(status=self.word("ClearCache"))

    @answers("GetDiagnostics")
    def on_get_diagnostics(self, location: str, **_: Any) -> Any:
        """Tells the progress of an upload that it only pretends."""
        del location
        self.station.spawn(self._upload())
        return call_result.GetDiagnostics(file_name=f"{self.station.identity}.log")

    async def _upload(self) -> None:
        for status in ("Uploading", "Uploaded"):
            await self.ask(call.DiagnosticsStatusNotification(status=status))

    @answers("UpdateFirmware")
    def on_update_firmware(self, location: str, retrieve_date: str, **_: Any) -> Any:
        """Tells the progress of an update, then reboots."""
        del location, retrieve_date
        self.station.spawn(self._update())
        return call_result.UpdateFirmware()

    async def _update(self) -> None:
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await self.ask(call.FirmwareStatusNotification(status=status))
        await self.station.reboot("FirmwareUpdate", "Reboot")

    @answers("DataTransfer")
    def on_data_transfer(self, vendor_id: str, **_: Any) -> Any:
        """Knows no vendor."""
        del vendor_id
        return call_result.DataTransfer(status="UnknownVendorId")


def limit_in_watts(schedule: dict[str, Any], limit: Any) -> int:
    """A charging schedule's limit as whole watts."""
    amps = schedule["charging_rate_unit"] == "A"
    return int(Decimal(str(limit)) * (690 if amps else 1))


async def _remote_start(station: SimStation, evse: int, uid: str) -> None:
    asks = station.settings["AuthorizeRemoteTxRequests"] == "true"
    if asks and await station.swipe(uid) != "Accepted":
        return
    if not station.evses[evse].car:
        await station.plug_in(evse)
    await station.begin(uid, evse=evse)


async def _quiet(work: Coroutine[object, object, object]) -> None:
    await work
