"""The demo is the promise of the first page: it must hold in one go, on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.runtime.locks import FileLock
from hub.sim.child import free_port


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(holds: Callable[[], bool], what: str, within: float) -> None:
    """Return once it holds; fail when it does not in time."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, f"not in {within} s: {what}"
        time.sleep(0.05)


@pytest.mark.timeout(120)
def test_the_demo_runs_its_journeys_once_and_everything_holds() -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HUB_")}
    ports = {"HUB_HTTP_PORT": str(free_port()), "HUB_OCPP_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "hub", "demo", "--once", "--json"],
        env=kept | ports,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    failed = [check for check in said["checks"] if not check["ok"]]
    assert failed == [], done.stderr[-2000:]
    assert (done.returncode, said["ok"]) == (0, True)
    begins = {check["name"].split("_")[0] for check in said["checks"]}
    assert {"roaming", "statement", "ledger"} <= begins
    assert said["ledger"]["balanced"] is True
    assert said["cdrs"]
    assert said["timings"]["total_s"] < 60


@pytest.mark.timeout(120)
def test_a_killed_demo_leaves_no_server_behind(tmp_path: Path) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HUB_")}
    http = free_port()
    own = {"HUB_HTTP_PORT": str(http), "HUB_OCPP_PORT": str(free_port()), "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-m", "hub", "demo"], env=kept | own, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(http), "the demo's hub answers", 60)
        (lock,) = tmp_path.glob("hub-demo-*/hub.lock")
    finally:
        demo.kill()
        demo.wait()
    until(lambda: FileLock(lock).is_free(), "the hub ends by itself", 20)
    assert not answers(http)


def test_a_network_that_is_not_there_ends_the_demo_before_it_starts(tmp_path: Path) -> None:
    missing = tmp_path / "network.json"
    done = subprocess.run(
        [sys.executable, "-m", "hub", "demo", "--locations", str(missing)],
        env={name: text for name, text in os.environ.items() if not name.startswith("HUB_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"hub: --locations: there is no file {missing}\n"
