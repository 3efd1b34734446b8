"""The tables of ``docs/reference`` that follow from the code.

``python -m tests.docs.tables`` writes them into the pages; a test compares.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hub
from hub.kernel import HubError
from hub.runtime import Event

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def import_everything() -> None:
    """Load every module of the program, so that whatever registers itself has done so."""
    for module in pkgutil.walk_packages(hub.__path__, "hub."):
        if not module.name.endswith("__main__") and "._migrations" not in module.name:
            importlib.import_module(module.name)


def _below(root: type[Any]) -> Iterator[type[Any]]:
    for child in root.__subclasses__():
        if child.__module__.startswith("hub."):
            yield child
        yield from _below(child)


def _room(found: type[Any]) -> str:
    return found.__module__.split(".")[1]


def _said(thing: object) -> str:
    """The first paragraph of a docstring on one line, fit for a table cell."""
    paragraph = (inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0]
    return " ".join(paragraph.split()).replace("``", "`").replace("|", "\\|")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def errors() -> str:
    """Every error code of the program, once."""
    found: dict[str, tuple[str, ...]] = {}
    for error in sorted(_below(HubError), key=lambda e: (_room(e), e.__name__)):
        if "code" in vars(error) and _room(error) != "sim":
            row = (f"`{error.code}`", str(error.status), _room(error), _said(error))
            found.setdefault(error.code, row)
    return _table(("code", "HTTP", "room", "meaning"), [found[code] for code in sorted(found)])


def events() -> str:
    """Every durable event with its members."""
    kinds = {e.event_name(): e for e in _below(Event)}
    rows = [
        (f"`{name}`", str(e.version), ", ".join(f"`{f}`" for f in e.__struct_fields__), _said(e))
        for name, e in sorted(kinds.items())
    ]
    return _table(("event", "version", "members", "when"), rows)


def metrics() -> str:
    """Every metric of our own."""
    from hub.runtime.telemetry import METRICS

    rows = [
        (f"`{m.name}{'_total' * (m.type == 'counter')}`", m.type, _labels(m.name),
         m.documentation.replace("|", "\\|"))
        for m in METRICS.collect()
        if m.name.startswith("hub_")
    ]  # fmt: skip
    return _table(("metric", "type", "labels", "meaning"), sorted(rows))


def _labels(name: str) -> str:
    from hub.runtime.telemetry import METRICS

    collector: Any = METRICS._names_to_collectors[name]  # the registry has no public way to ask
    return ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))


def chart() -> str:
    """The chart of accounts as the ledger's migration fills it."""
    path = next((ROOT / "migrations" / "versions").glob("0004_*.py"))
    spec = importlib.util.spec_from_file_location("chart_of_accounts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entry = re.compile(r"\('(.+?)',\s*'(\w)', (-?1), '(\w)', (\w+), '(.+?)'\)")
    kinds = {"A": "asset", "L": "liability", "E": "expense", "R": "revenue", "X": "residue",
             "M": "memo (off balance)"}  # fmt: skip
    modes = {"s": "at each posting", "f": "folded later"}
    rows = [
        (f"`{_readable(pattern)}`", kinds[kind],
         "debit" if normal == "1" else "credit", modes[mode],
         "none" if floor == "NULL" else floor, note)
        for pattern, kind, normal, mode, floor, note in entry.findall(module.CHART)
    ]  # fmt: skip
    return _table(("account code (pattern)", "type", "side", "balance", "floor", "use"), rows)


def _readable(pattern: str) -> str:
    """An account pattern as people write it."""
    for regex, word in (
        (r"[0-9]+(\.[0-9]+)?", "RATE"), (r"[A-Z]{2}", "COUNTRY"), (r"[A-Z]{3}", "CURRENCY"),
        (r"[0-9a-f-]{36}", "BOOK"), (r"\S+", "ID"), ("\\.", "."), ("|", "\\|"),
    ):  # fmt: skip
        pattern = pattern.replace(regex, word)
    return pattern.strip("^$")


def addresses() -> str:
    """Every address of our REST API with the scope it needs."""
    from hub.api.routes import HANDLERS, PUBLIC

    rows = []
    for prefix, handlers in (("/api/v1", HANDLERS), ("", PUBLIC)):
        for handler in handlers:
            for path in sorted(handler.paths):
                method = ", ".join(sorted(handler.http_methods))
                shown = re.sub(r"\{(\w+):\w+\}", r"{\1}", prefix + path)
                rows.append((method, f"`{shown}`", _scope(handler), _said(handler.fn)))
    return _table(("method", "address", "scope", "does"), rows)


def _scope(handler: Any) -> str:
    cells = [c for guard in handler.guards or () for c in guard.__closure__ or ()]
    scopes = [c.cell_contents for c in cells if isinstance(c.cell_contents, str)]
    return ", ".join(f"`{scope}`" for scope in scopes) or "public"


def readings() -> str:
    """How the pricing engine reads each rule that the standard leaves open."""
    from hub.tariffs import readings as named

    return _table(
        ("reading", "what it means"),
        [(f"`{rule}`", choice) for rule, choice in sorted(named._CHOICES.items())],
    )


def parsers(parser: argparse.ArgumentParser, words: str = "hub") -> Iterator[tuple[str, Any]]:
    """Every command below ``parser`` as its words and its own parser."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield words, parser
    for group in groups:
        for name, child in group.choices.items():
            yield from parsers(child, f"{words} {name}")


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "errors": ("errors.md", errors),
    "events": ("events.md", events),
    "metrics": ("metrics.md", metrics),
    "chart": ("chart-of-accounts.md", chart),
    "addresses": ("addresses.md", addresses),
    "readings": ("tariff-readings.md", readings),
}


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(f"(?<=<!-- begin {name} -->\n).*?(?=\n<!-- end {name} -->)", re.DOTALL)


def written(page: str, name: str) -> str:
    """The table that stands in a page between its two marks."""
    found = _marked(name).search((REFERENCE / page).read_text())
    assert found, f"docs/reference/{page} lacks the marks of {name}"
    return found[0]


def main() -> None:
    """Write every table into its page."""
    import_everything()
    for name, (page, make) in TABLES.items():
        path, table = REFERENCE / page, make()
        path.write_text(_marked(name).sub(lambda _: table, path.read_text()))  # noqa: B023


if __name__ == "__main__":
    main()
