"""File locks between processes of one data folder: who serves it, who uses its database.

The kernel drops a ``flock`` when its last holder dies, however it dies, so nothing here can
go stale; process numbers written into a lock file are for people only.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hub.kernel import HubError
from hub.runtime.pg_errors import explained


class HubRunning(HubError):
    """Another hub serves this data folder already. ``folder``; ``holder`` is its pid, if known."""

    code = "hub_running"
    status = 409

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(folder, holder)
        self.folder = folder
        self.holder = holder

    def __str__(self) -> str:
        who = f" (process {self.holder})" if self.holder else ""
        return (
            f"another hub{who} already serves {self.folder}; "
            "stop it first, or give this one a folder of its own with HUB_DATA_DIR"
        )


class FileLock:
    """One advisory lock on one file. Not re-entrant; the file itself is never removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle >= 0

    def take(self, *, shared: bool = False, wait: float = 0) -> bool:
        """Take the lock within ``wait`` seconds; ``False`` if others kept it all that time."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        while True:
            try:
                fcntl.flock(handle, operation)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(handle)
                    return False
                time.sleep(0.01)
            except BaseException:
                os.close(handle)
                raise
            else:
                self._handle = handle
                return True

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self.held:
            os.close(self._handle)
            self._handle = -1

    def fileno(self) -> int:
        """The open file; a child that inherits it shares the lock."""
        return self._handle

    def is_free(self) -> bool:
        """Whether nobody at all holds the lock at this moment."""
        probe = FileLock(self.path)
        free = probe.take()
        probe.release()
        return free


class HubLock:
    """Held by the one process that serves a data folder; ``HubRunning`` for the second."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir
        self._lock = FileLock(data_dir / "hub.lock")

    def acquire(self) -> None:
        """Take the folder, or raise ``HubRunning`` (``PostgresProblem`` if it is unusable)."""
        with explained(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock.take():
                raise HubRunning(self._folder, self._lock.path.read_text().strip())
            os.ftruncate(self._lock.fileno(), 0)
            os.pwrite(self._lock.fileno(), f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the folder back."""
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
