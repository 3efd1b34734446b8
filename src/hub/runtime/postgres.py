"""Our own small runner for the packaged Postgres: make, start, attach, stop.

Many processes may use one data folder's database: the first starts it, the last stops it,
and each is known by a shared file lock that dies with it. Postgres itself inherits a lock
too, so "is it running" is asked of the kernel and never of a process number.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg

from hub.kernel import new_secret
from hub.runtime import pg_cluster
from hub.runtime.locks import FileLock, HubLock, HubRunning
from hub.runtime.pg_cluster import DATABASE, FLEETING, OWNER, Cluster, binaries
from hub.runtime.pg_errors import PostgresProblem, diagnose, explained

__all__ = ["EmbeddedPostgres", "HubLock", "HubRunning", "PostgresProblem", "binaries"]

START_LIMIT: Final = 300.0
STOP_LIMIT: Final = 300.0
_LOG_LIMIT: Final = 16 << 20


def _quiet(_: str) -> None:
    """Tell nobody."""


class EmbeddedPostgres:
    """The database of one data folder, shared by every process that uses it.

    ``start`` returns once a real query was answered; ``stop`` ends Postgres only if no other
    process uses it. Both block (call them in a thread from async code). ``durable=False``
    gives up safety against a crash of the machine and is for tests. ``progress`` hears one
    sentence per slow step. Every failure is a ``PostgresProblem``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        extra_config: Mapping[str, str] | None = None,
        durable: bool = True,
        progress: Callable[[str], None] = _quiet,
        start_limit: float = START_LIMIT,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._settings = {**({} if durable else FLEETING), **(extra_config or {})}
        self._durable = durable
        self._progress = progress
        self._limit = start_limit
        self._changing = FileLock(self.data_dir / "postgres.changing")
        self._using = FileLock(self.data_dir / "postgres.using")
        self._running = FileLock(self.data_dir / "postgres.running")
        self._cluster: Cluster | None = None
        self._child: int | None = None
        self._log_start = 0

    def start(self) -> str:
        """Make the database if there is none, start it if it is not running; its owner's URL."""
        with explained(self.data_dir):
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._alone():
                return self._bring_up(time.monotonic() + self._limit)

    def stop(self) -> None:
        """Let go of the database; end it if nobody else uses it. Harmless when not started."""
        if not self._using.held or self._cluster is None:
            return
        with explained(self.data_dir), self._alone():
            self._using.release()
            if self._using.is_free():
                self._bring_down(self._cluster)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The owner's URL; only once started."""
        assert self._cluster is not None, "start() comes first"
        return self._url(self._cluster, DATABASE)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts or stops this database."""
        if not self._changing.take(wait=self._limit):
            raise PostgresProblem(
                "timeout", f"another process is still starting or stopping {self.data_dir}"
            )
        try:
            yield
        finally:
            self._changing.release()

    def _bring_up(self, deadline: float) -> str:
        cluster = self._cluster = pg_cluster.locate(self.data_dir)
        if not self._using.held:
            self._using.take(shared=True, wait=self._limit)
        try:
            if not cluster.pgdata.exists():
                self._progress("making a new database")
                pg_cluster.initialise(cluster, self._password(cluster), durable=self._durable)
            pg_cluster.check_version(cluster)
            if self._running.is_free() or not self._attached(cluster, deadline):
                self._launch(cluster)
                self._await_ready(cluster, deadline)
            self._create_database(cluster)
        except BaseException:
            self._using.release()
            raise
        return self.url

    def _password(self, cluster: Cluster) -> str:
        path = self.data_dir / "postgres.password"
        if path.exists():
            return path.read_text().strip()
        if cluster.pgdata.exists():
            raise PostgresProblem("missing_password", f"{path} is gone but its database is there")
        password = new_secret()
        pg_cluster.write_private(path, password)
        return password

    def _sockets(self, cluster: Cluster) -> Path:
        return pg_cluster.socket_folder(cluster, self.data_dir / "postgres.socket")

    def _url(self, cluster: Cluster, database: str) -> str:
        folder = quote(str(self._sockets(cluster)), safe="")
        return f"postgresql://{OWNER}:{self._password(cluster)}@/{database}?host={folder}"

    def _attached(self, cluster: Cluster, deadline: float) -> bool:
        """Join the server that runs; ``False`` once it turns out to be gone."""
        self._progress("joining the database that is running already")
        while not self._answers(cluster):
            # Its last orphans may still be dying, or it may still be recovering.
            if self._running.is_free():
                return False
            self._pause(cluster, deadline)
        return True

    def _launch(self, cluster: Cluster) -> None:
        self._clear_leftovers(cluster)
        sockets = self._sockets(cluster)
        pg_cluster.configure(cluster, sockets, self._settings)
        log = cluster.log
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        self._log_start = log.stat().st_size if log.exists() else 0
        if not self._running.take():
            raise PostgresProblem("failed", f"{cluster.pgdata} came alive by itself")
        # Descriptor 3 is the running lock: Postgres and its children hold it while they live.
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, self._running.fileno(), 3),
        ]
        command = cluster.command("postgres", "-D", str(cluster.pgdata))
        try:
            self._child = os.posix_spawn(
                command[0], command, pg_cluster.environment(), file_actions=actions, setsid=True
            )
        finally:
            self._running.release()
        self._progress("starting the database")

    def _clear_leftovers(self, cluster: Cluster) -> None:
        """Remove what a killed server left; refuse if a stranger serves the folder or socket."""
        pid = _postmaster(cluster)
        if pid is not None and _serves(pid, cluster.pgdata):
            raise PostgresProblem(
                "busy_socket", f"process {pid}, not started by us, serves {cluster.pgdata}"
            )
        place = self._sockets(cluster) / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionError, FileNotFoundError):
            probe.connect(str(place))
            raise PostgresProblem("busy_socket", f"another program listens on {place}")
        for left in (
            cluster.pgdata / "postmaster.pid",
            place,
            place.with_name(place.name + ".lock"),
        ):
            left.unlink(missing_ok=True)

    def _await_ready(self, cluster: Cluster, deadline: float) -> None:
        told = time.monotonic() + 2
        while not (_is_ready(cluster) and self._answers(cluster)):
            if self._gone():
                raise diagnose(self._log_tail(cluster), what="it ended at once", log=cluster.log)
            if time.monotonic() > told:
                self._progress("the database is recovering after a crash, please wait")
                told = time.monotonic() + 10
            self._pause(cluster, deadline)

    def _pause(self, cluster: Cluster, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise PostgresProblem(
                "timeout", f"no answer within {self._limit:.0f} s (log: {cluster.log})"
            )
        time.sleep(0.01)

    def _answers(self, cluster: Cluster) -> bool:
        try:
            with psycopg.connect(
                self._url(cluster, "postgres"), connect_timeout=10, autocommit=True
            ) as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise PostgresProblem(
                    "missing_password", f"{self.data_dir / 'postgres.password'} does not fit"
                ) from error
            return False

    def _create_database(self, cluster: Cluster) -> None:
        marker = self.data_dir / "postgres.ready"
        if marker.exists():
            return
        url = self._url(cluster, "postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            known = connection.execute("select 1 from pg_database where datname = %s", [DATABASE])
            if known.fetchone() is None:
                connection.execute(f"create database {DATABASE}")
        pg_cluster.write_private(marker, "")

    def _gone(self) -> bool:
        self._reap()
        return self._running.is_free()

    def _reap(self) -> None:
        """Collect our dead child, so that it does not linger as a zombie."""
        if self._child is not None:
            try:
                if os.waitpid(self._child, os.WNOHANG)[0]:
                    self._child = None
            except ChildProcessError:
                self._child = None

    def _log_tail(self, cluster: Cluster) -> str:
        with cluster.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read(65536).decode(errors="replace")

    def _bring_down(self, cluster: Cluster) -> None:
        pid = _postmaster(cluster)
        if pid is not None and not self._running.is_free() and _serves(pid, cluster.pgdata):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if self._durable else signal.SIGQUIT)
        if not self._running.take(wait=STOP_LIMIT):
            raise PostgresProblem("timeout", f"process {pid} does not end (log: {cluster.log})")
        self._running.release()
        if self._child is not None:
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            self._child = None


def _pid_lines(cluster: Cluster) -> list[str]:
    try:
        return (cluster.pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _postmaster(cluster: Cluster) -> int | None:
    lines = _pid_lines(cluster)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _is_ready(cluster: Cluster) -> bool:
    lines = _pid_lines(cluster)
    return len(lines) > 7 and lines[7].strip() == "ready"


def _serves(pid: int, pgdata: Path) -> bool:
    """Whether that process lives in the data folder, as every Postgres process does."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(pgdata)
    except OSError:
        return False  # no such process, a zombie, or somebody else's
