"""What energy costs: the OCPI tariff model and a pure, exact pricing engine that explains itself.

Reads partners' tariffs, prices sessions to the last decimal, and names how it read every rule
that the standard leaves open. ``store`` keeps our own tariffs by version. No ledger, no network.
"""

from hub.tariffs.decode import tariff_of_ocpi
from hub.tariffs.events import TariffChanged, TariffDeleted
from hub.tariffs.explain import explain
from hub.tariffs.lines import CdrDimension, ChargedPeriod, Cost, Line, Priced, Reading, TaxLine
from hub.tariffs.model import (
    DEFAULT,
    PER_TAX_GROUP,
    DisplayText,
    Period,
    Policy,
    PriceComponent,
    PriceLimit,
    Tariff,
    TariffElement,
    TariffRestrictions,
    tariff_for,
)
from hub.tariffs.periods import Rebuilt, VolumePeriod, rebuilt
from hub.tariffs.price import price, running_price
from hub.tariffs.store import (
    TariffRef,
    current_tariff,
    delete_tariff,
    load_tariff,
    save_tariff,
    tariffs,
)

__all__ = [
    "DEFAULT",
    "PER_TAX_GROUP",
    "CdrDimension",
    "ChargedPeriod",
    "Cost",
    "DisplayText",
    "Line",
    "Period",
    "Policy",
    "PriceComponent",
    "PriceLimit",
    "Priced",
    "Reading",
    "Rebuilt",
    "Tariff",
    "TariffChanged",
    "TariffDeleted",
    "TariffElement",
    "TariffRef",
    "TariffRestrictions",
    "TaxLine",
    "VolumePeriod",
    "current_tariff",
    "delete_tariff",
    "explain",
    "load_tariff",
    "price",
    "rebuilt",
    "running_price",
    "save_tariff",
    "tariff_for",
    "tariff_of_ocpi",
    "tariffs",
]
