"""What Postgres refused and why, for rooms whose rules live in the database.

A room names its constraints and raises SQLSTATEs of its own; here its refusals become its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import psycopg

from hub.kernel import HubError


class Refusal(msgspec.Struct, frozen=True):
    """A statement that Postgres refused: its SQLSTATE, and the constraint and detail if told."""

    sqlstate: str
    constraint: str
    detail: str


@contextmanager
def explained(explain: Callable[[Refusal], HubError | None]) -> Iterator[None]:
    """Raise what ``explain`` makes of a refusal; where that is ``None``, the driver's own error.

    The transaction is given up either way: roll back, or return to a savepoint.
    """
    try:
        yield
    except psycopg.Error as error:
        refusal = Refusal(
            error.sqlstate or "",
            error.diag.constraint_name or "",
            error.diag.message_detail or "",
        )
        known = explain(refusal)
        if known is None:
            raise
        raise known from error
