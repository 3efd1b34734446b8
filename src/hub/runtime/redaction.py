"""Keeps secrets out of logs and traces: by the names of fields, and by their look in any text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

MASK: Final = "***"

# Whole words of a field's name that make its value a secret.
_SECRET: Final = frozenset({
    "authorization", "cookie", "credential", "credentials", "cvc", "cvv", "pan", "passphrase",
    "passwd", "password", "pin", "secret", "signature", "token",
})  # fmt: skip
_SECRET_PAIRS: Final = frozenset({"api key", "private key", "secret key", "card number"})
# Names of things about a token that are no secret (its kind, its owner, its number in our books).
_HARMLESS_ENDS: Final = frozenset({"id", "type", "kind", "count", "name", "status", "scope"})
# Driver tokens: enough is left to tell two cards apart, not enough to copy one.
_PARTLY: Final = frozenset({"uid", "token uid", "id tag", "id token", "emaid", "contract id"})

_WORDS: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
# After "token" plain prose may follow, so there only what looks drawn by lot is masked.
_SCHEME: Final = re.compile(
    r"\b(bearer|basic|digest|token(?=\s+(?:\S*[\d=+/]|\S{16})))(\s+)[^\s\"',;]{4,}", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"(\w://[^/\s:@]*):[^/\s@]+@")
_PAIR: Final = re.compile(
    r"\b(\w*(?:password|passwd|secret|api_?key|authorization))(\"?\s*[=:]\s*\"?)"
    r"(?!(?:bearer|basic|token|digest)\b)[^\s\"'&,;]+",
    re.IGNORECASE,
)
_VENDOR_KEY: Final = re.compile(r"\b(sk|rk|whsec)_\w{8,}")
_CARD: Final = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")


def redacted(name: str, value: object) -> object:
    """``value`` as it may be shown under ``name``; containers are gone through."""
    if value is None or isinstance(value, bool):
        return value
    kind = _kind(name)
    if kind == "partly":
        return _tail(value)
    if kind == "secret":
        return MASK
    if isinstance(value, Mapping):
        return redacted_fields(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(name, item) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return _clean(value) if isinstance(value, str) else value


def redacted_fields(fields: Mapping[str, object]) -> dict[str, object]:
    """Every field as it may be shown."""
    return {str(name): redacted(str(name), value) for name, value in fields.items()}


@lru_cache(maxsize=4096)
def _kind(name: str) -> Literal["secret", "partly", "plain"]:
    words = [word.lower() for word in _WORDS.findall(name)]
    if " ".join(words[-2:]) in _PARTLY or words[-1:] == ["uid"]:
        return "partly"
    return "secret" if _is_secret(words) else "plain"


def _is_secret(words: list[str]) -> bool:
    if words and words[-1] in _HARMLESS_ENDS and words[0] in {"token", "credentials", "pan"}:
        return False
    pairs = {f"{left} {right}" for left, right in pairwise(words)}
    return bool(_SECRET.intersection(words) or _SECRET_PAIRS.intersection(pairs))


def _tail(value: object) -> str:
    text = str(value)
    return f"{MASK}{text[-4:]}" if len(text) >= 8 else MASK


def _clean(text: str) -> str:
    if len(text) < 8:
        return text
    text = _SCHEME.sub(rf"\1\2{MASK}", text)
    text = _USERINFO.sub(rf"\1:{MASK}@", text)
    text = _PAIR.sub(rf"\1\2{MASK}", text)
    text = _VENDOR_KEY.sub(rf"\1_{MASK}", text)
    return _CARD.sub(_card, text)


def _card(found: re.Match[str]) -> str:
    """A number with a valid check digit (ISO/IEC 7812-1 annex B) is taken for a card's."""
    digits = [int(mark) for mark in found.group() if mark.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    if (sum(digits[-1::-2]) + sum(doubled)) % 10:
        return found.group()
    return f"{MASK}{found.group()[-4:]}"
