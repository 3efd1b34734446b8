"""The embedded Postgres with real processes: killed, shared, misplaced, and as every kind of user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import hub
from hub.runtime.locks import HubLock, HubRunning
from hub.runtime.postgres import EmbeddedPostgres, PostgresProblem, binaries

SOURCE = Path(hub.__file__).parents[1]
Start = Callable[..., EmbeddedPostgres]
AS_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root to play other users and mounts")

# A second process: starts the database in argv[1], prints its facts, obeys a line, stops.
OTHER = """
import sys, pathlib, psycopg
from hub.runtime.postgres import EmbeddedPostgres
from hub.kernel import HubError
postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False)
try:
    url = postgres.start()
except HubError as error:
    print(getattr(error, "problem", error.code), flush=True)
    print(error, flush=True)
    sys.exit(1)
with psycopg.connect(url) as connection:
    print(connection.execute("select pg_postmaster_start_time()::text").fetchone()[0], flush=True)
print(url, flush=True)
if sys.stdin.readline().strip() == "stop":
    postgres.stop()
print("done", flush=True)
"""


def other_process(
    folder: Path, *wrapper: str, python: str = sys.executable
) -> subprocess.Popen[str]:
    packages = Path(psycopg.__file__).parents[1]
    return subprocess.Popen(
        [*wrapper, python, "-c", OTHER, str(folder)],
        env={"PYTHONPATH": f"{SOURCE}:{packages}", "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finish(process: subprocess.Popen[str], order: str) -> str:
    output, _ = process.communicate(order + "\n", timeout=50)
    return output


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def postmaster(folder: Path) -> int:
    return int((folder / "postgres/postmaster.pid").read_text().splitlines()[0])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the awaited state never came"
        time.sleep(0.01)


@pytest.fixture
def started() -> Iterator[Start]:
    """Start databases that are stopped whatever the test does."""
    made: list[EmbeddedPostgres] = []

    def start(folder: Path, **options: object) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(folder, **{"durable": False, **options}))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield start
    for postgres in made:
        postgres.stop()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach (pytest's own is private)."""
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_new_folder_gets_a_private_tuned_database_and_parents_stay_as_they_were(
    tmp_path: Path, started: Start
) -> None:
    parent = tmp_path / "home"
    parent.mkdir(mode=0o700)
    before = {place: place.stat().st_mode for place in (tmp_path, *tmp_path.parents)}
    folder = parent / "hub"
    postgres = started(folder, durable=True)
    assert ask(postgres.url, "select current_setting('server_version_num')::int / 10000") == 18
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "postgres.password").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "socket").stat().st_mode) == 0o700
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    assert {place: place.stat().st_mode for place in before} == before
    shown = {
        name: ask(postgres.url, f"show {name}")
        for name in ("fsync", "synchronous_commit", "jit", "listen_addresses", "max_connections")
    }
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "jit": "off",
        "listen_addresses": "",
        "max_connections": "200",
    }
    locale = (
        "select datlocprovider::text || ' ' || datlocale from pg_database where datname = 'hub'"
    )
    assert ask(postgres.url, locale) == "b C.UTF-8"


def test_extra_settings_reach_the_server(tmp_path: Path, started: Start) -> None:
    postgres = started(tmp_path, extra_config={"work_mem": "7MB", "cluster_name": "it's ours"})
    assert ask(postgres.url, "show work_mem") == "7MB"
    assert ask(postgres.url, "show cluster_name") == "it's ours"


@pytest.mark.parametrize("password", ["", "wrong"])
def test_the_socket_lets_nobody_in_without_the_password(
    tmp_path: Path, started: Start, password: str
) -> None:
    url = started(tmp_path).url
    secret = (tmp_path / "postgres.password").read_text()
    assert secret in url
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(secret, password))


@pytest.mark.parametrize(
    "name", ["with space", "a,comma", "quote'\"d", "dollar $HOME %d", "long" * 40, "ü" * 60]
)
def test_any_folder_name_works_and_a_second_process_finds_the_same_socket(
    tmp_path: Path, started: Start, name: str
) -> None:
    folder = tmp_path / name
    url = started(folder).url
    other = other_process(folder)
    assert line_of(other) == ask(url, "select pg_postmaster_start_time()::text")
    assert line_of(other) == url
    assert finish(other, "stop").endswith("done\n")
    assert ask(url, "select 1") == 1


def test_a_long_path_keeps_its_socket_in_a_private_folder_that_is_found_again(
    tmp_path: Path, started: Start
) -> None:
    folder = tmp_path / ("long" * 40)
    postgres = started(folder)
    sockets = Path((folder / "postgres.socket").read_text().strip())
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert len(str(sockets)) < 93
    assert list(sockets.glob(".s.PGSQL.5432"))
    assert started(folder).url == postgres.url


def test_a_remembered_socket_folder_that_others_may_enter_is_not_trusted(
    tmp_path: Path, started: Start
) -> None:
    folder, opened = tmp_path / ("long" * 40), tmp_path / "s"
    folder.mkdir()
    opened.mkdir(mode=0o755)
    (folder / "postgres.socket").write_text(f"{opened}\n")
    started(folder)
    sockets = Path((folder / "postgres.socket").read_text().strip())
    assert sockets != opened
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_a_short_socket_folder_is_removed_with_its_server(tmp_path: Path, started: Start) -> None:
    folder = tmp_path / ("long" * 40)
    postgres = started(folder)
    sockets = Path((folder / "postgres.socket").read_text().strip())
    postgres.stop()
    assert not sockets.exists()


def test_a_killed_hub_leaves_its_database_running_for_the_next_one(
    tmp_path: Path, started: Start
) -> None:
    killed = other_process(tmp_path)
    since = line_of(killed)
    line_of(killed)
    killed.kill()
    finish(killed, "")
    assert ask(started(tmp_path).url, "select pg_postmaster_start_time()::text") == since


def test_the_last_user_stops_the_database_and_not_the_first(tmp_path: Path, started: Start) -> None:
    first, second = started(tmp_path), started(tmp_path)
    pid = postmaster(tmp_path)
    first.stop()
    assert ask(second.url, "select 1") == 1
    assert postmaster(tmp_path) == pid
    second.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not (tmp_path / "postgres/postmaster.pid").exists()
    second.stop()  # harmless


def test_a_command_that_attached_stops_the_database_that_its_starter_left(tmp_path: Path) -> None:
    starter = other_process(tmp_path)
    line_of(starter)
    with EmbeddedPostgres(tmp_path, durable=False) as postgres:
        pid = postmaster(tmp_path)
        finish(starter, "stop")
        assert ask(postgres.url, "select 1") == 1
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_two_processes_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    pair = [other_process(tmp_path) for _ in range(3)]
    since = {line_of(process) for process in pair}
    assert len(since) == 1
    assert all(finish(process, "stop").endswith("done\n") for process in pair)
    assert not (tmp_path / "postgres/postmaster.pid").exists()


def test_a_killed_postmaster_loses_no_acknowledged_commit_and_its_zombie_does_not_count(
    tmp_path: Path, started: Start
) -> None:
    url = started(tmp_path, durable=True).url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept (id bigint primary key)")
    acknowledged: list[int] = []

    def load() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for number in range(2, 1_000_000):
                connection.execute("insert into kept values (%s)", [number])
                acknowledged.append(number)

    def load_until_cut() -> None:
        with pytest.raises(psycopg.OperationalError):
            load()

    worker = threading.Thread(target=load_until_cut)
    worker.start()
    until(lambda: len(acknowledged) > 100)
    pid = postmaster(tmp_path)
    os.kill(pid, signal.SIGKILL)
    again = EmbeddedPostgres(tmp_path)
    with again:
        worker.join()
        assert Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"  # its starter is us
        with psycopg.connect(again.url) as connection:
            found = {row[0] for row in connection.execute("select * from kept")}
    assert set(acknowledged) <= found


def test_a_killed_postmaster_is_revived_once_under_the_same_url(
    tmp_path: Path, started: Start
) -> None:
    server = started(tmp_path)
    assert not server.revive()
    pid = postmaster(tmp_path)
    os.kill(pid, signal.SIGKILL)
    until(server.revive)
    assert postmaster(tmp_path) != pid
    assert ask(server.url, "select 1") == 1
    assert not server.revive()


@pytest.mark.parametrize("owner", ["a live stranger", "nobody alive"])
def test_a_stale_pid_file_does_not_count_as_running(
    tmp_path: Path, started: Start, owner: str
) -> None:
    started(tmp_path).stop()
    pid = os.getppid() if owner == "a live stranger" else 4_194_303
    stale = tmp_path / "postgres/postmaster.pid"
    stale.write_text(
        f"{pid}\n{tmp_path}/postgres\n1700000000\n5432\n{tmp_path}/socket\n\n\nready\n"
    )
    assert ask(started(tmp_path).url, "select 1") == 1
    assert postmaster(tmp_path) != pid


def test_a_half_made_database_is_made_again(tmp_path: Path, started: Start) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new/PG_VERSION").write_text("18\n")
    assert ask(started(tmp_path).url, "select current_database()") == "hub"


def test_a_second_hub_on_the_same_folder_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    with HubLock(tmp_path), pytest.raises(HubRunning) as refused:
        HubLock(tmp_path).acquire()
    assert str(os.getpid()) in str(refused.value)
    assert "HUB_DATA_DIR" in str(refused.value)
    with HubLock(tmp_path):
        pass  # free again


def test_a_killed_hub_gives_its_folder_free_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from hub.runtime.locks import HubLock;"
        "HubLock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert line_of(holder) == "held"
    with pytest.raises(HubRunning, match=str(holder.pid)):
        HubLock(tmp_path).acquire()
    holder.kill()
    holder.communicate()
    with HubLock(tmp_path):
        pass


def refused(folder: Path, **options: object) -> PostgresProblem:
    with pytest.raises(PostgresProblem) as caught:
        EmbeddedPostgres(folder, durable=False, **options).start()  # type: ignore[arg-type]
    assert "; " in str(caught.value)  # the remedy follows the fact
    return caught.value


def test_a_folder_of_a_newer_postgres_is_refused_untouched(tmp_path: Path, started: Start) -> None:
    started(tmp_path).stop()
    (tmp_path / "postgres/PG_VERSION").write_text("19\n")
    problem = refused(tmp_path)
    assert problem.problem == "other_version"
    assert "Postgres 19" in str(problem)


def test_a_lost_password_file_is_named(tmp_path: Path, started: Start) -> None:
    started(tmp_path).stop()
    (tmp_path / "postgres.password").unlink()
    assert refused(tmp_path).problem == "missing_password"
    (tmp_path / "postgres.password").write_text("another")
    assert refused(tmp_path).problem == "missing_password"
    # The server that could not be joined is not left behind for ever.
    assert not (tmp_path / "postgres/postmaster.pid").exists()


def test_a_socket_that_another_program_listens_on_is_named(tmp_path: Path, started: Start) -> None:
    started(tmp_path).stop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket/.s.PGSQL.5432"))
        listener.listen()
        assert refused(tmp_path).problem == "busy_socket"
    assert ask(started(tmp_path).url, "select 1") == 1  # the dead one is cleared away


def test_a_busy_tcp_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        problem = refused(tmp_path, extra_config={"listen_addresses": "127.0.0.1", "port": port})
    assert problem.problem == "busy_socket"


def test_a_damaged_database_is_named_and_the_log_is_pointed_at(
    tmp_path: Path, started: Start
) -> None:
    started(tmp_path).stop()
    (tmp_path / "postgres/global/pg_control").write_bytes(b"\0" * 8192)
    problem = refused(tmp_path)
    assert str(tmp_path / "postgres.log") in str(problem)


def test_a_start_that_takes_too_long_says_so_and_the_next_one_joins_it(
    tmp_path: Path, started: Start
) -> None:
    started(tmp_path).stop()
    said: list[str] = []
    problem = refused(tmp_path, start_limit=0, progress=said.append)
    assert problem.problem == "timeout"
    assert ask(started(tmp_path, progress=said.append).url, "select 1") == 1
    assert said == ["starting the database", "joining the database that is running already"]


def test_a_server_whose_socket_was_cleaned_away_is_started_anew(
    tmp_path: Path, started: Start
) -> None:
    killed = other_process(tmp_path)
    line_of(killed)
    killed.kill()
    finish(killed, "")
    shutil.rmtree(tmp_path / "socket")
    assert ask(started(tmp_path).url, "select 1") == 1


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("not a folder")
    assert refused(tmp_path / "hub").problem == "read_only"
    with pytest.raises(PostgresProblem, match="HUB_DATA_DIR"):
        HubLock(tmp_path / "hub").acquire()


def as_nobody() -> list[str]:
    entry = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


@root_only
def test_an_ordinary_user_runs_it_directly(public_folder: Path) -> None:
    folder = public_folder / "hub"
    folder.mkdir()
    entry = pwd.getpwnam("nobody")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    user = other_process(folder, *as_nobody())
    line_of(user)
    assert line_of(user).startswith("postgresql://")
    assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == entry.pw_uid
    assert finish(user, "stop").endswith("done\n")


@root_only
def test_root_runs_it_in_a_namespace_and_the_files_stay_its_own(
    tmp_path: Path, started: Start
) -> None:
    url = started(tmp_path).url
    pid = postmaster(tmp_path)
    assert Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
    assert (tmp_path / "postgres/PG_VERSION").stat().st_uid == 0
    assert ask(url, "select 1") == 1


@root_only
def test_a_folder_that_may_not_be_written_is_named(public_folder: Path) -> None:
    user = other_process(public_folder, *as_nobody())
    assert line_of(user) == "read_only"
    assert "HUB_DATA_DIR" in line_of(user)
    finish(user, "")


def in_mounts(script: str, folder: Path) -> subprocess.Popen[str]:
    return other_process(folder, "unshare", "--mount", "sh", "-ec", script + '\nexec "$@"', "sh")


@root_only
def test_a_full_disk_is_named_and_leaves_no_half_database(tmp_path: Path) -> None:
    process = in_mounts(f"mount -t tmpfs -o size=24m tmpfs '{tmp_path}'", tmp_path)
    assert line_of(process) == "disk_full"
    assert "free some space" in line_of(process)
    finish(process, "")


@root_only
@pytest.mark.parametrize("size", [44, 56])
def test_a_disk_that_fills_up_at_any_step_is_named(tmp_path: Path, size: int) -> None:
    process = in_mounts(f"mount -t tmpfs -o size={size}m tmpfs '{tmp_path}'", tmp_path)
    said = line_of(process), line_of(process)
    assert said[0] == "disk_full" or said[1].startswith("postgresql://"), said
    finish(process, "stop")


@root_only
def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    process = in_mounts(f"mount -t tmpfs -o ro tmpfs '{tmp_path}'", tmp_path)
    assert line_of(process) == "read_only"
    finish(process, "")


# Enters a user namespace with every uid in it, as a container does, but with no more to be made.
INNER_MACHINE = """
import ctypes, os, sys
uid, command = int(sys.argv[1]), sys.argv[2:]
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000 | 0x00020000) == 0
    os.write(ready[1], b"x")
    os.read(mapped[0], 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    assert os.system("mount -t tmpfs tmpfs /var/lib") == 0
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    program = os.open(command[0], os.O_RDONLY)  # it may lie in a private home
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.execve(program, command, os.environ)
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{child}/{name}", "w").write("0 0 65536")
print(child, flush=True)
os.write(mapped[1], b"x")
os.waitpid(child, 0)
"""


def without_namespaces(uid: int, folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A machine of its own where root is root but user namespaces are switched off."""
    process = other_process(folder, sys.executable, "-c", INNER_MACHINE, str(uid))
    return process, int(line_of(process))


@root_only
def test_root_without_namespaces_runs_it_as_nobody_below_var_lib(tmp_path: Path) -> None:
    process, inside = without_namespaces(0, tmp_path)
    said = line_of(process), line_of(process)
    assert "charging-hub%2Fdata-" in said[1], said
    home = (tmp_path / "postgres.location").read_text().strip()
    assert home.startswith("/var/lib/charging-hub/data-")
    server = Path(f"/proc/{inside}/root{home}/postgres/postmaster.pid")
    pid = int(server.read_text().splitlines()[0])
    assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert finish(process, "stop").endswith("done\n")


@root_only
def test_root_without_namespaces_does_not_silently_begin_anew(
    tmp_path: Path, started: Start
) -> None:
    started(tmp_path).stop()
    process, _ = without_namespaces(0, tmp_path)
    assert line_of(process) == "no_namespace"
    finish(process, "")


@root_only
def test_a_user_without_a_passwd_entry_is_told_what_to_do(public_folder: Path) -> None:
    folder = public_folder / "hub"
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    process, _ = without_namespaces(54321, folder)
    assert line_of(process) == "no_passwd_entry"
    assert "/etc/passwd" in line_of(process)
    finish(process, "")


def public_python(stranger: list[str]) -> str:
    """An interpreter of our version that any user may run (ours may lie in a private home)."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        probe = [*stranger, "sh", "-c", 'test -x "$(readlink -f "$0")"', python]
        if subprocess.run(probe, check=False).returncode == 0:
            return python
    return pytest.skip("no interpreter that other users may run")


@root_only
def test_a_user_without_a_passwd_entry_runs_it_where_namespaces_are_allowed(
    public_folder: Path,
) -> None:
    folder = public_folder / "hub"
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    stranger = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    process = other_process(folder, *stranger, python=public_python(stranger))
    line_of(process)
    assert line_of(process).startswith("postgresql://")
    assert finish(process, "stop").endswith("done\n")


def test_the_binaries_are_the_packaged_major_version() -> None:
    shown = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, check=True)
    assert b" 18." in shown.stdout
