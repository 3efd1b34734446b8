"""Which addresses our own HTTP calls may reach: a pure judgement, so that no URL that a partner
gives us can be turned against the inner network.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

from yarl import URL

from hub.kernel import HubError

Private = Literal["auto", "allow", "deny"]
Address = IPv4Address | IPv6Address

# Cloud metadata outside the link-local range: AWS and Google by IPv6, Alibaba, Azure, Oracle.
_METADATA: Final = frozenset(
    map(
        ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
_SHARED: Final = IPv4Network("100.64.0.0/10")  # carrier-grade NAT, RFC 6598
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, 8215
_COMPATIBLE: Final = IPv6Network("::/96")
_NAME: Final = re.compile(
    r"(?=.{1,253}\.?\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


class OutboundRefused(HubError):
    """A call that the outbound guard does not allow. ``url`` without its query, ``reason``."""

    code = "outbound_refused"
    status = 422

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"will not call {self.url}: {self.reason}"


def shown(url: str) -> str:
    """A URL fit for logs and errors: without user, query and fragment."""
    return re.sub(r"//[^/@]*@", "//", url.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0])[:200]


def read_url(text: str) -> URL:
    """An absolute http or https URL without tricks, byte for byte; else ``OutboundRefused``."""
    if not text.isascii() or any(mark <= " " or mark in '\\"<>^`{|}\x7f' for mark in text):
        raise OutboundRefused(shown(text), "the URL holds characters that must be encoded")
    try:
        url = URL(text, encoded=True)
        host, port = url.raw_host or "", url.port
    except ValueError as error:
        raise OutboundRefused(shown(text), "the URL is malformed") from error
    if url.scheme not in {"http", "https"}:
        raise OutboundRefused(shown(text), "only http and https are called")
    if "@" in url.raw_authority:
        raise OutboundRefused(shown(text), "a URL must not hold a user or password")
    if not host or not port or not (_literal(host) or _is_name(host)):
        raise OutboundRefused(shown(text), "the URL names no proper host")
    return url


def literal_of(url: URL) -> Address | None:
    """The address that the URL names as such, if it does not name a host."""
    return _literal(url.raw_host or "")


def is_private_url(text: str) -> bool:
    """Whether a URL points to this machine or a private address by its own words, without DNS."""
    host = (URL(text).host or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    found = _literal(host)
    return found is not None and _is_private(_unwrapped(found))


def judge(address: Address, *, scheme: str, private_allowed: bool) -> str | None:
    """Why this address must not be called, or ``None`` if it may be."""
    real = _unwrapped(address)
    if real.is_link_local or real in _METADATA:
        return f"{real} is a link-local or metadata address"
    if real.is_unspecified or real.is_multicast or real in _THIS_NETWORK:
        return f"{real} is not the address of one host"
    if _is_private(real):
        if private_allowed:
            return None
        return f"{real} is loopback or private (see HUB_OUTBOUND_PRIVATE)"
    if not real.is_global:
        return f"{real} is a reserved address"
    if scheme != "https":
        return "http without TLS is allowed to loopback and private addresses only"
    return None


def _is_private(address: Address) -> bool:
    reserved = address.is_reserved and not address.is_loopback
    return (address.is_private and not reserved) or address in _SHARED


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that is only a way of reaching it."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    if address.teredo:
        return address.teredo[1]
    embedded = any(address in network for network in _NAT64)
    compatible = address in _COMPATIBLE and int(address) > 0xFFFF
    return IPv4Address(int(address) & 0xFFFF_FFFF) if embedded or compatible else address


def _literal(host: str) -> Address | None:
    try:
        found = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return None if isinstance(found, IPv6Address) and found.scope_id else found


def _is_name(host: str) -> bool:
    # A name whose last label is a number is an address in disguise (WHATWG URL section 3.5).
    last = host.rstrip(".").rpartition(".")[2]
    return bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(last)
