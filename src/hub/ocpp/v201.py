"""OCPP 2.0.1 as a dialect: TransactionEvents, the device model, and what we refuse to sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import UNSET, UnsetType

from hub.charging.messages import (
    AuthorizeAsked,
    EndAnswer,
    IdToken,
    MetersSampled,
    Reading,
    StartAnswer,
    TokenAnswer,
    Transaction,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from hub.ocpp import wire201 as wire
from hub.ocpp.dialect import (
    Dialect,
    Heard,
    Inbound,
    Lane,
    Message,
    Outbound,
    Outcome,
    ReservationEnded,
    SecurityEventTold,
    VariablesReported,
    always,
    given,
    instant,
    number,
    whole,
)
from hub.ocpp.errors import PayloadError
from hub.ocpp.units import REGISTER, scaled
from hub.ocpp.versions import Fault, Version
from hub.stations import BootAnswer, EvseStatus, Variable
from hub.stations.commands import NeutralReply, RemoteStart, RemoteStop, Reset, Unlock
from hub.stations.messages import StationBooted, StatusReported

_TOKEN: Final = 36

# OCPI 2.2.1 mod_locations from ConnectorStatusEnumType (rule L-8).
_STATUSES: Final[Mapping[str, EvseStatus]] = {
    "Available": "AVAILABLE", "Occupied": "CHARGING", "Reserved": "RESERVED",
    "Unavailable": "INOPERATIVE", "Faulted": "OUTOFORDER",
}  # fmt: skip

_TOKEN_TYPES: Final[Mapping[str, wire.IdTokenEnumType]] = {"RFID": "ISO14443", "EMAID": "eMAID"}


def _booted(asked: wire.BootNotificationRequest, heard: Heard) -> tuple[Message, ...]:
    station = asked.chargingStation
    return (
        StationBooted(
            station=heard.station,
            at=heard.at,
            protocol="ocpp2.0.1",
            vendor=station.vendorName,
            model=station.model,
            serial=given(station.serialNumber),
            firmware=given(station.firmwareVersion),
            reason=asked.reason,
        ),
    )


def _boot_reply(_: object, outcome: Outcome, now: datetime) -> wire.BootNotificationResponse:
    assert isinstance(outcome, BootAnswer)
    return wire.BootNotificationResponse(
        currentTime=whole(now), interval=outcome.interval, status=outcome.status
    )


def _token(token: wire.IdTokenType | UnsetType) -> IdToken | None:
    return None if isinstance(token, UnsetType) else IdToken(token.idToken, token.type)


def _certified(asked: wire.AuthorizeRequest) -> bool:
    """Whether a contract certificate is to be judged (Plug & Charge)."""
    return not (
        isinstance(asked.certificate, UnsetType)
        and isinstance(asked.iso15118CertificateHashData, UnsetType)
    )


def _authorize_lane(asked: wire.AuthorizeRequest) -> Lane:
    return "journal" if _certified(asked) else "action"


def _authorize(asked: wire.AuthorizeRequest, heard: Heard) -> tuple[Message, ...]:
    if _certified(asked):
        return ()
    return (
        AuthorizeAsked(
            station=heard.station, token=IdToken(asked.idToken.idToken, asked.idToken.type)
        ),
    )


def _info(answer: TokenAnswer | None) -> wire.IdTokenInfoType:
    if answer is None:
        return wire.IdTokenInfoType(status="Invalid")
    group = answer.group if answer.group and len(answer.group) <= _TOKEN else None
    return wire.IdTokenInfoType(
        status=answer.status,
        cacheExpiryDateTime=whole(answer.expires_at) if answer.expires_at else UNSET,
        groupIdToken=wire.IdTokenType(idToken=group, type="Central") if group else UNSET,
    )


def _authorize_reply(
    asked: wire.AuthorizeRequest, outcome: Outcome, _: datetime
) -> wire.AuthorizeResponse:
    if _certified(asked):
        # Nobody here checks contract certificates: what is not checked is not accepted.
        return wire.AuthorizeResponse(
            idTokenInfo=wire.IdTokenInfoType(status="Invalid"),
            certificateStatus="NoCertificateAvailable",
        )
    assert isinstance(outcome, TokenAnswer)
    return wire.AuthorizeResponse(idTokenInfo=_info(outcome))


def _event_lane(asked: wire.TransactionEventRequest) -> Lane:
    quiet = asked.eventType == "Updated" and isinstance(asked.idToken, UnsetType)
    return "journal" if quiet else "action"


def _event(asked: wire.TransactionEventRequest, heard: Heard) -> tuple[Message, ...]:
    told = _Told(asked, heard)
    match asked.eventType:
        case "Started":
            return (told.started(),)
        case "Updated":
            return (told.updated(),)
        case "Ended":
            return (told.ended(),)
        case _:
            raise PayloadError(Fault.PROPERTY, "unknown event type", "$.eventType")


class _Told:
    """What every kind of TransactionEvent says."""

    def __init__(self, asked: wire.TransactionEventRequest, heard: Heard) -> None:
        self.asked, self.heard = asked, heard
        evse = given(asked.evse)
        self.evse = None if evse is None else number(evse.id, "$.evse.id")
        self.connector: int | None = None
        if evse is not None and not isinstance(evse.connectorId, UnsetType):
            self.connector = number(evse.connectorId, "$.evse.connectorId")
        self.seq = number(asked.seqNo, "$.seqNo")
        self.readings = _readings(given(asked.meterValue) or (), heard)
        self.transaction = Transaction(ref=asked.transactionInfo.transactionId)
        self.at = instant(asked.timestamp, heard)

    def started(self) -> TransactionStarted:
        """TransactionEvent Started."""
        info = self.asked.transactionInfo
        return TransactionStarted(
            station=self.heard.station, transaction=self.transaction, at=self.at,
            received_at=self.heard.at, evse=self.evse, connector=self.connector,
            token=_token(self.asked.idToken), readings=self.readings, seq=self.seq,
            charging_state=given(info.chargingState), reservation=given(self.asked.reservationId),
            remote_start_id=given(info.remoteStartId), offline=given(self.asked.offline) or False,
            trigger=self.asked.triggerReason,
        )  # fmt: skip

    def updated(self) -> TransactionUpdated:
        """TransactionEvent Updated."""
        info = self.asked.transactionInfo
        return TransactionUpdated(
            station=self.heard.station, transaction=self.transaction, at=self.at,
            received_at=self.heard.at, seq=self.seq, evse=self.evse, connector=self.connector,
            token=_token(self.asked.idToken), readings=self.readings,
            charging_state=given(info.chargingState), remote_start_id=given(info.remoteStartId),
            offline=given(self.asked.offline) or False, trigger=self.asked.triggerReason,
        )  # fmt: skip

    def ended(self) -> TransactionEnded:
        """TransactionEvent Ended."""
        info = self.asked.transactionInfo
        return TransactionEnded(
            station=self.heard.station, transaction=self.transaction, at=self.at,
            received_at=self.heard.at, readings=self.readings, seq=self.seq,
            # 2.0.1 part 2, TransactionType: without a reason it was stopped locally.
            reason=given(info.stoppedReason) or "Local", evse=self.evse, connector=self.connector,
            token=_token(self.asked.idToken), offline=given(self.asked.offline) or False,
            trigger=self.asked.triggerReason,
        )  # fmt: skip


def _event_reply(
    asked: wire.TransactionEventRequest, outcome: Outcome, _: datetime
) -> wire.TransactionEventResponse:
    token = cost = None
    if isinstance(outcome, StartAnswer | EndAnswer):
        token = outcome.token
    if isinstance(outcome, EndAnswer):
        cost = outcome.total_cost
    asks = not isinstance(asked.idToken, UnsetType)
    return wire.TransactionEventResponse(
        totalCost=UNSET if cost is None else cost, idTokenInfo=_info(token) if asks else UNSET
    )


def _metered(asked: wire.MeterValuesRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        MetersSampled(
            station=heard.station,
            received_at=heard.at,
            evse=number(asked.evseId, "$.evseId"),
            transaction=None,
            readings=_readings(asked.meterValue, heard),
        ),
    )


def _readings(values: Sequence[wire.MeterValueType], heard: Heard) -> tuple[Reading, ...]:
    found: list[Reading | None] = []
    for value in values:
        at = instant(value.timestamp, heard)
        for sample in value.sampledValue:
            found.append(_reading(sample, at, None))
            signed = given(sample.signedMeterValue)
            if signed is not None:
                found.append(_reading(sample, at, signed.signedMeterData))
    return tuple(one for one in found if one is not None)


def _reading(sample: wire.SampledValueType, at: datetime, signed: str | None) -> Reading | None:
    measurand = given(sample.measurand) or REGISTER
    of = given(sample.unitOfMeasure)
    unit, multiplier = (given(of.unit), given(of.multiplier) or 0) if of else (None, 0)
    found = scaled(sample.value, measurand, unit, multiplier)
    if found is None:
        return None
    return Reading(
        at=at,
        value=found[0],
        measurand=measurand,
        unit=found[1],
        context=given(sample.context) or "Sample.Periodic",
        phase=given(sample.phase),
        location=given(sample.location) or "Outlet",
        signed=signed,
    )


def _status(asked: wire.StatusNotificationRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        StatusReported(
            station=heard.station,
            at=instant(asked.timestamp, heard),
            evse=number(asked.evseId, "$.evseId"),
            connector=number(asked.connectorId, "$.connectorId"),
            status=_STATUSES.get(asked.connectorStatus, "UNKNOWN"),
            raw=asked.connectorStatus,
        ),
    )


def _events(asked: wire.NotifyEventRequest, heard: Heard) -> tuple[Message, ...]:
    """Availability of connectors, which newer stations tell instead of a StatusNotification."""
    found: list[Message] = []
    for event in asked.eventData:
        evse = given(event.component.evse)
        if event.component.name.casefold() != "connector" or evse is None:
            continue
        if event.variable.name.casefold() != "availabilitystate":
            continue
        connector = given(evse.connectorId)
        found.append(
            StatusReported(
                station=heard.station,
                at=instant(event.timestamp, heard),
                evse=number(evse.id, "$.eventData.component.evse.id"),
                connector=number(1 if connector is None else connector, "$.eventData.component"),
                status=_STATUSES.get(event.actualValue, "UNKNOWN"),
                raw=event.actualValue[:50],
                error=given(event.techCode),
                detail=given(event.techInfo),
            )
        )
    return tuple(found)


def _report(asked: wire.NotifyReportRequest, heard: Heard) -> tuple[Message, ...]:
    found = [
        _variable(one, attribute)
        for one in given(asked.reportData) or ()
        for attribute in one.variableAttribute
    ]
    return (VariablesReported(station=heard.station, found=tuple(found)),)


def _variable(one: wire.ReportDataType, attribute: wire.VariableAttributeType) -> Variable:
    evse = given(one.component.evse)
    return Variable(
        component=one.component.name,
        component_instance=given(one.component.instance) or "",
        evse=number(evse.id, "$.reportData.component.evse.id") if evse else 0,
        variable=one.variable.name,
        variable_instance=given(one.variable.instance) or "",
        attribute=given(attribute.type) or "Actual",
        value=given(attribute.value),
        mutability=given(attribute.mutability) or "ReadWrite",
    )


def _reservation(asked: wire.ReservationStatusUpdateRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        ReservationEnded(
            station=heard.station,
            number=asked.reservationId,
            state="EXPIRED" if asked.reservationUpdateStatus == "Expired" else "CANCELLED",
        ),
    )


def _security(asked: wire.SecurityEventNotificationRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        SecurityEventTold(
            station=heard.station,
            at=instant(asked.timestamp, heard),
            kind=asked.type,
            detail=given(asked.techInfo),
        ),
    )


def _nothing(_: object, __: Heard) -> tuple[Message, ...]:
    return ()


def _heartbeat_reply(_: object, __: Outcome, now: datetime) -> wire.HeartbeatResponse:
    return wire.HeartbeatResponse(currentTime=whole(now))


INBOUND: Final[Mapping[str, Inbound]] = {
    "BootNotification": Inbound(
        wire=wire.BootNotificationRequest, lane=always("action"), messages=_booted,
        reply=_boot_reply,
    ),
    "Authorize": Inbound(
        wire=wire.AuthorizeRequest, lane=_authorize_lane, messages=_authorize,
        reply=_authorize_reply,
    ),
    "TransactionEvent": Inbound(
        wire=wire.TransactionEventRequest, lane=_event_lane, messages=_event, reply=_event_reply
    ),
    "MeterValues": Inbound(
        wire=wire.MeterValuesRequest, lane=always("journal"), messages=_metered,
        reply=lambda *_: wire.MeterValuesResponse(),
    ),
    "StatusNotification": Inbound(
        wire=wire.StatusNotificationRequest, lane=always("journal"), messages=_status,
        reply=lambda *_: wire.StatusNotificationResponse(),
    ),
    "NotifyEvent": Inbound(
        wire=wire.NotifyEventRequest, lane=always("journal"), messages=_events,
        reply=lambda *_: wire.NotifyEventResponse(),
    ),
    "NotifyReport": Inbound(
        wire=wire.NotifyReportRequest, lane=always("journal"), messages=_report,
        reply=lambda *_: wire.NotifyReportResponse(),
    ),
    "SecurityEventNotification": Inbound(
        wire=wire.SecurityEventNotificationRequest, lane=always("journal"), messages=_security,
        reply=lambda *_: wire.SecurityEventNotificationResponse(),
    ),
    "ReservationStatusUpdate": Inbound(
        wire=wire.ReservationStatusUpdateRequest, lane=always("journal"), messages=_reservation,
        reply=lambda *_: wire.ReservationStatusUpdateResponse(),
    ),
    "Heartbeat": Inbound(
        wire=wire.HeartbeatRequest, lane=always("log"), messages=_nothing, reply=_heartbeat_reply
    ),
    "DataTransfer": Inbound(
        wire=wire.DataTransferRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.DataTransferResponse(status="UnknownVendorId"),
    ),
    "FirmwareStatusNotification": Inbound(
        wire=wire.FirmwareStatusNotificationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.FirmwareStatusNotificationResponse(),
    ),
    "PublishFirmwareStatusNotification": Inbound(
        wire=wire.PublishFirmwareStatusNotificationRequest, lane=always("journal"),
        messages=_nothing, reply=lambda *_: wire.PublishFirmwareStatusNotificationResponse(),
    ),
    "LogStatusNotification": Inbound(
        wire=wire.LogStatusNotificationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.LogStatusNotificationResponse(),
    ),
    "ClearedChargingLimit": Inbound(
        wire=wire.ClearedChargingLimitRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.ClearedChargingLimitResponse(),
    ),
    "NotifyChargingLimit": Inbound(
        wire=wire.NotifyChargingLimitRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyChargingLimitResponse(),
    ),
    "NotifyCustomerInformation": Inbound(
        wire=wire.NotifyCustomerInformationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyCustomerInformationResponse(),
    ),
    "NotifyDisplayMessages": Inbound(
        wire=wire.NotifyDisplayMessagesRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyDisplayMessagesResponse(),
    ),
    "NotifyEVChargingNeeds": Inbound(
        wire=wire.NotifyEVChargingNeedsRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyEVChargingNeedsResponse(status="Rejected"),
    ),
    "NotifyEVChargingSchedule": Inbound(
        wire=wire.NotifyEVChargingScheduleRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyEVChargingScheduleResponse(status="Accepted"),
    ),
    "NotifyMonitoringReport": Inbound(
        wire=wire.NotifyMonitoringReportRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.NotifyMonitoringReportResponse(),
    ),
    "ReportChargingProfiles": Inbound(
        wire=wire.ReportChargingProfilesRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.ReportChargingProfilesResponse(),
    ),
    "SignCertificate": Inbound(
        wire=wire.SignCertificateRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.SignCertificateResponse(status="Rejected"),
    ),
    "Get15118EVCertificate": Inbound(
        wire=wire.Get15118EVCertificateRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.Get15118EVCertificateResponse(status="Failed", exiResponse=""),
    ),
    "GetCertificateStatus": Inbound(
        wire=wire.GetCertificateStatusRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.GetCertificateStatusResponse(status="Failed"),
    ),
}  # fmt: skip


def _start(command: RemoteStart) -> wire.RequestStartTransactionRequest:
    if len(command.token_uid) > _TOKEN:
        raise PayloadError(Fault.PROPERTY, "an idToken has at most 36 characters", "$.idToken")
    group: wire.IdTokenType | UnsetType = UNSET
    if command.group_id and len(command.group_id) <= _TOKEN:
        group = wire.IdTokenType(idToken=command.group_id, type="Central")
    return wire.RequestStartTransactionRequest(
        evseId=UNSET if command.evse is None else command.evse,
        groupIdToken=group,
        idToken=wire.IdTokenType(
            idToken=command.token_uid, type=_TOKEN_TYPES.get(command.token_type, "Central")
        ),
        remoteStartId=command.remote_start_id,
    )


def _stop(command: RemoteStop) -> wire.RequestStopTransactionRequest:
    if command.ref is None:
        raise PayloadError(
            Fault.OCCURRENCE, "the station's own transaction id is not known", "$.transactionId"
        )
    return wire.RequestStopTransactionRequest(transactionId=command.ref)


def _reset(command: Reset) -> wire.ResetRequest:
    return wire.ResetRequest(
        type="Immediate" if command.hard else "OnIdle",
        evseId=UNSET if command.evse is None else command.evse,
    )


def _unlock(command: Unlock) -> wire.UnlockConnectorRequest:
    return wire.UnlockConnectorRequest(evseId=command.evse, connectorId=command.connector)


def _result(reply: Any) -> NeutralReply:
    return NeutralReply(
        status=str(reply.status), transaction=given(getattr(reply, "transactionId", UNSET))
    )


OUTBOUND: Final[Mapping[str, Outbound]] = {
    "RemoteStart": Outbound(
        action="RequestStartTransaction", command=RemoteStart, lower=_start, result=_result
    ),
    "RemoteStop": Outbound(
        action="RequestStopTransaction", command=RemoteStop, lower=_stop, result=_result
    ),
    "Reset": Outbound(action="Reset", command=Reset, lower=_reset, result=_result),
    "Unlock": Outbound(action="UnlockConnector", command=Unlock, lower=_unlock, result=_result),
}

DIALECT: Final = Dialect(version=Version.V201, inbound=INBOUND, outbound=OUTBOUND)
