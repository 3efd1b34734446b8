"""The correlation id that follows one session through every door, event and job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hub.kernel import new_id

_CURRENT: ContextVar[str] = ContextVar("correlation", default="")


def correlation() -> str:
    """The correlation id of what is being done now; a fresh one is begun when there is none."""
    current = _CURRENT.get()
    if not current:
        current = str(new_id())
        _CURRENT.set(current)
    return current


def current() -> str:
    """The correlation id if there is one, else empty; begins none (for logs)."""
    return _CURRENT.get()


@contextmanager
def correlated(trace: str = "") -> Iterator[str]:
    """Do what the block does under correlation id ``trace`` (empty: a fresh one)."""
    token = _CURRENT.set(trace or str(new_id()))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)
