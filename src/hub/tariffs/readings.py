"""The readings of rules that OCPI leaves open or words in two ways; a price names those it used."""

from __future__ import annotations

from typing import Final

from hub.tariffs.lines import Reading

_CHOICES: Final[dict[str, str]] = {
    "flat_once": "several FLAT components became active: the first one is charged, once",
    "flat_each": "several FLAT components became active: each of them is charged once",
    "step_parking_only": "TIME and PARKING_TIME are both priced: step_size rounds the total"
    " parking, charging time stays exact",
    "step_last_priced": "the session's tail is free: step_size of the last component that was"
    " active rounds the total",
    "step_reservation_apart": "the reservation's time is rounded by its own step_size, apart from"
    " the session's",
    "parking_then_charging": "charging resumed after parking: the parking total is still what"
    " step_size rounds",
    "power_average": "power was not measured: each period's average decides power restrictions",
    "current_unknown": "current was not measured: elements that restrict it do not apply",
    "power_unknown": "power cannot be told for an instant: elements that restrict it do not apply",
    "expired_first": "an expired reservation uses RESERVATION_EXPIRES elements first, then"
    " RESERVATION ones",
    "wrapped_weekday": "a time window over midnight is checked against the weekday of each instant",
    "clock_change": "the clock changed: a time that occurs twice means the first, a skipped time"
    " means the end of the gap",
    "limit_whole_total": "minimum and maximum price hold for the whole total, reservation included",
    "limit_no_session": "no session took place: the minimum price does not apply",
    "limit_tax_in_proportion": "the limit states no amount with VAT: tax follows in proportion",
    "limit_contradiction": "the limit with VAT lies below the one without: the lower one holds",
    "taxes_not_itemised": "prices include taxes whose rate is not stated: shown without a split",
    "no_tax": "the tariff says that tax does not apply: VAT percentages are left out",
    "rounded_by_group": "each tax group was rounded on its own: the sum differs from rounding once",
}


def reading(rule: str) -> Reading:
    """The named reading of a rule."""
    return Reading(rule, _CHOICES[rule])
