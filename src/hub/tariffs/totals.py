"""From exact amounts to money: limits, tax groups, and the one rounding.

Limits without and with VAT hold independently; tax lines then follow in proportion, and whole
minor units are dealt out by largest remainder so that they add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Final

from hub.kernel import exponent
from hub.tariffs.lines import Cost, TaxLine
from hub.tariffs.model import Policy, PriceLimit, Tariff

Groups = dict[Decimal | None, list[Decimal]]

_ZERO: Final = Decimal(0)
_PRE: Final = Decimal(1).scaleb(-22)  # mends thirds that were a tie before division
_MODES: Final = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "down": ROUND_DOWN,
}


def limited(total: Cost, tariff: Tariff, *, charged: bool) -> tuple[Cost, list[str]]:
    """The total within the tariff's minimum and maximum price, and the readings that mattered.

    ``charged`` says whether a charging session took place; without one no minimum applies.
    """
    readings: list[str] = []
    bounded = total
    if tariff.min_price is not None and not charged:
        readings.append("limit_no_session")
    elif tariff.min_price is not None:
        bounded = _bounded(bounded, tariff.min_price, max, readings)
    if tariff.max_price is not None:
        bounded = _bounded(bounded, tariff.max_price, min, readings)
    if bounded != total:
        readings.append("limit_whole_total")
        if bounded.incl < bounded.excl and total.incl >= total.excl:
            readings.append("limit_contradiction")
            bounded = Cost(bounded.incl, bounded.incl)
    return bounded, readings


def _bounded(
    total: Cost,
    limit: PriceLimit,
    better: Callable[[Decimal, Decimal], Decimal],
    readings: list[str],
) -> Cost:
    excl = better(total.excl, limit.excl_vat)
    if limit.incl_vat is not None:
        return Cost(excl, better(total.incl, limit.incl_vat))
    if excl == total.excl:
        return total
    readings.append("limit_tax_in_proportion")
    return Cost(excl, excl * total.incl / total.excl if total.excl else excl)


def tax_lines(
    groups: Groups, exact: Cost, tariff: Tariff, policy: Policy, *, bound: bool
) -> tuple[TaxLine, ...]:
    """The rounded tax lines, whose sums are the totals to charge.

    The total is rounded and dealt out over the groups; or each group is rounded on its own
    where the policy says so and no limit fixed the total (``bound``).
    """
    places = exponent(tariff.currency)
    if policy.round_at == "total" or bound:
        return _dealt(groups, exact, places, policy)
    lines = []
    for vat, (net, tax) in groups.items():
        duty = rounded(tax, places, policy)
        if tariff.tax_included == "YES":
            amount = rounded(net + tax, places, policy) - duty
        else:
            amount = rounded(net, places, policy)
        lines.append(TaxLine(vat, amount, duty))
    return tuple(lines)


def rounded(amount: Decimal, places: int, policy: Policy) -> Decimal:
    """An exact amount in whole minor units by the policy's rounding."""
    tick = Decimal(1).scaleb(-places)
    return amount.quantize(_PRE).quantize(tick, rounding=_MODES[policy.rounding])


def _dealt(groups: Groups, exact: Cost, places: int, policy: Policy) -> tuple[TaxLine, ...]:
    groups = groups or {None: [_ZERO, _ZERO]}
    excl = rounded(exact.excl, places, policy)
    duty = rounded(exact.incl, places, policy) - excl
    if len(groups) == 1:
        return (TaxLine(next(iter(groups)), excl, duty),)
    nets = allocate(excl, [net for net, _ in groups.values()], places)
    duties = [tax for _, tax in groups.values()]
    if not any(duties):
        duties = [net if vat else _ZERO for vat, net in zip(groups, nets, strict=True)]
    taxes = allocate(duty, duties, places)
    return tuple(TaxLine(*line) for line in zip(groups, nets, taxes, strict=True))


def allocate(amount: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """``amount`` dealt out by weight in whole minor units, by largest remainder.

    Without any weight all of it goes to the first place.
    """
    total = sum(weights, _ZERO)
    if not total:
        return [amount, *[_ZERO.scaleb(-places)] * (len(weights) - 1)]
    units = int(amount.scaleb(places))
    shares = [weight * units / total for weight in weights]
    whole = [int(share.to_integral_value(rounding=ROUND_FLOOR)) for share in shares]
    order = sorted(range(len(shares)), key=lambda i: whole[i] - shares[i])
    for place in order[: units - sum(whole)]:
        whole[place] += 1
    return [Decimal(units).scaleb(-places) for units in whole]
