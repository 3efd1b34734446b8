"""Commands about the books."""

from __future__ import annotations

import argparse

from hub.cli.opening import print_json, within
from hub.ledger import Proof, verify
from hub.runtime import Database
from hub.settlement import prove


def ledger_verify(arguments: argparse.Namespace) -> int:
    """Run every proof over every book; exit code 0 only when all hold."""

    async def proven(database: Database) -> list[Proof]:
        async with database.system_tx(actor="cli") as tx:
            return [*await verify(tx), *await prove(tx)]

    proofs = within(arguments.settings, proven)
    ok = all(proof.ok for proof in proofs)
    if arguments.json:
        print_json({"ok": ok, "proofs": proofs})
        return 0 if ok else 1
    for proof in proofs:
        print(f"{'holds ' if proof.ok else 'BROKEN'}  {proof.name}  {proof.detail}".rstrip())
    print("the books are in order" if ok else "the books are NOT in order: stop and investigate")
    return 0 if ok else 1
