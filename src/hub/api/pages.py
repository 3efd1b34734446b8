"""Lists: ``{"items": [...], "next": cursor or null}`` with opaque keyset cursors.

A cursor holds the sort key of the last item shown, so a page costs the same however deep it is
and nothing is skipped or shown twice while rows are added.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from hub.kernel import InvalidValue, encode

T = TypeVar("T")
R = TypeVar("R")

_LARGEST: Final = 2**63 - 1

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=500, description="Items per page.")]
Cursor = Annotated[
    str | None, QueryParameter(name="cursor", description="``next`` of the page before.")
]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; ``next`` is the cursor of the page after it, null at the end."""

    items: list[T]
    next: str | None


def page_of(
    rows: Sequence[R], limit: int, key: Callable[[R], Sequence[object]], show: Callable[[R], T]
) -> Page[T]:
    """The page of ``rows``, which were fetched with ``limit + 1``."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page([show(row) for row in shown], cursor_of(key(shown[-1])) if more else None)


def cursor_of(key: Sequence[object]) -> str:
    """The sort key of an item as an opaque URL-safe text."""
    return base64.urlsafe_b64encode(encode(list(key))).decode().rstrip("=")


def key_of(cursor: str | None, types: type[T]) -> T | None:
    """The sort key in ``cursor`` as the tuple type ``types``; ``InvalidValue`` when it is none."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        key = msgspec.json.decode(text, type=types)
        _check_numbers(key)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidValue("cursor", "use the 'next' of the page before as it is") from error
    return key


def _check_numbers(key: object) -> None:
    for part in key if isinstance(key, tuple) else ():
        if isinstance(part, int) and abs(part) > _LARGEST:
            raise ValueError(part)
