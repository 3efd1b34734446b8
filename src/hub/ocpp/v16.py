"""OCPP 1.6 and its security extension as a dialect: connector n is EVSE n, connector 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
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
)
from hub.ocpp import wire16 as wire
from hub.ocpp.dialect import (
    Dialect,
    Heard,
    Inbound,
    Message,
    Outbound,
    Outcome,
    SecurityEventTold,
    always,
    given,
    instant,
    number,
    whole,
)
from hub.ocpp.errors import PayloadError
from hub.ocpp.units import REGISTER, amount, scaled
from hub.ocpp.versions import Fault, Version
from hub.stations import BootAnswer, EvseStatus
from hub.stations.commands import NeutralReply, RemoteStart, RemoteStop, Reset, Unlock
from hub.stations.messages import StationBooted, StatusReported

_TAG: Final = 20

# OCPI 2.2.1 mod_locations, from the status words of 1.6 section 7.7 (rule L-8). A connector that
# prepares is still free for whoever stands before it with an app.
_STATUSES: Final[Mapping[str, EvseStatus]] = {
    "Available": "AVAILABLE", "Preparing": "AVAILABLE", "Charging": "CHARGING",
    "SuspendedEVSE": "CHARGING", "SuspendedEV": "CHARGING", "Finishing": "CHARGING",
    "Reserved": "RESERVED", "Unavailable": "INOPERATIVE", "Faulted": "OUTOFORDER",
}  # fmt: skip

_TOKEN_STATUSES: Final[Mapping[str, wire.IdTagInfoStatus]] = {
    "Accepted": "Accepted", "Blocked": "Blocked", "Expired": "Expired", "Invalid": "Invalid",
    "ConcurrentTx": "ConcurrentTx", "NoCredit": "Blocked",
}  # fmt: skip


def _booted(asked: wire.BootNotificationRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        StationBooted(
            station=heard.station,
            at=heard.at,
            protocol="ocpp1.6",
            vendor=asked.chargePointVendor,
            model=asked.chargePointModel,
            serial=given(asked.chargePointSerialNumber) or given(asked.chargeBoxSerialNumber),
            firmware=given(asked.firmwareVersion),
        ),
    )


def _boot_reply(_: object, outcome: Outcome, now: datetime) -> wire.BootNotificationResponse:
    assert isinstance(outcome, BootAnswer)
    return wire.BootNotificationResponse(
        status=outcome.status, currentTime=whole(now), interval=outcome.interval
    )


def _authorize(asked: wire.AuthorizeRequest, heard: Heard) -> tuple[Message, ...]:
    return (AuthorizeAsked(station=heard.station, token=IdToken(asked.idTag)),)


def _info(answer: TokenAnswer | None) -> wire.IdTagInfo:
    if answer is None:
        return wire.IdTagInfo(status="Invalid")
    group = answer.group if answer.group and len(answer.group) <= _TAG else UNSET
    return wire.IdTagInfo(
        status=_TOKEN_STATUSES.get(answer.status, "Invalid"),
        expiryDate=whole(answer.expires_at) if answer.expires_at else UNSET,
        parentIdTag=group,
    )


def _authorize_reply(_: object, outcome: Outcome, __: datetime) -> wire.AuthorizeResponse:
    assert isinstance(outcome, TokenAnswer)
    return wire.AuthorizeResponse(idTagInfo=_info(outcome))


def _started(asked: wire.StartTransactionRequest, heard: Heard) -> tuple[Message, ...]:
    return (
        TransactionStarted(
            station=heard.station,
            transaction=Transaction(),
            at=instant(asked.timestamp, heard),
            received_at=heard.at,
            evse=number(asked.connectorId, "$.connectorId"),
            connector=1,
            token=IdToken(asked.idTag),
            meter_start=Decimal(asked.meterStart),
            reservation=given(asked.reservationId),
        ),
    )


def _start_reply(_: object, outcome: Outcome, __: datetime) -> wire.StartTransactionResponse:
    assert isinstance(outcome, StartAnswer)
    return wire.StartTransactionResponse(
        idTagInfo=_info(outcome.token), transactionId=outcome.number
    )


def _stopped(asked: wire.StopTransactionRequest, heard: Heard) -> tuple[Message, ...]:
    tag = given(asked.idTag)
    return (
        TransactionEnded(
            station=heard.station,
            transaction=Transaction(number=asked.transactionId),
            at=instant(asked.timestamp, heard),
            received_at=heard.at,
            meter_stop=Decimal(asked.meterStop),
            readings=_readings(given(asked.transactionData) or (), heard),
            # 1.6 section 7.36: a stop without a reason is a local one.
            reason=given(asked.reason) or "Local",
            token=IdToken(tag) if tag else None,
        ),
    )


def _stop_reply(
    asked: wire.StopTransactionRequest, outcome: Outcome, _: datetime
) -> wire.StopTransactionResponse:
    assert isinstance(outcome, EndAnswer)
    if isinstance(asked.idTag, UnsetType) or outcome.token is None:
        return wire.StopTransactionResponse()
    return wire.StopTransactionResponse(idTagInfo=_info(outcome.token))


def _metered(asked: wire.MeterValuesRequest, heard: Heard) -> tuple[Message, ...]:
    transaction = given(asked.transactionId)
    return (
        MetersSampled(
            station=heard.station,
            received_at=heard.at,
            evse=number(asked.connectorId, "$.connectorId"),
            transaction=None if transaction is None else Transaction(number=transaction),
            readings=_readings(asked.meterValue, heard),
        ),
    )


def _readings(
    values: Sequence[wire.MeterValue] | Sequence[wire.TransactionData], heard: Heard
) -> tuple[Reading, ...]:
    found = []
    for value in values:
        at = instant(value.timestamp, heard)
        found += [_reading(sample, at) for sample in value.sampledValue]
    return tuple(one for one in found if one is not None)


def _reading(
    sample: wire.SampledValue | wire.TransactionDataSampledValue, at: datetime
) -> Reading | None:
    signed = sample.value if given(sample.format) == "SignedData" else None
    value = Decimal(0) if signed is not None else amount(sample.value)
    measurand = given(sample.measurand) or REGISTER
    found = None if value is None else scaled(value, measurand, given(sample.unit))
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
    evse = number(asked.connectorId, "$.connectorId")
    return (
        StatusReported(
            station=heard.station,
            at=instant(asked.timestamp, heard),
            evse=evse,
            connector=1 if evse else 0,
            status=_STATUSES.get(asked.status, "UNKNOWN"),
            raw=asked.status,
            error=None if asked.errorCode == "NoError" else asked.errorCode,
            vendor_error=given(asked.vendorErrorCode),
            detail=given(asked.info),
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
        wire=wire.AuthorizeRequest, lane=always("action"), messages=_authorize,
        reply=_authorize_reply,
    ),
    "StartTransaction": Inbound(
        wire=wire.StartTransactionRequest, lane=always("action"), messages=_started,
        reply=_start_reply,
    ),
    "StopTransaction": Inbound(
        wire=wire.StopTransactionRequest, lane=always("action"), messages=_stopped,
        reply=_stop_reply,
    ),
    "MeterValues": Inbound(
        wire=wire.MeterValuesRequest, lane=always("journal"), messages=_metered,
        reply=lambda *_: wire.MeterValuesResponse(),
    ),
    "StatusNotification": Inbound(
        wire=wire.StatusNotificationRequest, lane=always("journal"), messages=_status,
        reply=lambda *_: wire.StatusNotificationResponse(),
    ),
    "SecurityEventNotification": Inbound(
        wire=wire.SecurityEventNotificationRequest, lane=always("journal"), messages=_security,
        reply=lambda *_: wire.SecurityEventNotificationResponse(),
    ),
    "Heartbeat": Inbound(
        wire=wire.HeartbeatRequest, lane=always("log"), messages=_nothing, reply=_heartbeat_reply
    ),
    "DataTransfer": Inbound(
        wire=wire.DataTransferRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.DataTransferResponse(status="UnknownVendorId"),
    ),
    "DiagnosticsStatusNotification": Inbound(
        wire=wire.DiagnosticsStatusNotificationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.DiagnosticsStatusNotificationResponse(),
    ),
    "FirmwareStatusNotification": Inbound(
        wire=wire.FirmwareStatusNotificationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.FirmwareStatusNotificationResponse(),
    ),
    "LogStatusNotification": Inbound(
        wire=wire.LogStatusNotificationRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.LogStatusNotificationResponse(),
    ),
    "SignedFirmwareStatusNotification": Inbound(
        wire=wire.SignedFirmwareStatusNotificationRequest, lane=always("journal"),
        messages=_nothing, reply=lambda *_: wire.SignedFirmwareStatusNotificationResponse(),
    ),
    "SignCertificate": Inbound(
        wire=wire.SignCertificateRequest, lane=always("journal"), messages=_nothing,
        reply=lambda *_: wire.SignCertificateResponse(status="Rejected"),
    ),
}  # fmt: skip


def _start(command: RemoteStart) -> wire.RemoteStartTransactionRequest:
    if len(command.token_uid) > _TAG:
        raise PayloadError(Fault.PROPERTY, "an idTag has at most 20 characters", "$.idTag")
    return wire.RemoteStartTransactionRequest(
        idTag=command.token_uid, connectorId=UNSET if command.evse is None else command.evse
    )


def _stop(command: RemoteStop) -> wire.RemoteStopTransactionRequest:
    return wire.RemoteStopTransactionRequest(transactionId=command.number)


def _reset(command: Reset) -> wire.ResetRequest:
    return wire.ResetRequest(type="Hard" if command.hard else "Soft")


def _unlock(command: Unlock) -> wire.UnlockConnectorRequest:
    return wire.UnlockConnectorRequest(connectorId=command.evse)


def _result(reply: Any) -> NeutralReply:
    return NeutralReply(status=str(reply.status))


OUTBOUND: Final[Mapping[str, Outbound]] = {
    "RemoteStart": Outbound(
        action="RemoteStartTransaction", command=RemoteStart, lower=_start, result=_result
    ),
    "RemoteStop": Outbound(
        action="RemoteStopTransaction", command=RemoteStop, lower=_stop, result=_result
    ),
    "Reset": Outbound(action="Reset", command=Reset, lower=_reset, result=_result),
    "Unlock": Outbound(action="UnlockConnector", command=Unlock, lower=_unlock, result=_result),
}

DIALECT: Final = Dialect(version=Version.V16, inbound=INBOUND, outbound=OUTBOUND)
