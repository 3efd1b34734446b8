"""Identifiers: time-ordered UUIDs (version 7, RFC 9562 section 5.7) and secrets."""

from __future__ import annotations

import os
import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """A fresh UUIDv7: 48 bits of milliseconds, then 74 random bits, so keys insert in order."""
    stamp = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    value = (stamp & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76
    value |= ((tail >> 62) & 0x0FFF) << 64
    value |= 0x2 << 62
    value |= tail & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=value)


def new_secret(size: int = 32) -> str:
    """A URL-safe secret with ``size`` random bytes of entropy (printable ASCII only)."""
    return secrets.token_urlsafe(size)
