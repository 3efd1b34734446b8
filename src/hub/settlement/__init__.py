"""From closed session to settled money: CDRs with their postings, credits, statements, proofs.

A CDR exists only together with its entry in the books. Card captures are not here.
"""

from hub.settlement.cdrs import cdr, cdrs, credit_cdr, held_sessions, issue_cdr
from hub.settlement.events import CdrIssued
from hub.settlement.model import (
    Cdr,
    CdrDimension,
    CdrLocation,
    CdrPeriod,
    CdrToken,
    Held,
    Price,
    Statement,
    StatementLine,
    StatementTotal,
)
from hub.settlement.proofs import prove
from hub.settlement.rendering import statement_csv, statement_json
from hub.settlement.replay import DEFAULT_TARIFF, Refused, ReplayReport, replay_sessions
from hub.settlement.statements import close_statement, statement, statements

__all__ = [
    "DEFAULT_TARIFF",
    "Cdr",
    "CdrDimension",
    "CdrIssued",
    "CdrLocation",
    "CdrPeriod",
    "CdrToken",
    "Held",
    "Price",
    "Refused",
    "ReplayReport",
    "Statement",
    "StatementLine",
    "StatementTotal",
    "cdr",
    "cdrs",
    "close_statement",
    "credit_cdr",
    "held_sessions",
    "issue_cdr",
    "prove",
    "replay_sessions",
    "statement",
    "statement_csv",
    "statement_json",
    "statements",
]
