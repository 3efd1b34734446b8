"""The running Postgres as a process: spawned with our lock, known by its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from hub.runtime.locks import FileLock
from hub.runtime.pg_cluster import Cluster, environment

_LOG_LIMIT: Final = 16 << 20


def open_log(cluster: Cluster) -> int:
    """Where the log's next line will stand; a log grown too long is put aside first."""
    log = cluster.log
    if not log.exists():
        return 0
    if log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
        return 0
    return log.stat().st_size


def spawn(cluster: Cluster, running: FileLock) -> int:
    """Start Postgres in a session of its own (a Ctrl-C is not for it); its process number.

    Descriptor 3 is the lock ``running``: the server and all its children hold it as long as one
    of them lives.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (
            os.POSIX_SPAWN_OPEN,
            1,
            str(cluster.log),
            os.O_WRONLY | os.O_CREAT | os.O_APPEND,
            0o600,
        ),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        (os.POSIX_SPAWN_DUP2, running.fileno(), 3),
    ]
    command = cluster.command("postgres", "-D", str(cluster.pgdata))
    return os.posix_spawn(command[0], command, environment(), file_actions=actions, setsid=True)


def _pid_lines(cluster: Cluster) -> list[str]:
    try:
        return (cluster.pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def postmaster(cluster: Cluster) -> int | None:
    """The process number that Postgres wrote down; proves nothing by itself."""
    lines = _pid_lines(cluster)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def is_ready(cluster: Cluster) -> bool:
    """Whether Postgres says that it takes connections; to be proved by one."""
    lines = _pid_lines(cluster)
    return len(lines) > 7 and lines[7].strip() == "ready"


def serves(pid: int, pgdata: Path) -> bool:
    """Whether that process lives in the data folder, as every Postgres process does."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(pgdata)
    except OSError:
        return False  # no such process, a zombie, or somebody else's


def reaped(pid: int, *, wait: bool = False) -> bool:
    """Collect a dead child, so that it does not linger as a zombie; ``True`` if it is no more."""
    try:
        return os.waitpid(pid, 0 if wait else os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True  # not our child: whoever started it collects it
