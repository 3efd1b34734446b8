"""The pricing engine: what a session costs under a tariff, exactly, line by line.

Pure: no clock, no I/O, no state but compiled tariffs. Rules are those of OCPI 2.2.1, Tariffs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from hub.kernel import Money
from hub.tariffs.drafts import Draft, Drafts
from hub.tariffs.lines import (
    CdrDimension,
    ChargedPeriod,
    Cost,
    Line,
    LineDimension,
    Part,
    Priced,
    TaxLine,
    Unit,
)
from hub.tariffs.model import DEFAULT, Period, Policy, Tariff
from hub.tariffs.plan import Plan, plan_of
from hub.tariffs.readings import reading
from hub.tariffs.totals import Groups, limited, rounded, tax_lines
from hub.tariffs.walk import EXACT, ZERO, Run, runs_of
from hub.tariffs.windows import EPOCH, MICROSECOND, Instant

_FINE: Final = Decimal(1).scaleb(-30)
_KILO: Final = Decimal("0.001")
_CENT: Final = Decimal("0.01")
_US: Final = Decimal(1).scaleb(-6)
_VOLUME: Final = Decimal("0.0001")
_ONE: Final = Decimal(1)
_HOUR_US: Final = 3_600_000_000
_UNITS: Final[dict[LineDimension, Unit]] = {"ENERGY": "Wh", "TIME": "s", "PARKING_TIME": "s"}
_PARTS: Final[dict[str, Part]] = {"ENERGY": "energy", "TIME": "time", "PARKING_TIME": "parking"}


def price(
    tariff: Tariff, periods: Sequence[Period], *, time_zone: str, policy: Policy = DEFAULT
) -> Priced:
    """The price of a session, with a line for everything charged and every reading named.

    ``periods`` in order, without overlap, gaps allowed (a gap costs nothing but counts as session
    length); a reservation comes before its session. They are cut wherever the price may change,
    so how finely they are given never matters. ``time_zone`` is the location's. No periods: zero.
    Raises ``InvalidValue`` for periods that overlap and for an unknown time zone.
    """
    with localcontext(EXACT):
        plan = plan_of(tariff, time_zone)
        runs = runs_of(plan, periods)
        drafts = Drafts(runs, policy)
        lines = [_line(draft, tariff) for draft in drafts.all()]
        return _settled(plan, runs, lines, policy, _noted(plan, runs, periods, drafts))


def running_price(
    tariff: Tariff, periods: Sequence[Period], *, time_zone: str, policy: Policy = DEFAULT
) -> Money:
    """What a session would cost, tax included, if it ended now; the same sum ``price`` gives."""
    return price(tariff, periods, time_zone=time_zone, policy=policy).total_incl


def _settled(
    plan: Plan, runs: list[Run], lines: list[Line], policy: Policy, readings: list[str]
) -> Priced:
    """Limits, taxes and totals around the lines."""
    tariff = plan.tariff
    groups: Groups = {}
    parts: dict[str, list[Decimal]] = {}
    excl = tax = ZERO
    for line in lines:
        for sums in (
            groups.setdefault(line.vat, [ZERO, ZERO]),
            parts.setdefault(line.part, [ZERO, ZERO]),
        ):
            sums[0] += line.excl
            sums[1] += line.tax
        excl += line.excl
        tax += line.tax
    total = exact = Cost(excl, excl + tax)
    if runs and (tariff.min_price is not None or tariff.max_price is not None):
        charged = any(not run.kind.startswith("RESERVATION") for run in runs)
        exact, notes = limited(total, tariff, charged=charged)
        readings += notes
        if exact != total:
            lines.append(_limit_line(total, exact, runs))
    taxes = tax_lines(groups, exact, tariff, policy, bound=exact != total)
    total_excl, total_incl = _totals(taxes, exact, tariff, policy, readings)
    seconds = _seconds(runs)
    return Priced(
        currency=tariff.currency,
        policy=policy.id,
        tariff_id=tariff.id,
        excl=exact.excl,
        incl=exact.incl,
        total_excl=total_excl,
        total_incl=total_incl,
        tax_lines=taxes,
        fixed=_cost(parts, "fixed"),
        energy=_cost(parts, "energy"),
        time=_cost(parts, "time"),
        parking=_cost(parts, "parking"),
        reservation=_cost(parts, "reservation"),
        energy_wh=sum((run.wh for run in runs), ZERO),
        time_s=seconds[0] + seconds[1],
        parking_s=seconds[1],
        reservation_s=seconds[2],
        lines=tuple(lines),
        charging_periods=tuple([_charged(run, tariff.id) for run in runs]),
        readings=tuple([reading(rule) for rule in dict.fromkeys(readings)]),
    )


def _line(draft: Draft, tariff: Tariff) -> Line:
    """A draft with its amounts, exact to 30 decimals."""
    component = draft.rate.component
    if draft.dimension == "FLAT":
        amount = component.price
    elif draft.dimension == "ENERGY":
        amount = draft.billed * component.price * _KILO
    else:
        amount = draft.billed * component.price / 3600
    vat = None if tariff.tax_included == "N/A" else component.vat
    excl, tax = _taxed(amount, vat, gross=tariff.tax_included == "YES")
    return Line(
        dimension=draft.dimension,
        part=_part(draft),
        kind=draft.kind,
        start=_moment(draft.start),
        end=_moment(draft.end),
        quantity=draft.quantity,
        billed=draft.billed,
        unit=_UNITS.get(draft.dimension, "session"),
        unit_price=component.price,
        vat=vat,
        excl=excl,
        tax=tax,
        element=draft.rate.element,
        clause=draft.clause,
    )


def _taxed(amount: Decimal, vat: Decimal | None, *, gross: bool) -> tuple[Decimal, Decimal]:
    """Net and tax of an amount that excludes or includes its tax."""
    exact = amount.quantize(_FINE)
    exact = amount if exact == amount else exact
    if not vat:
        return exact, ZERO
    if gross:
        net = (exact / (1 + vat * _CENT)).quantize(_FINE)
        return net, exact - net
    return exact, exact * vat * _CENT


def _part(draft: Draft) -> Part:
    """The cost field of a CDR a line counts in: parking and reservation keep their fixed parts."""
    if draft.kind.startswith("RESERVATION"):
        return "reservation"
    if draft.rate.parking_fee:
        return "parking"
    return _PARTS.get(draft.dimension, "fixed")


def _limit_line(total: Cost, exact: Cost, runs: list[Run]) -> Line:
    """The difference a minimum or maximum price makes, as a line of its own."""
    raised = exact.excl > total.excl or exact.incl > total.incl
    name: LineDimension = "MIN_PRICE" if raised else "MAX_PRICE"
    excl = exact.excl - total.excl
    return Line(
        dimension=name,
        part="limit",
        kind=runs[-1].kind,
        start=_moment(runs[0].start),
        end=_moment(runs[-1].end),
        quantity=_ONE,
        billed=_ONE,
        unit="session",
        unit_price=excl,
        vat=None,
        excl=excl,
        tax=exact.incl - total.incl - excl,
        element=None,
        clause=f"{name.lower()} holds for the total without and with VAT (Tariff, {name.lower()})",
    )


def _totals(
    taxes: tuple[TaxLine, ...], exact: Cost, tariff: Tariff, policy: Policy, readings: list[str]
) -> tuple[Money, Money]:
    places = Money(ZERO, tariff.currency).rounded().amount
    excl = sum((line.net for line in taxes), places)
    incl = excl + sum((line.tax for line in taxes), places)
    if len(taxes) > 1 and policy.round_at == "tax_group":
        digits = -int(places.as_tuple().exponent)
        once = [rounded(amount, digits, policy) for amount in (exact.excl, exact.incl)]
        if once != [excl, incl]:
            readings.append("rounded_by_group")
    return Money(excl, tariff.currency), Money(incl, tariff.currency)


def _cost(parts: dict[str, list[Decimal]], name: Part) -> Cost:
    excl, tax = parts.get(name, (ZERO, ZERO))
    return Cost(excl, excl + tax)


def _seconds(runs: list[Run]) -> list[Decimal]:
    """Seconds charging, parking and reserved."""
    spans: list[Instant] = [0, 0, 0]
    for run in runs:
        place = 0 if run.kind == "CHARGING" else 1 if run.kind == "PARKING" else 2
        spans[place] += run.end - run.start
    return [span * _US for span in spans]


def _charged(run: Run, tariff_id: str) -> ChargedPeriod:
    """A run as a CDR's charging period, volumes to four decimals as OCPI numbers are."""
    dimensions = []
    if run.wh:
        dimensions.append(CdrDimension("ENERGY", _volume(run.wh * _KILO)))
    hours = _volume(Decimal(run.end - run.start) / _HOUR_US)
    if run.kind == "CHARGING":
        dimensions.append(CdrDimension("TIME", hours))
    elif run.kind == "PARKING":
        dimensions.append(CdrDimension("PARKING_TIME", hours))
    else:
        dimensions.append(CdrDimension("RESERVATION_TIME", hours))
    return ChargedPeriod(_moment(run.start), tuple(dimensions), tariff_id)


def _volume(value: Decimal) -> Decimal:
    return value.quantize(_VOLUME, rounding=ROUND_HALF_UP)


def _moment(instant: Instant) -> datetime:
    return EPOCH + int(instant) * MICROSECOND


def _noted(plan: Plan, runs: list[Run], periods: Sequence[Period], drafts: Drafts) -> list[str]:
    """The readings that the tariff's shape and the session's data brought into play."""
    notes = list(drafts.readings)
    tariff = plan.tariff
    if plan.power.at:
        blind = [period for period in periods if period.power_kw is None]
        if any(period.start != period.end for period in blind):
            notes.append("power_average")
        if any(period.start == period.end for period in blind):
            notes.append("power_unknown")
    if plan.current.at and any(
        period.current_a is None and period.kind == "CHARGING" for period in periods
    ):
        notes.append("current_unknown")
    if any(run.kind == "RESERVATION_EXPIRED" for run in runs):
        notes.append("expired_first")
    if plan.wraps and runs:
        notes.append("wrapped_weekday")
    if runs and plan.time.shifts(runs[0].start, runs[-1].end):
        notes.append("clock_change")
    if tariff.tax_included is not None:
        notes += _tax_notes(tariff, drafts)
    return notes


def _tax_notes(tariff: Tariff, drafts: Drafts) -> list[str]:
    rates = {draft.rate.component.vat for draft in drafts.all()}
    if tariff.tax_included == "YES" and None in rates:
        return ["taxes_not_itemised"]
    if tariff.tax_included == "N/A" and rates - {None}:
        return ["no_tax"]
    return []
