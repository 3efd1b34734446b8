"""P5: bytes per idle station, plain and TLS, the whole hub's state included.

Floor: ``echo.py`` (bare websockets on uvloop). Candidate: ``hub serve`` after a boot of each.
Goals: at most 1.6 times the floor plain, 1.3 times with TLS. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hub.sim.child import HubChild
from tests.bench.machine import Child, cpu_seconds, facts, free_port, resident, wait_for_port
from tests.bench.proving import durable_postgres, enrol

GOALS = {"plain": 1.6, "tls": 1.3}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    start = datetime.fromtimestamp(time.time(), UTC) - timedelta(minutes=5)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "bench.pem", folder / "bench.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def idle(pid: int, url: str, count: int, ca: Path | None) -> tuple[float, float]:
    """Kilobytes per idle station, and percent of a core while nothing happens."""
    before = resident(pid)
    with Child("idle", url, str(count), *([str(ca)] if ca else [])) as stations:
        if stations.line().strip() != str(count):
            raise RuntimeError("not every station booted")
        time.sleep(1)
        each = (resident(pid) - before) / 1024 / count
        spent, begun = cpu_seconds(pid), time.monotonic()
        time.sleep(3)
        share = (cpu_seconds(pid) - spent) / (time.monotonic() - begun) * 100
    return each, share


async def measure(count: int, folder: Path) -> dict[str, Any]:
    """Floor and hub, plain and TLS, each on a fresh process."""
    cert, key = certificate(folder)
    found: dict[str, Any] = {}
    for kind, ca in (("plain", None), ("tls", cert)):
        scheme = "wss" if ca else "ws"
        port = free_port()
        with Child("echo", str(port), *([str(cert), str(key)] if ca else [])) as echo:
            wait_for_port(port)
            floor, _ = await asyncio.to_thread(
                idle, echo.pid, f"{scheme}://127.0.0.1:{port}", count, ca
            )
        tls_port = str(free_port())
        with durable_postgres() as url:
            settings = {"HUB_DATABASE_URL": url, "HUB_LOG_LEVEL": "warning"}
            if ca:
                settings |= {
                    "HUB_OCPP_TLS_CERT": str(cert),
                    "HUB_OCPP_TLS_KEY": str(key),
                    "HUB_OCPP_TLS_PORT": tls_port,
                }
            async with HubChild(folder / kind, settings) as hub:
                await enrol(url, [f"A{n:05d}" for n in range(count)])
                port_of_hub = tls_port if ca else hub.settings["HUB_OCPP_PORT"]
                ours, share = await asyncio.to_thread(
                    idle, hub.pid, f"{scheme}://127.0.0.1:{port_of_hub}/ocpp", count, ca
                )
        found[kind] = {
            "floor_kb": round(floor, 1),
            "candidate_kb": round(ours, 1),
            "ratio": round(ours / floor, 2),
            "goal_at_most": GOALS[kind],
            "idle_cpu_percent": round(share, 2),
        }
    return found


async def main() -> int:
    """Both kinds; exits 1 when a ratio is beyond its goal by a quarter."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stations", type=int, default=2000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        cases = await measure(asked.stations, Path(folder))
    print(json.dumps({"P5": cases, "stations": asked.stations, "machine": facts()}, indent=1))
    return 0 if all(c["ratio"] <= c["goal_at_most"] * 1.25 for c in cases.values()) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
