"""How a call to others can fail, in the words that a partner's engineer needs."""

from __future__ import annotations

import aiohttp

from hub.kernel import HubError


class OutboundError(HubError):
    """A call that got no usable answer. ``maybe_delivered`` is false if surely nothing arrived."""

    code = "outbound_failed"
    status = 502

    def __init__(self, url: str, reason: str, *, maybe_delivered: bool) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason
        self.maybe_delivered = maybe_delivered

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


class OutboundTimeout(OutboundError):
    """The other side took longer than the caller allowed."""

    code = "outbound_timeout"
    status = 504


class OutboundUnreachable(OutboundError):
    """No connection, no trust in its certificate, or an answer cut short or malformed."""

    code = "outbound_unreachable"


class OutboundTooLarge(OutboundError):
    """An answer beyond the size limit; it was not read to its end."""

    code = "outbound_too_large"


def reason_of(error: aiohttp.ClientError) -> str:
    """What a partner's engineer needs to read, without the library's own words around it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS connection could be agreed on"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before an answer came"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer ended before its announced length"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not proper HTTP"
    return str(error) or type(error).__name__


def maybe_delivered(error: aiohttp.ClientError) -> bool:
    """Whether the request may have arrived although no answer came."""
    never = (aiohttp.ClientConnectorError, aiohttp.ClientSSLError, aiohttp.InvalidURL)
    return not isinstance(error, never)
