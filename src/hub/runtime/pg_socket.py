"""Where the embedded Postgres listens: a private folder whose path a socket address can hold."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from hub.runtime import pg_launch
from hub.runtime.files import write_private
from hub.runtime.pg_cluster import Cluster
from hub.runtime.pg_errors import PostgresProblem

SOCKET_NAME: Final = ".s.PGSQL.5432"
_SOCKET_LIMIT: Final = 107  # bytes of sun_path without its final zero, unix(7)


def socket_folder(cluster: Cluster, pointer: Path) -> Path:
    """The private folder of the server's socket: in the home, or short and remembered.

    A path too long for a socket (or with a comma, which separates hosts) gets a fresh 0700
    folder elsewhere; ``pointer`` tells the next process where.
    """
    inside = cluster.home / "socket"
    if "," not in str(inside) and _fits(inside):
        inside.mkdir(mode=0o700, exist_ok=True)
        _give(cluster, inside)
        return inside
    if pointer.exists():
        known = Path(pointer.read_text().rstrip("\n"))
        if _is_private(known, cluster):
            return known
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108  # mkdtemp below is private
        if parent and os.access(parent, os.W_OK) and _fits(Path(parent) / "charging-hub-xxxxxxxx"):
            made = Path(tempfile.mkdtemp(prefix="charging-hub-", dir=parent))
            _give(cluster, made)
            write_private(pointer, f"{made}\n")
            return made
    raise PostgresProblem("failed", f"no folder with a path short enough for a socket; {inside}")


def clear_socket(folder: Path) -> None:
    """Remove the socket that a killed server left; refuse if somebody still listens there."""
    place = folder / SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionError, FileNotFoundError):
        probe.connect(str(place))
        raise PostgresProblem("busy_socket", f"another program listens on {place}")
    place.unlink(missing_ok=True)
    place.with_name(f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def drop_socket_folder(pointer: Path) -> None:
    """Remove the folder that ``pointer`` remembers, once no server listens there any more."""
    if pointer.exists():
        folder = Path(pointer.read_text().rstrip("\n"))
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # gone already, or holds what is not ours
            folder.rmdir()
        pointer.unlink()


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder)) + 1 + len(SOCKET_NAME) <= _SOCKET_LIMIT


def _give(cluster: Cluster, folder: Path) -> None:
    if cluster.identity == "nobody":
        entry = pg_launch.stand_in()
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _is_private(folder: Path, cluster: Cluster) -> bool:
    owner = pg_launch.stand_in().pw_uid if cluster.identity == "nobody" else os.geteuid()
    try:
        found = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and found.st_uid == owner and found.st_mode & 0o77777 == 0o40700
