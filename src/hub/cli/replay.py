"""``hub replay sessions``: past sessions through tariffs, CDRs, ledger and statement."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hub.cli.opening import print_json, tell, within
from hub.kernel import InvalidValue
from hub.runtime import Database
from hub.settlement import DEFAULT_TARIFF, ReplayReport, replay_sessions
from hub.tariffs import Tariff, tariff_of_ocpi

_REFUSALS_SHOWN = 10


def sessions(arguments: argparse.Namespace) -> int:
    """Bill the sessions of a CSV in a scratch tenant; exit code 1 when the books do not balance."""
    lines = _read(arguments.file, "FILE").splitlines(keepends=True)
    tariff = _tariff(arguments.tariff)

    async def replay(database: Database) -> ReplayReport:
        with _bar(len(lines) - 1) as progress:
            return await replay_sessions(database, lines, tariff=tariff, progress=progress)

    report = within(arguments.settings, replay)
    _explain(report)
    if arguments.json:
        print_json({
            "sessions": report.sessions, "refused": len(report.refused),
            "energy_kwh": plain(report.energy_kwh), "total_excl_vat": str(report.total_excl_vat),
            "total_incl_vat": str(report.total_incl_vat),
            "ledger_balanced": report.ledger_balanced,
        })  # fmt: skip
    else:
        print(f"tariff          {_named(tariff or DEFAULT_TARIFF)}")
        print(f"sessions        {report.sessions:,}\nrefused         {len(report.refused):,}")
        print(f"energy          {plain(report.energy_kwh)} kWh")
        print(f"total excl VAT  {report.total_excl_vat:,} {report.currency}")
        print(f"total incl VAT  {report.total_incl_vat:,} {report.currency}")
        print(f"books           {'balanced' if report.ledger_balanced else 'OUT OF BALANCE'}")
    return 0 if report.ledger_balanced else 1


def _named(tariff: Tariff) -> str:
    """The tariff by its id, and by its text if it has one."""
    text = tariff.tariff_alt_text[0].text if tariff.tariff_alt_text else ""
    return f"{tariff.id}: {text}" if text else tariff.id


def plain(amount: Decimal) -> str:
    """An amount as a decimal string without idle zeros."""
    return f"{amount.normalize():f}"


def _read(name: str, argument: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidValue(argument, f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidValue(argument, f"{name} is not UTF-8 text (byte {error.start})") from error


def _tariff(name: str | None) -> Tariff | None:
    if not name:
        return None
    text = _read(name, "--tariff")
    try:
        return tariff_of_ocpi(text)
    except InvalidValue as error:
        raise InvalidValue("--tariff", f"{name} is no OCPI tariff: {error}") from error


@contextmanager
def _bar(rows: int) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("sessions", total=max(rows, 0))

        def progress(done: int, refused: int) -> None:
            bar.update(task, completed=done + refused)

        yield progress


def _explain(report: ReplayReport) -> None:
    for what, rows in report.mended.items():
        tell(f"hub: mended in {rows} rows: {what}")
    for one in report.refused[:_REFUSALS_SHOWN]:
        tell(f"hub: line {one.row} refused: {one.reason}")
    if len(report.refused) > _REFUSALS_SHOWN:
        tell(f"hub: and {len(report.refused) - _REFUSALS_SHOWN} more lines refused")
    for name in report.broken:
        tell(f"hub: this proof does not hold: {name}")
