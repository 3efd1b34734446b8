"""What can go wrong with the embedded Postgres, each with what the operator should do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from hub.kernel import HubError

Problem = Literal[
    "busy_socket",
    "damaged",
    "disk_full",
    "failed",
    "missing_binaries",
    "missing_password",
    "no_memory",
    "no_namespace",
    "no_passwd_entry",
    "other_version",
    "read_only",
    "timeout",
    "unreachable",
]

_REMEDIES: Final[dict[Problem, str]] = {
    "busy_socket": "stop the program that uses it, or choose another HUB_DATA_DIR",
    "damaged": "restore the folder from a backup; nothing in it was changed",
    "disk_full": "free some space on that disk, then start again; no committed data is lost",
    "failed": "read the log named above, or set HUB_DATABASE_URL to a Postgres of your own",
    "missing_binaries": "install charging-hub with its dependencies on a platform that has them, "
    "or set HUB_DATABASE_URL to a Postgres of your own",
    "missing_password": "restore that file from a backup of the data folder",
    "no_memory": "free memory (about 300 MB is needed), or raise the container's limit",
    "no_namespace": "allow user namespaces again (sysctl user.max_user_namespaces), "
    "or run the hub as an ordinary user who owns the folder",
    "no_passwd_entry": "run as a user listed in /etc/passwd (in a container: add one in the "
    "image), or set HUB_DATABASE_URL to a Postgres of your own",
    "other_version": "start the release of charging-hub that wrote it, or move the data with "
    "its pg_dump into a new folder",
    "read_only": "make the folder writable for this user, or choose another HUB_DATA_DIR",
    "timeout": "wait and start again if the log named above shows recovery going on",
    "unreachable": "restart the hub that uses this folder",
}

# Fragments of messages (always English: we run Postgres with LC_ALL=C), first match wins.
_SIGNS: Final[tuple[tuple[str, Problem], ...]] = (
    ("No space left on device", "disk_full"),
    ("Disk quota exceeded", "disk_full"),
    ("Read-only file system", "read_only"),
    ("incompatible with server", "other_version"),
    ("Address already in use", "busy_socket"),
    ("could not bind", "busy_socket"),
    ("Cannot allocate memory", "no_memory"),
    ("could not locate a valid checkpoint record", "damaged"),
    ("invalid checkpoint record", "damaged"),
    ("is not a database cluster directory", "damaged"),
    ("could not look up effective user ID", "no_passwd_entry"),
    ("Permission denied", "read_only"),
)

_ERRNOS: Final[dict[int | None, Problem]] = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.ENOTDIR: "read_only",
    errno.EEXIST: "read_only",
}


class PostgresProblem(HubError):
    """The embedded Postgres cannot serve. ``problem`` is stable, ``detail`` names the place."""

    code = "embedded_postgres"
    status = 503

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail}; {_REMEDIES[self.problem]}"


def diagnose(output: str, *, what: str, log: Path) -> PostgresProblem:
    """The problem behind a failed run, judged by its last messages."""
    problem: Problem = next((found for sign, found in _SIGNS if sign in output), "failed")
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    said = (telling or lines or ["no message"])[-1].strip()
    return PostgresProblem(problem, f"{what}: {said} (log: {log})")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses us in ``folder`` into a ``PostgresProblem``."""
    try:
        yield
    except OSError as error:
        problem = _ERRNOS.get(error.errno, "failed")
        where = error.filename or folder
        raise PostgresProblem(problem, f"{where}: {error.strerror or error}") from error
