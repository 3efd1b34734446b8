"""Proofs between CDRs, statements and the books; the books' own proofs are ``ledger.verify``."""

from __future__ import annotations

from typing import Final

from hub.ledger import Proof
from hub.runtime import Tx

# Each statement answers the rows that break its promise, as one text column.
_PROOFS: Final[dict[str, str]] = {
    "every CDR has exactly one transaction": """
        SELECT format('CDR %s', c.id) FROM settlement.cdr c
        LEFT JOIN ledger.v_txn t ON t.tenant_id = c.tenant_id AND t.id = c.txn_id
          AND t.phase = 'post' AND t.ref_type = 'cdr'
          AND CASE WHEN c.credit THEN t.reverses_txn_id IS NOT NULL
                   ELSE t.idem = 'cdr:' || c.id END
        WHERE c.txn_id IS NOT NULL AND t.id IS NULL
           OR c.txn_id IS NULL AND c.minor_incl <> 0
        UNION ALL
        SELECT format('transaction %s', t.id) FROM ledger.v_txn t
        LEFT JOIN settlement.cdr c ON c.tenant_id = t.tenant_id AND c.txn_id = t.id
        WHERE t.ref_type = 'cdr' AND t.phase = 'post'
        GROUP BY t.tenant_id, t.id HAVING count(c.id) <> 1""",
    "the receivable of every CDR is its total": """
        SELECT format('CDR %s says %s, the ledger %s', c.id, c.minor_incl,
                      coalesce(sum(l.amount), 0))
        FROM settlement.cdr c
        LEFT JOIN ledger.v_leg l ON l.tenant_id = c.tenant_id AND l.txn_id = c.txn_id
          AND l.account = c.account AND l.currency = c.currency
        GROUP BY c.id, c.minor_incl HAVING c.minor_incl <> coalesce(sum(l.amount), 0)""",
    "a credit negates its CDR": """
        SELECT format('credit %s of %s', k.id, k.credits_id)
        FROM settlement.cdr k
        LEFT JOIN settlement.cdr c ON c.tenant_id = k.tenant_id AND c.id = k.credits_id
        LEFT JOIN ledger.v_txn t ON t.tenant_id = k.tenant_id AND t.id = k.txn_id
        WHERE k.credit AND (c.id IS NULL OR c.minor_incl <> -k.minor_incl
          OR t.reverses_txn_id IS DISTINCT FROM c.txn_id)""",
    "every statement line is a CDR of its partner": """
        SELECT format('line %s of %s', l.cdr_id, l.statement_id)
        FROM settlement.statement_line l
        LEFT JOIN settlement.statement s ON s.tenant_id = l.tenant_id AND s.id = l.statement_id
        LEFT JOIN settlement.cdr c ON c.tenant_id = l.tenant_id AND c.id = l.cdr_id
        WHERE s.id IS NULL OR c.id IS NULL OR c.partner_id IS DISTINCT FROM s.partner_id""",
}


async def prove(tx: Tx) -> list[Proof]:
    """Every proof of settlement over the tenants that ``tx`` can see."""
    proofs = []
    for name, sql in _PROOFS.items():
        # A literal % of format() is doubled for the driver.
        broken = f"SELECT * FROM ({sql}) AS broken (said) LIMIT 4".replace("%", "%%")
        rows = await tx.rows(broken)
        proofs.append(Proof(name, not rows, "; ".join(str(said) for (said,) in rows)))
    return proofs
