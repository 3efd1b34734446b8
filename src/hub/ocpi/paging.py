"""Lists: the filters a partner asks for, and the headers of the page it gets (T-D).

Partners page by ``offset``; our own next links carry the last key instead, so that a page costs
the same at any depth. The total is always true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from hub.kernel import InvalidValue, parse_instant
from hub.ocpi.call import Call
from hub.ocpi.envelope import Invalid, Reply

LIMIT: Final = 100


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner asks of a list. ``after`` is the key of the last object it has seen."""

    date_from: datetime | None
    date_to: datetime | None
    offset: int
    limit: int
    after: str


class Found(msgspec.Struct, frozen=True):
    """A page's objects, lowered, with the key of the last one and how many match in all."""

    objects: Sequence[object]
    last: str
    total: int
    more: bool


def asked_page(query: Mapping[str, str], *, dates_needed: bool = False) -> Page:
    """The page that ``query`` asks for; ``Invalid`` for malformed dates or numbers (T-D6)."""
    page = Page(
        date_from=_instant(query, "date_from"),
        date_to=_instant(query, "date_to"),
        offset=_count(query, "offset", 0, least=0),
        limit=min(_count(query, "limit", LIMIT, least=1), LIMIT),
        after=query.get("after", ""),
    )
    if page.after and not page.after.isprintable():
        raise Invalid("after: not a cursor of ours")
    if dates_needed and page.date_from is None:
        raise Invalid("date_from is required for this module")
    return page


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    # An unescaped plus sign arrives as a space (T-D1).
    text = query[name].strip()
    head, space, tail = text.rpartition(" ")
    try:
        return parse_instant(f"{head}+{tail}" if space and "T" in head else text)
    except InvalidValue as error:
        raise Invalid(f"{name}: {error}") from error


def _count(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or int(text) < least:
        raise Invalid(f"{name} must be a whole number from {least}")
    return int(text)


def page_reply(call: Call, page: Page, found: Found) -> Reply:
    """The answer with a page; ``Link`` only when more follows (T-D2, T-D3)."""
    headers = {"X-Total-Count": str(found.total), "X-Limit": str(LIMIT)}
    if found.more:
        kept = {name: call.query[name] for name in ("date_from", "date_to") if name in call.query}
        following = {
            **kept,
            "offset": page.offset + len(found.objects),
            "limit": page.limit,
            "after": found.last,
        }
        headers["Link"] = f'<{call.base}{call.path}?{urlencode(following)}>; rel="next"'
    return Reply(data=list(found.objects), headers=headers)
