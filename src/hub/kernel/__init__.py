"""Values without I/O that every room shares: exact money, instants, ids, errors, JSON.

Nothing here opens a socket, a file or a transaction.
"""

from hub.kernel.codec import decode, encode
from hub.kernel.errors import Conflict, HubError, InvalidValue, NotFound
from hub.kernel.ids import new_id, new_secret
from hub.kernel.money import CurrencyMismatch, Money, exponent, round_half_up
from hub.kernel.time import Clock, format_instant, parse_instant

__all__ = [
    "Clock",
    "Conflict",
    "CurrencyMismatch",
    "HubError",
    "InvalidValue",
    "Money",
    "NotFound",
    "decode",
    "encode",
    "exponent",
    "format_instant",
    "new_id",
    "new_secret",
    "parse_instant",
    "round_half_up",
]
