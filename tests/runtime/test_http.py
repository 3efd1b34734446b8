"""Outbound calls against real sockets: what the guard refuses and how failures are told apart."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.runtime.http import (
    Outbound,
    OutboundRefused,
    OutboundTimeout,
    OutboundTooLarge,
    OutboundUnreachable,
)
from hub.runtime.outbound_guard import is_private_url, judge, read_url

LOCAL = "http://127.0.0.1:8000"
PUBLIC = "https://hub.example.com"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: Yes\r\n\r\nok"

Writer = asyncio.StreamWriter
Behaviour = Callable[[bytes, Writer], Awaitable[None]]


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    return head + await reader.readexactly(size)


@asynccontextmanager
async def partner(
    answer: bytes | Behaviour = OK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[list[bytes]]]]:
    """A server that answers like this; its port, and the requests of each connection so far."""
    seen: list[list[bytes]] = []
    open_links: set[Writer] = set()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        requests: list[bytes] = []
        seen.append(requests)
        open_links.add(writer)
        try:
            while True:
                requests.append(await request_of(reader))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for writer in open_links:
            writer.transport.abort()


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound(public_url=LOCAL, size_limit=1000) as made:
        yield made


async def test_a_call_carries_method_headers_and_body_and_brings_the_answer(
    outbound: Outbound,
) -> None:
    async with partner() as (port, seen):
        answer = await outbound.request(
            "PATCH",
            f"http://127.0.0.1:{port}/a%2Fb/c?q=1%202&x=%C3%BC",
            headers={"Authorization": "Token abc"},
            body=b'{"a":1}',
            timeout=5,
        )
    assert (answer.status, answer.body, answer.headers["x-seen"]) == (200, b"ok", "Yes")
    request = seen[0][0]
    assert request.startswith(b"PATCH /a%2Fb/c?q=1%202&x=%C3%BC HTTP/1.1\r\n")
    assert b"Authorization: Token abc\r\n" in request
    assert request.endswith(b'\r\n\r\n{"a":1}')


async def test_error_answers_and_redirects_are_answers_and_are_not_followed(
    outbound: Outbound,
) -> None:
    async with (
        partner() as (aim, aimed),
        partner(
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{aim}/\r\nContent-Length: 0\r\n\r\n".encode()
        ) as (port, _),
    ):
        answer = await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.status == 302
    assert answer.headers["location"].endswith(f":{aim}/")
    assert aimed == []


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://100.100.100.200/",
        "https://168.63.129.16/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://0.1.2.3/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "https://[ff02::1]/",
    ],
)
@pytest.mark.parametrize("private", ["auto", "allow", "deny"])
async def test_link_local_and_metadata_addresses_are_always_refused(url: str, private: str) -> None:
    async with Outbound(public_url=LOCAL, private=private) as outbound:  # type: ignore[arg-type]
        with pytest.raises(OutboundRefused):
            await outbound.request("GET", url, timeout=1)


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1.0x1/",
        "http://user:secret@127.0.0.1/",
        "http://@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://ex%61mple.com/",
        "http://[fe80::1%25eth0]/",
        "http:///path",
        "http://:80/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "127.0.0.1",
        "http://ü.example/",
        "",
    ],
)
def test_disguised_and_malformed_urls_are_refused(url: str) -> None:
    with pytest.raises(OutboundRefused) as caught:
        read_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("private", "public_url", "allowed"),
    [
        ("auto", LOCAL, True),
        ("auto", "http://localhost:8000", True),
        ("auto", "https://10.1.2.3", True),
        ("auto", "http://[::1]:8000", True),
        ("auto", PUBLIC, False),
        ("auto", "https://203.0.114.7", False),
        ("allow", PUBLIC, True),
        ("deny", LOCAL, False),
    ],
)
async def test_private_addresses_follow_the_setting(
    private: str, public_url: str, *, allowed: bool
) -> None:
    async with (
        partner() as (port, seen),
        Outbound(public_url=public_url, private=private) as outbound,  # type: ignore[arg-type]
    ):
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            call = outbound.request("GET", f"http://{host}:{port}/", timeout=5)
            if allowed and host != "[::ffff:127.0.0.1]":
                assert (await call).status == 200
            elif not allowed:
                with pytest.raises(OutboundRefused, match="HUB_OUTBOUND_PRIVATE"):
                    await call
            else:
                call.close()
    assert bool(seen) is allowed


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::1"]
)
def test_every_private_range_counts_as_private(address: str) -> None:
    for scheme in ("http", "https"):
        assert judge(ip_address(address), scheme=scheme, private_allowed=True) is None
        assert judge(ip_address(address), scheme=scheme, private_allowed=False)
    assert is_private_url(f"http://[{address}]/" if ":" in address else f"http://{address}/")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_public_addresses_are_called_with_tls_only(address: str) -> None:
    assert judge(ip_address(address), scheme="https", private_allowed=False) is None
    assert "TLS" in (judge(ip_address(address), scheme="http", private_allowed=True) or "")


def answers_in_turn(*answers: list[str]) -> tuple[Callable[[str], Awaitable[list[str]]], list[str]]:
    asked: list[str] = []

    async def lookup(host: str) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return lookup, asked


async def test_the_address_that_was_judged_is_the_address_that_is_called() -> None:
    # The name would move to a metadata address right after it was judged.
    lookup, asked = answers_in_turn(["127.0.0.1"], ["169.254.169.254"])
    async with partner() as (port, seen), Outbound(public_url=LOCAL, lookup=lookup) as outbound:
        url = f"http://rebinding.example:{port}/"
        assert (await outbound.request("GET", url, timeout=5)).status == 200
        assert (await outbound.request("GET", url, timeout=5)).status == 200
        assert asked == ["rebinding.example"]  # the second call used the kept connection
        assert len(seen) == 1
        assert f"Host: rebinding.example:{port}".encode() in seen[0][0]
        with pytest.raises(OutboundRefused, match="metadata"):
            await outbound.request("GET", url, timeout=5, partner="another pool")


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1", "169.254.169.254"], ["93.184.216.34", "10.0.0.1"], ["fe80::1%eth0"]],
    ids=["metadata-second", "private-second", "scoped"],
)
async def test_one_forbidden_address_refuses_the_whole_name(addresses: list[str]) -> None:
    lookup, _ = answers_in_turn(addresses)
    async with Outbound(public_url=PUBLIC, lookup=lookup) as outbound:
        with pytest.raises(OutboundRefused, match=r"names\.example"):
            await outbound.request("GET", "https://names.example/", timeout=5)


async def test_a_name_without_an_address_is_unreachable_and_surely_not_delivered(
    outbound: Outbound,
) -> None:
    with pytest.raises(OutboundUnreachable, match="cannot be resolved") as caught:
        await outbound.request("GET", "http://nothing.invalid/", timeout=5)
    assert not caught.value.maybe_delivered


async def test_a_closed_port_is_unreachable_and_surely_not_delivered(outbound: Outbound) -> None:
    async with partner() as (port, _):
        pass
    with pytest.raises(OutboundUnreachable, match="cannot connect") as caught:
        await outbound.request("POST", f"http://127.0.0.1:{port}/", body=b"x", timeout=5)
    assert not caught.value.maybe_delivered


def zeros(size: int) -> bytes:
    packed = gzip.compress(b"0" * size)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    return head.encode() + packed


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        CHUNKED + b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n" + b"x" * 501 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000,
        zeros(10_000_000),
    ],
    ids=["announced", "chunked", "until-close", "compression-bomb"],
)
async def test_an_answer_beyond_the_limit_is_cut_off(outbound: Outbound, answer: bytes) -> None:
    async with partner(answer) as (port, _):
        with pytest.raises(OutboundTooLarge, match="1000 bytes"):
            await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=5)


async def test_a_compressed_answer_within_the_limit_is_inflated(outbound: Outbound) -> None:
    async with partner(zeros(1000)) as (port, _):
        answer = await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=5)
    assert answer.body == b"0" * 1000


async def dripping(_: bytes, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    for _count in range(900):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silent(_: bytes, writer: Writer) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("behaviour", [dripping, silent])
async def test_a_slow_answer_ends_at_the_deadline_of_the_whole_call(
    outbound: Outbound, behaviour: Behaviour
) -> None:
    clock = asyncio.get_running_loop().time
    async with partner(behaviour) as (port, _):
        began = clock()
        with pytest.raises(OutboundTimeout, match=r"0\.2 s") as caught:
            await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=0.2)
        assert clock() - began < 2
    assert caught.value.maybe_delivered


async def cut_short(_: bytes, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    writer.write_eof()


async def closed_unanswered(_: bytes, writer: Writer) -> None:
    writer.close()


async def not_http(_: bytes, writer: Writer) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (cut_short, "announced length"),
        (closed_unanswered, "before an answer"),
        (not_http, "not proper HTTP"),
    ],
)
async def test_a_half_closed_or_garbled_answer_is_unreachable_but_maybe_delivered(
    outbound: Outbound, behaviour: Behaviour, reason: str
) -> None:
    async with partner(behaviour) as (port, _):
        with pytest.raises(OutboundUnreachable, match=reason) as caught:
            await outbound.request("POST", f"http://127.0.0.1:{port}/", body=b"x", timeout=5)
    assert caught.value.maybe_delivered


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"": "b"}])
async def test_headers_cannot_smuggle_others(outbound: Outbound, headers: dict[str, str]) -> None:
    async with partner() as (port, seen):
        with pytest.raises(OutboundRefused, match="forbidden characters"):
            await outbound.request("GET", f"http://127.0.0.1:{port}/", headers=headers, timeout=5)
    assert not any(seen)


async def test_each_partner_has_a_bounded_pool_of_its_own(outbound: Outbound) -> None:
    gate = asyncio.Event()

    async def gated(request: bytes, writer: Writer) -> None:
        if request.startswith(b"GET /slow"):
            await gate.wait()
        writer.write(OK)

    async with partner(gated) as (port, seen):
        url = f"http://127.0.0.1:{port}"
        slow = [
            asyncio.create_task(outbound.request("GET", f"{url}/slow", timeout=20, partner="slow"))
            for _ in range(20)
        ]
        while len(seen) < 8:
            await asyncio.sleep(0)
        for _ in range(3):
            await outbound.request("GET", f"{url}/fast", timeout=5, partner="fast")
        assert len(seen) == 9  # eight for the slow partner, one kept for the fast one
        gate.set()
        assert [answer.status for answer in await asyncio.gather(*slow)] == [200] * 20
        assert len(seen) == 9


async def test_idle_pools_beyond_the_limit_are_closed() -> None:
    async with partner() as (port, seen), Outbound(public_url=LOCAL, pool_limit=2) as outbound:
        for name in ("a", "b", "c", "b", "a"):
            await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=5, partner=name)
        assert [len(requests) for requests in seen] == [1, 2, 1, 1]  # b was kept, a was not


async def test_every_call_is_observed_with_its_outcome() -> None:
    heard: list[tuple[str, str, str]] = []

    def observe(name: str, method: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        heard.append((name, method, outcome))

    async with (
        partner(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as (port, _),
        Outbound(public_url=LOCAL, observe=observe) as outbound,
    ):
        await outbound.request("GET", f"http://127.0.0.1:{port}/", timeout=5, partner="NL-ABC")
        with pytest.raises(OutboundRefused):
            await outbound.request("PUT", "http://169.254.169.254/", timeout=5)
    assert heard == [("NL-ABC", "GET", "4xx"), ("", "PUT", "outbound_refused")]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate for ``partner.example``, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partner.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("partner.example")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "partner.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_tls_is_checked_against_the_name_although_the_address_is_pinned(
    certificate: Path,
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    lookup, _ = answers_in_turn(["127.0.0.1"])
    async with (
        partner(tls=server) as (port, _seen),
        Outbound(public_url=LOCAL, lookup=lookup, tls=trust) as trusting,
        Outbound(public_url=LOCAL, lookup=lookup) as strict,
    ):
        url = f"https://partner.example:{port}/"
        assert (await trusting.request("GET", url, timeout=5)).body == b"ok"
        for outbound, host in ((strict, "partner.example"), (trusting, "other.example")):
            with pytest.raises(OutboundUnreachable, match="certificate is not trusted") as caught:
                await outbound.request("GET", f"https://{host}:{port}/", timeout=5)
            assert not caught.value.maybe_delivered
