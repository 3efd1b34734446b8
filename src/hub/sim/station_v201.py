"""A simulated station's OCPP 2.0.1 voice, spoken through the ``ocpp`` package."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ocpp.v201 import ChargePoint, call, call_result

from hub.sim.plate import BootAnswer, Evse, Note
from hub.sim.station import SimStation
from hub.sim.station_v16 import limit_in_watts
from hub.sim.voice import KNOWN_STATES, Speaking
from hub.sim.wire import Wire, answers

_TRIGGERS = {
    "Local": "StopAuthorized",
    "Remote": "RemoteStop",
    "EVDisconnected": "EVCommunicationLost",
    "DeAuthorized": "Deauthorized",
}
_REPORT_ONLY = {("EVSE", "Power"), ("ChargingStation", "Model")}


class Voice201(Speaking, ChargePoint):  # type: ignore[misc]
    """OCPP 2.0.1 over one connection."""

    def __init__(self, station: SimStation, wire: Wire) -> None:
        super().__init__(station, wire)
        station.settings.setdefault("SampledDataCtrlr.TxUpdatedInterval", str(station.sample_every))
        station.settings.setdefault("OCPPCommCtrlr.HeartbeatInterval", "300")
        station.settings.setdefault("AuthCtrlr.AuthorizeRemoteStart", "false")
        station.settings.setdefault("ChargingStation.Model", "Two")

    # -- telling ---------------------------------------------------------------------------

    async def boot(self, reason: str) -> BootAnswer:
        """BootNotification."""
        answer = await self.ask(
            call.BootNotification(
                charging_station={
                    "model": "Two",
                    "vendor_name": "Simulated",
                    "serial_number": self.station.identity[:25],
                    "firmware_version": "2.0",
                },
                reason=reason,
            )
        )
        return BootAnswer(str(answer.status), int(answer.interval))

    async def heartbeat(self) -> None:
        """Heartbeat."""
        await self.ask(call.Heartbeat())

    async def status(self, evse: Evse | None) -> None:
        """StatusNotification of an EVSE's one connector; 2.0.1 has none for the station."""
        if evse is None:
            return
        state = "Occupied" if evse.state in KNOWN_STATES else evse.state
        await self.ask(
            call.StatusNotification(
                timestamp=self.station.stamp(),
                connector_status=state,
                evse_id=evse.number,
                connector_id=1,
            )
        )

    async def authorize(self, uid: str, uid_type: str) -> str:
        """Authorize."""
        answer = await self.ask(call.Authorize(id_token={"id_token": uid, "type": uid_type}))
        return str(answer.id_token_info["status"])

    async def deliver(self, note: Note) -> None:
        """TransactionEvent Started, Updated or Ended."""
        charge, ending = note.charge, note.kind == "stop"
        transaction: dict[str, object] = {
            "transaction_id": charge.ref,
            "charging_state": "Charging",
        }
        if ending:
            transaction |= {"charging_state": "EVConnected", "stopped_reason": charge.reason}
        if note.kind == "start" and charge.remote_start_id is not None:
            transaction["remote_start_id"] = charge.remote_start_id
        first = note.kind == "start"
        answer = await self.ask(
            call.TransactionEvent(
                event_type={"start": "Started", "sample": "Updated", "stop": "Ended"}[note.kind],
                timestamp=self.station.stamp(note.at),
                trigger_reason=_trigger(note),
                seq_no=note.seq,
                transaction_info=transaction,
                offline=note.offline or None,
                evse={"id": charge.evse, "connector_id": 1} if first else None,
                id_token={"id_token": charge.uid, "type": charge.uid_type} if first else None,
                meter_value=[_meter_value(note, self.station.stamp(note.at))],
            ),
            note.message_id,
        )
        if answer.id_token_info:
            charge.answer = str(answer.id_token_info["status"])
        if answer.total_cost is not None:
            charge.cost = str(answer.total_cost)

    # -- obeying ---------------------------------------------------------------------------

    @answers("RequestStartTransaction")
    def on_request_start(
        self, id_token: dict[str, Any], remote_start_id: int, evse_id: int | None = None, **_: Any
    ) -> Any:
        """Starts on the named EVSE, or on the first free one."""
        station = self.station
        free = [n for n, e in station.evses.items() if e.operative and not e.charge]
        wanted = evse_id if evse_id is not None else next(iter(free), 0)
        if wanted not in free or self.word("RequestStartTransaction") == "Rejected":
            return call_result.RequestStartTransaction(status="Rejected")
        station.spawn(_remote_start(station, wanted, id_token["id_token"], remote_start_id))
        return call_result.RequestStartTransaction(status="Accepted")

    @answers("RequestStopTransaction")
    def on_request_stop(self, transaction_id: str) -> Any:
        """Stops the transaction of this id."""
        charge = self.station.charge_of(ref=transaction_id)
        if charge is None or self.word("RequestStopTransaction") == "Rejected":
            return call_result.RequestStopTransaction(status="Rejected")
        self.station.spawn(self.station.stop(charge, "Remote"))
        return call_result.RequestStopTransaction(status="Accepted")

    @answers("GetTransactionStatus")
    def on_transaction_status(self, transaction_id: str | None = None) -> Any:
        """Whether it runs and whether messages about it wait."""
        queued = [note for note in self.station.outbox if transaction_id in {None, note.charge.ref}]
        running = None
        if transaction_id is not None:
            running = self.station.charge_of(ref=transaction_id) is not None
        return call_result.GetTransactionStatus(
            messages_in_queue=bool(queued), ongoing_indicator=running
        )

    @answers("Reset")
    def on_reset(self, type: str, evse_id: int | None = None) -> Any:  # noqa: A002
        """Immediate ends transactions; OnIdle waits for them."""
        station = self.station
        if evse_id is not None or self.word("Reset") == "Rejected":
            return call_result.Reset(status="Rejected")
        busy = any(e.charge for e in station.evses.values())
        if type == "OnIdle" and busy:
            station.spawn(_reset_when_idle(station))
            return call_result.Reset(status="Scheduled")
        station.spawn(station.reboot("RemoteReset", "ImmediateReset"))
        return call_result.Reset(status="Accepted")

    @answers("UnlockConnector")
    def on_unlock(self, evse_id: int, connector_id: int) -> Any:
        """Refused while a transaction runs, as 2.0.1 wants it."""
        place = self.station.evses.get(evse_id)
        if place is None or connector_id != 1:
            return call_result.UnlockConnector(status="UnknownConnector")
        if place.charge:
            return call_result.UnlockConnector(status="OngoingAuthorizedTransaction")
        return call_result.UnlockConnector(
            status=self.word("UnlockConnector", "Unlocked", "UnlockFailed")
        )

    @answers("ChangeAvailability")
    def on_change_availability(
        self, operational_status: str, evse: dict[str, Any] | None = None
    ) -> Any:
        """Without an EVSE all of them; a charging one is scheduled."""
        chosen = evse["id"] if evse else 0
        places = [e for n, e in self.station.evses.items() if chosen in {0, n}]
        if not places or self.word("ChangeAvailability") == "Rejected":
            return call_result.ChangeAvailability(status="Rejected")
        for place in places:
            place.operative = operational_status == "Operative"
            if not place.charge:
                self.station.spawn(self.station.tell_state(place, "Available"))
        busy = any(place.charge for place in places)
        return call_result.ChangeAvailability(status="Scheduled" if busy else "Accepted")

    @answers("GetVariables")
    def on_get_variables(self, get_variable_data: list[dict[str, Any]]) -> Any:
        """Each variable with its value or the reason why there is none."""
        return call_result.GetVariables(
            get_variable_result=[self._read(asked) for asked in get_variable_data]
        )

    def _read(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"{asked['component']['name']}.{asked['variable']['name']}"
        value = self.station.settings.get(name)
        found = {"component": asked["component"], "variable": asked["variable"]}
        if value is None:
            return {"attribute_status": "UnknownVariable", **found}
        return {"attribute_status": "Accepted", "attribute_value": value, **found}

    @answers("SetVariables")
    def on_set_variables(self, set_variable_data: list[dict[str, Any]]) -> Any:
        """Each variable set or refused on its own."""
        return call_result.SetVariables(
            set_variable_result=[self._write(asked) for asked in set_variable_data]
        )

    def _write(self, asked: dict[str, Any]) -> dict[str, Any]:
        component, variable = asked["component"], asked["variable"]
        key = (component["name"], variable["name"])
        name = ".".join(key)
        status = self.word("SetVariables")
        if name not in self.station.settings:
            status = "UnknownVariable"
        elif key in _REPORT_ONLY:
            status = "Rejected"
        if status == "Accepted":
            self.station.settings[name] = asked["attribute_value"]
            if name == "SampledDataCtrlr.TxUpdatedInterval":
                self.station.sample_every = int(asked["attribute_value"])
        return {"attribute_status": status, "component": component, "variable": variable}

    @answers("GetBaseReport")
    def on_base_report(self, request_id: int, report_base: str) -> Any:
        """Sends the whole device model in one NotifyReport."""
        del report_base
        self.station.spawn(self._report(request_id))
        return call_result.GetBaseReport(status=self.word("GetBaseReport"))

    async def _report(self, request_id: int) -> None:
        named = [
            (*name.split(".", 1), value)
            for name, value in self.station.settings.items()
            if "." in name
        ]
        await self.ask(
            call.NotifyReport(
                request_id=request_id,
                generated_at=self.station.stamp(),
                seq_no=0,
                tbc=False,
                report_data=[
                    {
                        "component": {"name": component},
                        "variable": {"name": variable},
                        "variable_attribute": [{"type": "Actual", "value": value}],
                    }
                    for component, variable, value in named
                ],
            )
        )

    @answers("TriggerMessage")
    def on_trigger(self, requested_message: str, evse: dict[str, Any] | None = None) -> Any:
        """Sends what was asked for, after the answer."""
        place = self.station.evses.get(evse["id"] if evse else 1)
        work: dict[str, Callable[[], Coroutine[object, object, None]]] = {
            "BootNotification": lambda: _quiet(self.boot("Triggered")),
            "Heartbeat": self.heartbeat,
            "StatusNotification": lambda: self.status(place),
        }
        if requested_message not in work or place is None:
            return call_result.TriggerMessage(status="NotImplemented")
        self.station.spawn(work[requested_message]())
        return call_result.TriggerMessage(status=self.word("TriggerMessage"))

    @answers("ReserveNow")
    def on_reserve(
        self,
        id: int,  # noqa: A002 - the standard's name
        id_token: dict[str, Any],
        evse_id: int | None = None,
        **_: Any,
    ) -> Any:
        """Holds a free EVSE for one identifier."""
        place = self.station.evses.get(evse_id or 1)
        if place is None or self.word("ReserveNow") == "Rejected":
            return call_result.ReserveNow(status="Rejected")
        if place.charge or place.car:
            return call_result.ReserveNow(status="Occupied")
        place.reservation = (id, id_token["id_token"])
        self.station.spawn(self.station.tell_state(place, "Reserved"))
        return call_result.ReserveNow(status="Accepted")

    @answers("CancelReservation")
    def on_cancel_reservation(self, reservation_id: int) -> Any:
        """Frees the EVSE that this reservation holds."""
        for place in self.station.evses.values():
            if place.reservation and place.reservation[0] == reservation_id:
                place.reservation = None
                self.station.spawn(self.station.tell_state(place, "Available"))
                return call_result.CancelReservation(status="Accepted")
        return call_result.CancelReservation(status="Rejected")

    @answers("SetChargingProfile")
    def on_set_profile(self, evse_id: int, charging_profile: dict[str, Any]) -> Any:
        """The first period's limit takes effect."""
        if self.word("SetChargingProfile") == "Rejected":
            return call_result.SetChargingProfile(status="Rejected")
        schedule = charging_profile["charging_schedule"][0]
        watts = limit_in_watts(schedule, schedule["charging_schedule_period"][0]["limit"])
        self.station.profiles[int(charging_profile["id"])] = charging_profile
        for number, place in self.station.evses.items():
            if evse_id in {0, number}:
                place.limit_w = watts
        return call_result.SetChargingProfile(status="Accepted")

    @answers("ClearChargingProfile")
    def on_clear_profile(self, charging_profile_id: int | None = None, **_: Any) -> Any:
        """Forgets profiles; without any left the limit is gone."""
        profiles = self.station.profiles
        gone = [n for n in profiles if charging_profile_id in {None, n}]
        for number in gone:
            del profiles[number]
        if not profiles:
            for place in self.station.evses.values():
                place.limit_w = None
        return call_result.ClearChargingProfile(status="Accepted" if gone else "Unknown")

    @answers("SendLocalList")
    def on_send_local_list(
        self,
        version_number: int,
        update_type: str,
        local_authorization_list: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Replaces or changes the local authorisation list."""
        if self.word("SendLocalList") == "Rejected":
            return call_result.SendLocalList(status="Failed")
        station = self.station
        if update_type == "Differential" and version_number <= station.list_version:
            return call_result.SendLocalList(status="VersionMismatch")
        if update_type == "Full":
            station.local_list.clear()
        for entry in local_authorization_list or []:
            uid = entry["id_token"]["id_token"]
            if info := entry.get("id_token_info"):
                station.local_list[uid] = info["status"]
            else:
                station.local_list.pop(uid, None)
        station.list_version = version_number
        return call_result.SendLocalList(status="Accepted")

    @answers("GetLocalListVersion")
    def on_local_list_version(self) -> Any:
        """The version of the list, 0 when there is none."""
        return call_result.GetLocalListVersion(version_number=self.station.list_version)

    @answers("ClearCache")
    def on_clear_cache(self) -> Any:
        """Nothing is cached, so nothing can fail."""
        return call_result.ClearCache(status=self.word("ClearCache"))

    @answers("GetLog")
    def on_get_log(self, log_type: str, request_id: int, **_: Any) -> Any:
        """Tells the progress of an upload that it only pretends."""
        del log_type
        self.station.spawn(self._upload(request_id))
        return call_result.GetLog(status="Accepted", filename=f"{self.station.identity}.log")

    async def _upload(self, request_id: int) -> None:
        for status in ("Uploading", "Uploaded"):
            await self.ask(call.LogStatusNotification(status=status, request_id=request_id))

    @answers("UpdateFirmware")
    def on_update_firmware(self, request_id: int, **_: Any) -> Any:
        """Tells the progress of an update, then reboots."""
        self.station.spawn(self._update(request_id))
        return call_result.UpdateFirmware(status=self.word("UpdateFirmware"))

    async def _update(self, request_id: int) -> None:
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            await self.ask(call.FirmwareStatusNotification(status=status, request_id=request_id))
        await self.station.reboot("FirmwareUpdate", "Reboot")

    @answers("CostUpdated")
    def on_cost_updated(self, total_cost: Any, transaction_id: str) -> Any:
        """Shows the running cost on the display of that transaction."""
        if charge := self.station.charge_of(ref=transaction_id):
            charge.cost = str(total_cost)
        return call_result.CostUpdated()

    @answers("DataTransfer")
    def on_data_transfer(self, vendor_id: str, **_: Any) -> Any:
        """Knows no vendor."""
        del vendor_id
        return call_result.DataTransfer(status="UnknownVendorId")


def _trigger(note: Note) -> str:
    if note.kind == "start":
        return "Authorized" if note.charge.remote_start_id is None else "RemoteStart"
    if note.kind == "sample":
        return "MeterValuePeriodic"
    return _TRIGGERS.get(note.charge.reason, "AbnormalCondition")


def _meter_value(note: Note, stamp: str) -> dict[str, object]:
    context = {"start": "Transaction.Begin", "sample": "Sample.Periodic", "stop": "Transaction.End"}
    common = {"context": context[note.kind]}
    sampled: list[dict[str, object]] = [
        {
            **common,
            "value": note.wh,
            "measurand": "Energy.Active.Import.Register",
            "unit_of_measure": {"unit": "Wh"},
        }
    ]
    if note.kind == "sample":
        sampled += [
            {
                **common,
                "value": note.power_w,
                "measurand": "Power.Active.Import",
                "unit_of_measure": {"unit": "W"},
            },
            {
                **common,
                "value": note.soc,
                "measurand": "SoC",
                "unit_of_measure": {"unit": "Percent"},
            },
        ]
    return {"timestamp": stamp, "sampled_value": sampled}


async def _remote_start(station: SimStation, evse: int, uid: str, remote_start_id: int) -> None:
    asks = station.settings["AuthCtrlr.AuthorizeRemoteStart"] == "true"
    if asks and await station.swipe(uid) != "Accepted":
        return
    if not station.evses[evse].car:
        await station.plug_in(evse)
    await station.begin(uid, evse=evse, remote_start_id=remote_start_id)


async def _reset_when_idle(station: SimStation) -> None:
    await station.until(
        lambda: not any(e.charge for e in station.evses.values()), "an idle station", within=86_400
    )
    await station.reboot("ScheduledReset", "ImmediateReset")


async def _quiet(work: Coroutine[object, object, object]) -> None:
    await work
