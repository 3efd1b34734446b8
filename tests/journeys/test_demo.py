"""The demo is the promise of the first page: it must hold in one go, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hub.sim.child import free_port


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
