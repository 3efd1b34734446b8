"""A statement as bytes for people and programs: JSON, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io

from hub.kernel import encode, format_instant
from hub.settlement.model import Statement

COLUMNS = (
    "cdr_id", "session_id", "start", "end", "energy_kwh", "currency", "excl_vat", "vat",
    "incl_vat", "kind", "account",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def statement_json(statement: Statement) -> bytes:
    """The statement as JSON, decimals as exact numbers."""
    return encode(statement)


def statement_csv(statement: Statement) -> bytes:
    """The lines as CSV (UTF-8 with BOM, CRLF), then a total line per currency.

    Text that a spreadsheet would run as a formula is disarmed with a leading apostrophe.
    """
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(COLUMNS)
    for line in statement.lines:
        write((
            line.cdr_id, _plain(line.session_id), format_instant(line.start_date_time),
            format_instant(line.end_date_time), line.energy_kwh, line.currency, line.excl_vat,
            line.vat, line.incl_vat, "credit" if line.credit else "cdr", _plain(line.account),
        ))  # fmt: skip
    for total in statement.totals:
        write((
            "total", f"{total.cdrs} CDRs, {total.credits} credits",
            format_instant(statement.start), format_instant(statement.end), total.energy_kwh,
            total.currency, total.excl_vat, total.vat, total.incl_vat, "total", "",
        ))  # fmt: skip
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _plain(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) else text
