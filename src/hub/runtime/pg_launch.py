"""Run one program without root's uid, because Postgres refuses to run as uid 0.

Executed as a script of its own (``python -I -S pg_launch.py MODE PROGRAM ARGS...``), single
threaded, so that it may leave its user namespace; it then becomes the program. Imports nothing
of ours.

``namespace``: our own uid appears as an existing unprivileged one inside a new user namespace;
files stay ours outside. ``nobody``: really become that unprivileged user.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x1000_0000
REFUSED = 97


def stand_in() -> pwd.struct_passwd:
    """The unprivileged account to appear as: ``nobody``, else any other than root."""
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def enter_namespace() -> None:
    """Leave for a user namespace of our own; ``OSError`` where the system does not allow it."""
    uid, gid, entry = os.geteuid(), os.getegid(), stand_in()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # Without "deny" the kernel lets nobody but a privileged parent write the group map.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{entry.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{entry.pw_gid} {gid} 1")


def become_nobody() -> None:
    """Give up root for good."""
    entry = stand_in()
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(mode: str, command: list[str]) -> int:
    """Change identity, then become ``command``; ``REFUSED`` where that is not allowed."""
    try:
        if mode == "namespace":
            enter_namespace()
        else:
            become_nobody()
    except (OSError, StopIteration) as error:
        sys.stderr.write(f"cannot give up root ({mode}): {error}\n")
        return REFUSED
    if command:
        os.execv(command[0], command)  # noqa: S606  # this is what the script is for
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
