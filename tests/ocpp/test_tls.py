"""The TLS listener: profile 2 by password, profile 3 by certificate (whitepaper, A00)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.ocpp.stations import Station, basic, door, known
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from hub.ocpp.server import Listen
from hub.ocpp.tls import server_context
from hub.runtime import Database

PASSWORD = "sixteen-letters!"


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate and its key as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return str(pem), str(secret)


def together(folder: Path, pairs: Iterable[tuple[str, str]]) -> str:
    """One file with all the certificates."""
    roots = folder / "roots.pem"
    roots.write_text("".join(Path(pem).read_text() for pem, _ in pairs))
    return str(roots)


CASES = {
    "profile 2 with its password": (2, basic("CP1", PASSWORD), None, 101),
    "profile 2 without": (2, None, None, 401),
    "A_07 profile 3 with its certificate": (3, None, "CP1", 101),
    "profile 3 with another's certificate": (3, None, "CP2", 401),
    "profile 3 without": (3, None, None, 401),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_profiles_over_tls(
    database: Database, tmp_path: Path, case: tuple[int, dict[str, str] | None, str | None, int]
) -> None:
    profile, headers, shown, status = case
    ours = certificate(tmp_path, "hub")
    stations = {name: certificate(tmp_path, name) for name in ("CP1", "CP2")}
    context = server_context(*ours, client_ca=together(tmp_path, stations.values()))
    trust = ssl.create_default_context(cafile=ours[0])
    if shown:
        trust.load_cert_chain(*stations[shown])
    await known(database, "CP1", profile=profile, password=PASSWORD)
    listen = Listen(port=0, tls=context, tls_port=0)
    async with door(database, listen=listen) as at:
        url = f"wss://localhost:{at.server.tls_port}/ocpp/CP1"
        dial = connect(
            url, ssl=trust, subprotocols=[Subprotocol("ocpp1.6")], additional_headers=headers,
            proxy=None,
        )  # fmt: skip
        if status == 101:
            async with dial as socket:
                assert (await Station(socket).boot())["status"] == "Accepted"
            return
        with pytest.raises(InvalidStatus) as raised:
            await dial
        assert raised.value.response.status_code == status


def test_older_tls_is_not_spoken(tmp_path: Path) -> None:
    context = server_context(*certificate(tmp_path, "hub"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
