"""Proofs that the books are right, computed from the rows, not from what we meant to write.

In a tenant's transaction they speak of its own book, in a system transaction of all books.
"""

from __future__ import annotations

from typing import Final

from hub.ledger.model import Proof
from hub.runtime import Tx

# Each statement answers the rows that break its promise, as one text column.
_PROOFS: Final[dict[str, str]] = {
    "every transaction balances": """
        SELECT format('%s sums to %s %s', l.txn_id, sum(l.amount), a.currency)
        FROM ledger.leg l LEFT JOIN ledger.account a ON a.id = l.account_id
        GROUP BY l.tenant_id, l.txn_id, a.currency HAVING sum(l.amount) <> 0""",
    "all legs of a currency sum to zero": """
        SELECT format('%s sums to %s', a.currency, sum(l.amount))
        FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id
        WHERE NOT l.pending GROUP BY a.tenant_id, a.currency HAVING sum(l.amount) <> 0""",
    "every leg has its transaction and its account": """
        SELECT format('%s leg %s', l.txn_id, l.seq)
        FROM ledger.leg l
        LEFT JOIN ledger.txn t ON t.tenant_id = l.tenant_id AND t.id = l.txn_id
        LEFT JOIN ledger.account a ON a.id = l.account_id
        WHERE t.id IS NULL OR a.tenant_id IS DISTINCT FROM l.tenant_id
           OR a.currency <> t.currency OR l.pending <> (t.phase = 'pending')
        UNION ALL
        SELECT format('%s has no legs', t.id) FROM ledger.txn t
        WHERE t.phase IN ('post', 'pending') AND NOT EXISTS (
          SELECT FROM ledger.leg l WHERE l.tenant_id = t.tenant_id AND l.txn_id = t.id)""",
    "balances are the sums of their legs": """
        SELECT format('%s says %s, its legs %s', b.code, b.balance, coalesce(s.v, 0))
        FROM ledger.v_balance b LEFT JOIN (
          SELECT account_id, sum(amount) AS v FROM ledger.leg WHERE NOT pending
          GROUP BY account_id) s ON s.account_id = b.id
        WHERE b.balance <> coalesce(s.v, 0)""",
    "versions have no gap": """
        SELECT format('%s version %s after %s', code, account_version, before) FROM (
          SELECT a.code, l.account_version, l.balance_after, l.amount,
                 coalesce(lag(l.account_version) OVER w, 0) AS before,
                 coalesce(lag(l.balance_after) OVER w, 0) AS balance_before
          FROM ledger.leg l JOIN ledger.account a ON a.id = l.account_id
          WHERE a.mode = 's' AND NOT l.pending
          WINDOW w AS (PARTITION BY a.id ORDER BY l.account_version)) v
        WHERE account_version IS DISTINCT FROM before + 1
           OR balance_after IS DISTINCT FROM balance_before + amount
        UNION ALL
        SELECT format('%s has version %s and %s legs', a.code, a.version, count(l.txn_id))
        FROM ledger.account a LEFT JOIN ledger.leg l ON l.account_id = a.id AND NOT l.pending
        WHERE a.mode = 's' GROUP BY a.id, a.code, a.version
        HAVING a.version <> count(l.txn_id)""",
    "pending amounts are resolved once": """
        SELECT format('%s resolves %s', r.id, r.resolves_txn_id)
        FROM ledger.txn r
        LEFT JOIN ledger.txn p ON p.tenant_id = r.tenant_id AND p.id = r.resolves_txn_id
        WHERE r.resolves_txn_id IS NOT NULL AND p.phase IS DISTINCT FROM 'pending'
        UNION ALL
        SELECT format('%s resolved %s times, open %s', p.id, count(DISTINCT r.id),
                      count(DISTINCT o.txn_id))
        FROM ledger.txn p
        LEFT JOIN ledger.txn r ON r.tenant_id = p.tenant_id AND r.resolves_txn_id = p.id
        LEFT JOIN ledger.open_pending o ON o.tenant_id = p.tenant_id AND o.txn_id = p.id
        WHERE p.phase = 'pending' GROUP BY p.tenant_id, p.id
        HAVING count(DISTINCT r.id) + count(DISTINCT o.txn_id) <> 1
        UNION ALL
        SELECT format('%s holds %s/%s, its open legs %s/%s', a.code, a.pending_dr, a.pending_cr,
                      coalesce(s.dr, 0), coalesce(s.cr, 0))
        FROM ledger.account a LEFT JOIN (
          SELECT l.account_id, sum(greatest(l.amount, 0)) AS dr, -sum(least(l.amount, 0)) AS cr
          FROM ledger.open_pending o
          JOIN ledger.leg l ON l.tenant_id = o.tenant_id AND l.txn_id = o.txn_id
          GROUP BY l.account_id) s ON s.account_id = a.id
        WHERE a.mode = 's'
          AND (a.pending_dr <> coalesce(s.dr, 0) OR a.pending_cr <> coalesce(s.cr, 0))""",
    "reversals are exact": """
        SELECT format('%s of %s', r.id, r.reverses_txn_id)
        FROM ledger.txn r CROSS JOIN LATERAL (
          SELECT account_id FROM ledger.leg l
          WHERE l.tenant_id = r.tenant_id AND l.txn_id IN (r.id, r.reverses_txn_id)
          GROUP BY account_id HAVING sum(l.amount) <> 0) x
        WHERE r.reverses_txn_id IS NOT NULL
        UNION ALL
        SELECT format('%s reversed %s times', reverses_txn_id, count(*)) FROM ledger.txn
        WHERE reverses_txn_id IS NOT NULL GROUP BY tenant_id, reverses_txn_id
        HAVING count(*) > 1""",
    "no posting entered a month before its own": """
        SELECT format('%s is in %s but effective %s', id, period, effective_at) FROM ledger.txn
        WHERE period < date_trunc('month', effective_at AT TIME ZONE 'UTC')::date""",
}
_MIRROR = """
    SELECT format('%s: %s owes %s %s %s, mirrored by %s',
                  event_ref, book, other, mine, currency, theirs)
    FROM ledger.{}()"""


async def verify(tx: Tx) -> list[Proof]:
    """Every proof over the books that ``tx`` can see; reads all legs, so it takes its time."""
    proofs = [await _proof(tx, name, sql) for name, sql in _PROOFS.items()]
    all_books = await tx.value(
        "SELECT has_function_privilege('ledger.unmirrored_all()', 'EXECUTE')"
    )
    mirror = _MIRROR.format("unmirrored_all" if all_books else "unmirrored_here")
    proofs.append(await _proof(tx, "intercompany accounts mirror each other", mirror))
    return proofs


async def _proof(tx: Tx, name: str, broken: str) -> Proof:
    # A literal % of format() is doubled for the driver.
    sql = f"SELECT * FROM ({broken}) AS broken (said) LIMIT 4".replace("%", "%%")
    rows = await tx.rows(sql)
    return Proof(name, not rows, "; ".join(str(said) for (said,) in rows))
