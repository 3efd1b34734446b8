"""Our own small runner for the packaged Postgres: make, start, attach, stop.

Many processes may use one data folder's database: the first starts it, the last stops it,
and each is known by a shared file lock that dies with it. Postgres itself inherits a lock
too, so "is it running" is asked of the kernel and never of a process number.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg

from hub.kernel import new_secret
from hub.runtime import pg_cluster, pg_process
from hub.runtime.files import write_private
from hub.runtime.locks import FileLock, HubLock, HubRunning
from hub.runtime.pg_cluster import DATABASE, FLEETING, OWNER, Cluster, binaries
from hub.runtime.pg_errors import PostgresProblem, diagnose, explained
from hub.runtime.pg_socket import clear_socket, drop_socket_folder, socket_folder

__all__ = ["EmbeddedPostgres", "HubLock", "HubRunning", "PostgresProblem", "binaries"]

START_LIMIT: Final = 300.0
STOP_LIMIT: Final = 300.0
_PATIENCE: Final = 3.0


def _quiet(_: str) -> None:
    """Tell nobody."""


class EmbeddedPostgres:
    """The database of one data folder, shared by every process that uses it.

    ``start`` returns once a real query was answered; ``stop`` ends Postgres only if no other
    process uses it. Both block (call them in a thread from async code). ``durable=False``
    gives up safety against a crash of the machine; it is for tests and trials. ``progress``
    hears one sentence per slow step. Every failure is a ``PostgresProblem``.
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
        self._known_url = ""

    def start(self) -> str:
        """Make the database if there is none, start it if it is not running; its owner's URL."""
        with explained(self.data_dir):
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._alone():
                return self._bring_up(time.monotonic() + self._limit)

    def revive(self) -> bool:
        """Start the database again if it is gone; whether it was. Only once started."""
        assert self._cluster is not None, "start() comes first"
        with explained(self.data_dir), self._alone():
            if not self._gone():
                return False
            self._bring_up(time.monotonic() + self._limit)
        return True

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
        assert self._known_url, "start() comes first"
        return self._known_url

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
            try:
                self._create_database(cluster)
            except psycopg.Error as error:
                what = f"cannot make the database {DATABASE}"
                raise diagnose(str(error), what=what, log=cluster.log) from error
        except BaseException:
            self._give_up(cluster, sys.exception())
            raise
        self._known_url = self._url(cluster, DATABASE)
        return self._known_url

    def _give_up(self, cluster: Cluster, error: BaseException | None) -> None:
        """Leave no server behind that nobody uses, unless it only needs more time to recover."""
        self._using.release()
        late = isinstance(error, PostgresProblem) and error.problem == "timeout"
        if self._child is not None and not late and self._using.is_free():
            self._bring_down(cluster)

    def _password(self, cluster: Cluster) -> str:
        path = self.data_dir / "postgres.password"
        if path.exists():
            return path.read_text().strip()
        if cluster.pgdata.exists():
            raise PostgresProblem("missing_password", f"{path} is gone but its database is there")
        password = new_secret()
        write_private(path, password)
        return password

    def _sockets(self, cluster: Cluster) -> Path:
        return socket_folder(cluster, self.data_dir / "postgres.socket")

    def _url(self, cluster: Cluster, database: str) -> str:
        folder = quote(str(self._sockets(cluster)), safe="")
        return f"postgresql://{OWNER}:{self._password(cluster)}@/{database}?host={folder}"

    def _attached(self, cluster: Cluster, deadline: float) -> bool:
        """Join the server that runs; ``False`` once it turns out to be gone."""
        self._progress("joining the database that is running already")
        patience = time.monotonic() + _PATIENCE
        while not self._answers(cluster):
            # Its last orphans may still be dying, or it may still be recovering.
            if self._running.is_free():
                return False
            if pg_process.is_ready(cluster) and time.monotonic() > patience:
                self._end_unreachable(cluster)
                return False
            self._pause(cluster, deadline)
        return True

    def _end_unreachable(self, cluster: Cluster) -> None:
        """End a server whose socket was taken away (a cleaner of temporary files), if unused."""
        self._using.release()
        if not self._using.is_free():
            raise PostgresProblem("unreachable", f"{self._sockets(cluster)} lost its socket")
        self._bring_down(cluster)
        self._using.take(shared=True)

    def _launch(self, cluster: Cluster) -> None:
        self._clear_leftovers(cluster)
        sockets = self._sockets(cluster)
        pg_cluster.configure(cluster, sockets, self._settings)
        self._log_start = pg_process.open_log(cluster)
        if not self._running.take():
            raise PostgresProblem("failed", f"{cluster.pgdata} came alive by itself")
        try:
            self._child = pg_process.spawn(cluster, self._running)
        finally:
            self._running.release()
        self._progress("starting the database")

    def _clear_leftovers(self, cluster: Cluster) -> None:
        """Remove what a killed server left; refuse if a stranger serves the folder or socket."""
        pid = pg_process.postmaster(cluster)
        if pid is not None and pg_process.serves(pid, cluster.pgdata):
            raise PostgresProblem(
                "busy_socket", f"process {pid}, not started by us, serves {cluster.pgdata}"
            )
        clear_socket(self._sockets(cluster))
        (cluster.pgdata / "postmaster.pid").unlink(missing_ok=True)

    def _await_ready(self, cluster: Cluster, deadline: float) -> None:
        told = time.monotonic() + 2
        while not (pg_process.is_ready(cluster) and self._answers(cluster)):
            if self._gone():
                raise diagnose(
                    self._log_tail(cluster), what="the embedded Postgres ended", log=cluster.log
                )
            if time.monotonic() > told:
                self._progress("the database is recovering after a crash, please wait")
                told = time.monotonic() + 10
            self._pause(cluster, deadline)

    def _pause(self, cluster: Cluster, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise PostgresProblem(
                "timeout",
                f"the embedded Postgres gave no answer in {self._limit:.0f} s (log: {cluster.log})",
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
        write_private(marker, "")

    def _gone(self) -> bool:
        if self._child is not None and pg_process.reaped(self._child):
            self._child = None
        return self._running.is_free()

    def _log_tail(self, cluster: Cluster) -> str:
        with cluster.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read(65536).decode(errors="replace")

    def _bring_down(self, cluster: Cluster) -> None:
        pid = pg_process.postmaster(cluster)
        if (
            pid is not None
            and not self._running.is_free()
            and pg_process.serves(pid, cluster.pgdata)
        ):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if self._durable else signal.SIGQUIT)
        if not self._running.take(wait=STOP_LIMIT):
            raise PostgresProblem("timeout", f"process {pid} does not end (log: {cluster.log})")
        self._running.release()
        if pid is not None:
            pg_process.reaped(pid, wait=True)
        self._child = None
        drop_socket_folder(self.data_dir / "postgres.socket")
