"""How a CDR enters the books: the receivable against revenue by dimension and VAT by rate.

Pure. Revenue legs are rounded one by one; what that leaves goes to ``rounding``, and never more
than half a minor unit for each of them.
"""

from __future__ import annotations

import re
from decimal import Decimal

from hub.kernel import HubError, Money
from hub.ledger import Entry, Leg
from hub.settlement.model import Cdr
from hub.tariffs import Priced

_PARTS = (
    ("energy", "revenue.energy"),
    ("time", "revenue.time"),
    ("parking", "revenue.parking"),
    ("reservation", "revenue.reservation"),
    ("fixed", "revenue.start"),
)
_SPACE = re.compile(r"\s+")


class ResidueTooLarge(HubError):
    """The parts of a price differ from its total by more than rounding explains."""

    code = "residue_too_large"

    def __init__(self, cdr_id: str, residue: int) -> None:
        super().__init__(cdr_id, residue)
        self.cdr_id = cdr_id
        self.residue = residue

    def __str__(self) -> str:
        return f"CDR {self.cdr_id}: parts and total differ by {self.residue} minor units"


def receivable(cdr: Cdr) -> str:
    """Who owes a CDR: the eMSP of a roaming driver, else the driver's own contract."""
    token = cdr.cdr_token
    if cdr.partner_id is not None:
        return f"ar.emsp.{token.country_code}-{token.party_id}"
    return f"ar.driver.{_SPACE.sub('_', token.contract_id or token.uid)}"


def entry_of(cdr: Cdr, priced: Priced) -> Entry | None:
    """The entry of a CDR, effective when the session ended; ``None`` when nothing was charged."""
    owed = priced.total_incl.minor()
    legs = [Leg(receivable(cdr), owed)]
    revenue = _revenue(priced)
    legs += [Leg(account, -amount) for account, amount in revenue.items()]
    taxes = [_tax(cdr, line.vat, Money(line.tax, cdr.currency)) for line in priced.tax_lines]
    legs += taxes
    residue = -sum(leg.amount for leg in legs)
    # Each revenue leg and each net of a tax rate were rounded once.
    if 2 * abs(residue) > len(revenue) + len(priced.tax_lines):
        raise ResidueTooLarge(cdr.id, residue)
    legs.append(Leg("rounding", residue))
    legs = [leg for leg in legs if leg.amount]
    if not legs:
        return None
    return Entry(
        idem=f"cdr:{cdr.id}",
        kind="cdr",
        currency=cdr.currency,
        legs=tuple(legs),
        effective_at=cdr.end_date_time,
        ref_type="cdr",
        ref_id=cdr.id,
    )


def _revenue(priced: Priced) -> dict[str, int]:
    exact = {account: getattr(priced, part).excl for part, account in _PARTS}
    # A minimum or maximum price changes what the greatest part brings in.
    limit = priced.excl - sum(exact.values(), Decimal(0))
    greatest = max(exact, key=lambda account: abs(exact[account]))
    exact["revenue.start" if not exact[greatest] else greatest] += limit
    amounts = {name: Money(amount, priced.currency).minor() for name, amount in exact.items()}
    return {name: amount for name, amount in amounts.items() if amount or exact[name]}


def _tax(cdr: Cdr, vat: Decimal | None, amount: Money) -> Leg:
    if not vat:
        # No rate stands for it: a bare maximum price with VAT but no rate of its own.
        return Leg("rounding", -amount.minor())
    rate = format(vat.normalize(), "f")
    return Leg(f"tax.output.{cdr.country_code}.{rate}", -amount.minor())
