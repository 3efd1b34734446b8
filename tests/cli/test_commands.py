"""The command line as a person or a script meets it: real processes on a real database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from hub.cli.openapi import documents

ROOT = Path(__file__).parents[2]


def environment(url: str, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return kept | {"HUB_DATABASE_URL": url, "HUB_DATA_DIR": str(folder)} | more


def hub(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", *arguments], env=env, capture_output=True, text=True,
        timeout=50, check=False,
    )  # fmt: skip


def only_json(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n") == 1
    found = json.loads(ran.stdout)
    assert isinstance(found, dict)
    return found


def test_registering_prints_exactly_the_promised_members(database_url: str, tmp_path: Path) -> None:
    env = environment(database_url, tmp_path)
    station = only_json(hub("station", "add", "CP-1", "--profile", "1", "--json", env=env))
    assert set(station) == {"station_id", "url", "password"}
    assert station["url"] == "ws://127.0.0.1:9000/ocpp/CP-1"
    partner = only_json(
        hub("partner", "invite", "--country", "NL", "--party", "EXM", "--role", "EMSP", "--json",
            env=env)
    )  # fmt: skip
    assert set(partner) == {"partner_id", "versions_url", "token"}
    assert partner["versions_url"] == "http://127.0.0.1:8000/ocpi/versions"
    token = only_json(hub("token", "create", "--role", "admin", "--json", env=env))
    assert set(token) == {"token"}
    books = only_json(hub("ledger", "verify", "--json", env=env))
    assert books["ok"] is True
    assert {frozenset(proof) for proof in books["proofs"]} == {frozenset({"name", "ok", "detail"})}


def test_an_error_is_one_line_with_exit_code_2(database_url: str, tmp_path: Path) -> None:
    env = environment(database_url, tmp_path)
    hub("station", "add", "CP-1", env=env)
    twice = hub("station", "add", "cp-1", env=env)
    unknown = hub("token", "create", "--role", "admin", env=env | {"HUB_HTP_PORT": "1"})
    nowhere = hub(
        "ledger", "verify", env=env | {"HUB_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
    )
    roles = hub("serve", "--roles", "api,kitchen", env=env)
    for ran in (twice, unknown, nowhere, roles):
        assert ran.returncode == 2, ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert ran.stderr.startswith("hub: ")
        assert ran.stdout == ""
    assert "did you mean HUB_HTTP_PORT" in unknown.stderr
    assert "HUB_DATABASE_URL" in nowhere.stderr


def test_the_doctor_names_a_busy_port_and_hides_secrets(database_url: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        env = environment(
            database_url, tmp_path, HUB_HTTP_PORT=port, HUB_ADMIN_TOKEN="very-secret-word"
        )
        ran = hub("doctor", "--json", env=env)
    assert ran.returncode == 1
    found = json.loads(ran.stdout)
    assert "very-secret-word" not in ran.stdout
    assert database_url not in ran.stdout
    verdicts = {finding["name"]: finding["verdict"] for finding in found["findings"]}
    assert verdicts[f"port {port}"] == "problem"
    assert verdicts["schema"] == "ok"
    assert verdicts["clock"] == "ok"


def test_the_doctor_says_what_to_do_about_each_thing_that_keeps_a_hub_from_working(
    tmp_path: Path,
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    fine = kept | {"HUB_DATA_DIR": str(tmp_path / "new"), "HUB_HTTP_PORT": "0",
                   "HUB_OCPP_PORT": "0"}  # fmt: skip
    (tmp_path / "file").touch()
    cases: dict[str, tuple[dict[str, str], str, str]] = {
        "nobody answers": ({"HUB_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "database",
                           "start that Postgres"),
        "no Postgres URL": ({"HUB_DATABASE_URL": "mysql://x"}, "database", "HUB_DATABASE_URL"),
        "a file": ({"HUB_DATA_DIR": str(tmp_path / "file")}, "data folder", "HUB_DATA_DIR"),
        "foreign host": ({"HUB_HTTP_HOST": "192.0.2.1"}, "port 0", "HUB_HTTP_HOST"),
        "one port twice": ({"HUB_HTTP_PORT": "18999", "HUB_OCPP_PORT": "18999"}, "port 18999",
                           "HUB_OCPP_PORT to another"),
        "no certificate": ({"HUB_HTTP_TLS_CERT": "/nowhere.pem"}, "certificate",
                           "HUB_HTTP_TLS_KEY"),
    }  # fmt: skip
    assert hub("doctor", env=fine).returncode == 0
    assert not (tmp_path / "new").exists(), "looking must not make anything"
    for case, (settings, name, advice) in cases.items():
        ran = hub("doctor", "--json", env=fine | settings)
        assert ran.returncode == 1, (case, ran.stdout, ran.stderr)
        bad = [one for one in json.loads(ran.stdout)["findings"] if one["verdict"] == "problem"]
        assert [one["name"] for one in bad] == [name], case
        assert advice in bad[0]["advice"], case


def test_the_descriptions_cannot_be_written_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = hub("openapi", "--folder", str(tmp_path / "file"), env=dict(os.environ))
    assert ran.returncode == 2
    assert "--folder" in ran.stderr


def test_every_event_is_described_with_name_version_and_schema() -> None:
    found = json.loads(documents()["events.json"])
    names = [one["name"] for one in found["events"]]
    assert names == sorted(set(names))
    assert {"charging.SessionClosed", "settlement.CdrIssued", "tariffs.TariffChanged"} <= set(names)
    for one in found["events"]:
        assert one["version"] >= 1
        assert one["schema"]["$ref"].removeprefix("#/schemas/") in found["schemas"]


def test_the_committed_openapi_document_is_what_the_program_serves() -> None:
    assert set(documents()) == {"hub.json", "ocpi-2.2.1.json", "events.json"}
    for name, body in documents().items():
        committed = (ROOT / "openapi" / name).read_bytes()
        assert committed == body, "run `hub openapi` and commit what it writes"


def test_every_operation_documents_its_problems() -> None:
    document = json.loads(documents()["hub.json"])
    for path, item in document["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        for method, operation in item.items():
            answers = operation["responses"]
            assert {"400", "401", "403", "500", "503"} <= set(answers), (method, path)
            assert "{" not in path or "404" in answers or method == "put", (method, path)
            for status, answer in answers.items():
                if status >= "400":
                    assert set(answer["content"]) == {"application/problem+json"}


class Served:
    """A running ``hub serve``."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hub", "serve", *arguments], env=env,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.lines: list[str] = []
        for line in self.process.stderr:
            self.lines.append(line)
            if "hub: ready" in line:
                break
        found = re.search(r"console (http://\S+)/console", self.lines[-1])
        assert found, self.lines
        self.base = found[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=20)
        return self.process.returncode


def test_a_served_hub_answers_says_one_ready_line_and_leaves_on_sigterm(
    database_url: str, tmp_path: Path
) -> None:
    env = environment(
        database_url, tmp_path, HUB_HTTP_PORT="0", HUB_OCPP_PORT="0", HUB_ADMIN_TOKEN="t" * 20
    )
    served = Served(env)
    try:
        assert httpx.get(f"{served.base}/readyz").json() == {"status": "ready"}
        login = {"authorization": "Bearer " + "t" * 20}
        assert httpx.get(f"{served.base}/api/v1/stations", headers=login).status_code == 200
        made = only_json(hub("station", "add", "BESIDE", "--json", env=env))
        listed = httpx.get(f"{served.base}/api/v1/stations", headers=login).json()["items"]
        assert [one["station_id"] for one in listed] == [made["station_id"]]
        assert httpx.get(f"{served.base}/console").status_code == 401
        ready = [line for line in served.lines if "ready" in line]
        assert len(ready) == 1
    finally:
        code = served.stop()
    assert code == 0


def test_a_hub_starts_its_own_database_again_when_that_is_killed(tmp_path: Path) -> None:
    env = environment("", tmp_path, HUB_HTTP_PORT="0", HUB_OCPP_PORT="0")
    served = Served(env)
    try:
        written = tmp_path / "postgres/postmaster.pid"
        killed = int(written.read_text().splitlines()[0])
        os.kill(killed, signal.SIGKILL)
        until = time.monotonic() + 30
        last = killed
        while last == killed or httpx.get(f"{served.base}/readyz").status_code != 200:
            assert time.monotonic() < until
            with contextlib.suppress(FileNotFoundError, IndexError):
                last = int(written.read_text().splitlines()[0])
    finally:
        code = served.stop()
    assert code == 0
    assert not Path(f"/proc/{last}").exists()


def test_a_live_page_does_not_keep_the_hub_from_leaving(database_url: str, tmp_path: Path) -> None:
    env = environment(
        database_url, tmp_path, HUB_HTTP_PORT="0", HUB_OCPP_PORT="0", HUB_ADMIN_TOKEN="t" * 20
    )
    served = Served(env)
    with httpx.Client(base_url=served.base) as browser:
        browser.post("/console/sign-in", data={"token": "t" * 20})
        with browser.stream("GET", "/console/live") as feed:
            first = next(feed.iter_lines())
            assert first.startswith("event: text")
            began = time.monotonic()
            code = served.stop(signal.SIGINT)
    assert code == 0
    assert time.monotonic() - began < 15


def test_a_busy_port_is_named_with_its_setting(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = environment(
            database_url, tmp_path, HUB_HTTP_PORT=str(taken.getsockname()[1]), HUB_OCPP_PORT="0"
        )
        ran = hub("serve", env=env)
    assert ran.returncode == 2
    assert "HUB_HTTP_PORT" in ran.stderr


def test_replaying_a_file_prints_totals_as_decimal_strings(
    database_url: str, tmp_path: Path
) -> None:
    past = tmp_path / "past.csv"
    past.write_text(
        "sessionId,kwhTotal,created,ended,userId,stationId\n"
        "1,10.5,2024-01-01 10:00:00,2024-01-01 11:00:00,7,9\n"
        "2,2.25,2024-01-02 10:00:00,2024-01-02 10:30:00,7,9\n"
        "3,broken,2024-01-02 10:00:00,2024-01-02 10:30:00,7,9\n"
    )
    tariff = tmp_path / "tariff.json"
    tariff.write_text(
        '{"id": "T", "currency": "EUR", "elements": [{"price_components": ['
        '{"type": "ENERGY", "price": 0.40, "vat": 20, "step_size": 1}]}]}'
    )
    ran = hub(
        "replay", "sessions", str(past), "--tariff", str(tariff), "--json",
        env=environment(database_url, tmp_path),
    )  # fmt: skip
    assert only_json(ran) == {
        "sessions": 2, "refused": 1, "energy_kwh": "12.75", "total_excl_vat": "5.10",
        "total_incl_vat": "6.12", "ledger_balanced": True,
    }  # fmt: skip


def test_a_replay_names_its_tariff_and_the_argument_that_is_wrong(
    database_url: str, tmp_path: Path
) -> None:
    past = tmp_path / "past.csv"
    past.write_text("id,start,end,energy_kwh\n1,2024-01-01T10:00:00Z,2024-01-01T11:00:00Z,10\n")
    env = environment(database_url, tmp_path)
    plain = hub("replay", "sessions", str(past), env=env)
    assert "replay-default: 0.35 EUR/kWh and 0.50 EUR/h, plus 21 % VAT" in plain.stdout
    wrong = tmp_path / "tariff.json"
    wrong.write_text('{"id": "T", "currency": "EUR", "elements": []}')
    refused = hub("replay", "sessions", str(past), "--tariff", str(wrong), env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith(f"hub: --tariff: {wrong} is no OCPI tariff: elements:")
