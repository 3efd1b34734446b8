"""Exact money: a decimal amount with its ISO 4217 currency, and whole minor units for the ledger.

No float ever: amounts are ``Decimal`` until the ledger, which counts minor units.
Nothing here knows prices, taxes or accounts.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

import msgspec

from hub.kernel.errors import HubError, InvalidValue

# ISO 4217 list one: the currencies whose exponent is not 2.
_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    "CLF": 4,
    "UYW": 4,
}


class CurrencyMismatch(HubError):
    """Two amounts of different currencies met in one sum."""

    code = "currency_mismatch"
    status = 409

    def __init__(self, left: str, right: str) -> None:
        super().__init__(left, right)
        self.left = left
        self.right = right

    def __str__(self) -> str:
        return f"cannot combine {self.left} with {self.right}"


def exponent(currency: str) -> int:
    """Number of decimals of a currency's minor unit (ISO 4217); ``InvalidValue`` if malformed."""
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise InvalidValue("currency", f"{currency!r} is not a three-letter ISO 4217 code")
    return _EXPONENTS.get(currency, 2)


def round_half_up(amount: Decimal, places: int) -> Decimal:
    """``amount`` rounded half away from zero to ``places`` decimals, at any magnitude."""
    with localcontext() as context:
        context.prec = 60
        return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


class Money(msgspec.Struct, frozen=True, order=False):
    """An exact amount of one currency. Sums of different currencies raise ``CurrencyMismatch``."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.rounded().amount} {self.currency}"

    def rounded(self) -> Money:
        """The amount in whole minor units, half up."""
        return Money(round_half_up(self.amount, exponent(self.currency)), self.currency)

    def minor(self) -> int:
        """The amount as whole minor units (cents), half up."""
        places = exponent(self.currency)
        return int(round_half_up(self.amount, places).scaleb(places))

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Money:
        """The amount that ``minor`` whole minor units stand for."""
        return cls(Decimal(minor).scaleb(-exponent(currency)), currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)
