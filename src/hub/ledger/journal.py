"""Writing the journal: post, reserve and resolve, reverse. All actions inside the caller's commit.

The work is done by SQL functions that alone may write; this module checks, hashes and hands over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from hub.kernel import encode, new_id
from hub.ledger.errors import AlreadyResolved, NotReversible, Unbalanced, explained
from hub.ledger.model import Entry, Leg, Phase, Posted, Transaction
from hub.ledger.reading import transaction
from hub.runtime import Tx

_LARGEST = 2**63 - 1


class _Links(msgspec.Struct, frozen=True):
    resolves: UUID | None = None
    reverses: UUID | None = None
    expires_at: datetime | None = None
    event_ref: str | None = None


_PLAIN = _Links()


async def post(tx: Tx, entry: Entry) -> Posted:
    """Post ``entry`` into the book of ``tx``'s tenant, once per ``entry.idem``.

    A repeat with the same content answers the first transaction with ``created`` false.
    Raises ``Unbalanced``, ``IdempotencyMismatch``, ``UnknownAccount``, ``LimitReached``.
    """
    return (await _write(tx, "post", [(entry, _PLAIN)]))[0]


async def post_many(tx: Tx, entries: Sequence[Entry]) -> list[Posted]:
    """Post all of ``entries`` with one statement, answers in their order; all or nothing."""
    return await _write(tx, "post", [(entry, _PLAIN) for entry in entries])


async def reserve(tx: Tx, entry: Entry, expires_at: datetime) -> Posted:
    """Hold ``entry`` as pending: it moves no balance, only what is available, until resolved.

    Resolve it once with ``resolve`` or ``void``; ``expire_due`` ends it after ``expires_at``.
    """
    return (await _write(tx, "pending", [(entry, _Links(expires_at=expires_at))]))[0]


async def resolve(
    tx: Tx, pending_id: UUID, amount: int | None = None, *, legs: tuple[Leg, ...] | None = None
) -> Posted:
    """Post a pending transaction: all of it, ``amount`` of its two legs, or ``legs`` within it.

    The rest is released. Valid until an expiry is recorded, since captured money is real.
    Raises ``AlreadyResolved``, ``BeyondPending``, ``Unbalanced`` (an amount for many legs).
    """
    pending = await _pending(tx, pending_id)
    final = legs or _portion(pending, amount)
    return await _end(tx, pending, "post", final)


async def void(tx: Tx, pending_id: UUID) -> Posted:
    """Release a pending transaction without posting it; raises ``AlreadyResolved``."""
    return await _end(tx, await _pending(tx, pending_id), "void", ())


async def expire_due(tx: Tx, limit: int = 500) -> int:
    """Expire pending transactions whose time has come by ``tx.now``; returns how many."""
    due = await tx.rows(
        """SELECT txn_id FROM ledger.open_pending
           WHERE tenant_id = nullif(current_setting('hub.tenant', true), '')::uuid
             AND expires_at <= %s ORDER BY expires_at, txn_id LIMIT %s""",
        tx.now, limit,
    )  # fmt: skip
    for (txn_id,) in due:
        await _end(tx, await _pending(tx, txn_id), "expire", ())
    return len(due)


async def reverse(tx: Tx, txn_id: UUID, reason: str) -> Posted:
    """Post the exact opposite of a posted transaction, effective now, at most once.

    The same ``reason`` again answers the first reversal; another reason raises
    ``AlreadyReversed``. Raises ``NotReversible`` for anything but a plain posting.
    """
    original = await transaction(tx, txn_id)
    if original.phase != "post" or original.reverses_txn_id:
        raise NotReversible(str(txn_id))
    entry = Entry(
        idem=f"reverse:{txn_id}:{sha256(reason.encode()).hexdigest()[:16]}",
        kind="reversal",
        currency=original.currency,
        legs=tuple(Leg(leg.account, -leg.amount) for leg in original.legs),
        effective_at=tx.now,
        ref_type=original.ref_type,
        ref_id=original.ref_id,
        memo=reason,
    )
    return (await _write(tx, "post", [(entry, _Links(reverses=txn_id))], timeless=True))[0]


async def post_across(tx: Tx, event_ref: str, entries: Mapping[UUID, Entry]) -> dict[UUID, Posted]:
    """Post one event into several hosted books in one commit, an entry per book.

    Only a system transaction may. Between books use ``ic.<other book>`` in each: those legs must
    mirror each other, which the proof ``intercompany accounts mirror each other`` compares.
    """
    posted = {}
    for book in sorted(entries):
        written = [(entries[book], _Links(event_ref=event_ref))]
        posted[book] = (await _write(tx, "post", written, book=book))[0]
    return posted


async def _pending(tx: Tx, pending_id: UUID) -> Transaction:
    found = await transaction(tx, pending_id)
    if found.phase != "pending":
        raise AlreadyResolved(str(pending_id))
    return found


def _portion(pending: Transaction, amount: int | None) -> tuple[Leg, ...]:
    if amount is None:
        return pending.legs
    if len(pending.legs) != 2:
        raise Unbalanced(f"{pending.id} has {len(pending.legs)} legs: say which, not how much")
    return tuple(Leg(g.account, amount if g.amount > 0 else -amount) for g in pending.legs)


async def _end(tx: Tx, pending: Transaction, phase: Phase, legs: tuple[Leg, ...]) -> Posted:
    entry = Entry(
        idem=f"{phase}:{pending.id}",
        kind=pending.kind,
        currency=pending.currency,
        legs=legs,
        effective_at=tx.now,
        ref_type=pending.ref_type,
        ref_id=pending.ref_id,
        memo=pending.memo,
    )
    links = _Links(resolves=pending.id, event_ref=pending.event_ref)
    return (await _write(tx, phase, [(entry, links)], timeless=True))[0]


def _check(entry: Entry, phase: Phase) -> None:
    amounts = [leg.amount for leg in entry.legs]
    if phase in ("void", "expire"):
        return
    if len(amounts) < 2 or 0 in amounts or sum(amounts) != 0:
        raise Unbalanced(f"{entry.idem!r} has {len(amounts)} legs that sum to {sum(amounts)}")
    if max(map(abs, amounts)) > _LARGEST:
        raise Unbalanced(f"{entry.idem!r} has an amount beyond 64 bits")


def _hash(entry: Entry, phase: Phase, *, timeless: bool) -> bytes:
    # What happens "now" must hash alike when it is tried again a moment later.
    content: list[Any] = [phase, entry.kind, entry.currency, entry.legs, entry.ref_type]
    content += [entry.ref_id, entry.memo, None if timeless else entry.effective_at]
    return sha256(encode(content)).digest()


async def _write(
    tx: Tx,
    phase: Phase,
    entries: Sequence[tuple[Entry, _Links]],
    *,
    book: UUID | None = None,
    timeless: bool = False,
) -> list[Posted]:
    if not entries:
        return []
    for entry, _ in entries:
        _check(entry, phase)
    with explained(_subject(entries)):
        if phase == "post" and book is None and len(entries) == 1 and entries[0][1] == _PLAIN:
            return [await _write_one(tx, entries[0][0])]
        return await _write_all(tx, phase, entries, book=book, timeless=timeless)


async def _write_one(tx: Tx, entry: Entry) -> Posted:
    """What the hub posts most, in the words that cost Postgres the least."""
    txn_id = new_id()
    codes = [leg.account.replace("\\", "\\\\").replace('"', '\\"') for leg in entry.legs]
    stands = await tx.value(
        """SELECT ledger.post_one(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                                  %s::text[], %s::bigint[])""",
        tx.now, txn_id, entry.idem, _hash(entry, "post", timeless=False), entry.kind,
        entry.currency, entry.effective_at, entry.ref_type, entry.ref_id, entry.memo,
        '{"' + '","'.join(codes) + '"}', f"{{{','.join(str(leg.amount) for leg in entry.legs)}}}",
    )  # fmt: skip
    return Posted(txn_id, created=True) if stands is None else Posted(stands, stands == txn_id)


async def _write_all(
    tx: Tx,
    phase: Phase,
    entries: Sequence[tuple[Entry, _Links]],
    *,
    book: UUID | None,
    timeless: bool,
) -> list[Posted]:
    heads: list[dict[str, Any]] = []
    legs: list[dict[str, Any]] = []
    ids = [new_id() for _ in entries]
    for n, (entry, links) in enumerate(entries):
        txn_id = ids[n]
        heads.append({
            "n": n, "id": txn_id, "idem": entry.idem, "kind": entry.kind, "ccy": entry.currency,
            "hash": "\\x" + _hash(entry, phase, timeless=timeless).hex(), "eff": entry.effective_at,
            "rt": entry.ref_type, "rid": entry.ref_id, "memo": entry.memo, "rev": links.reverses,
            "exp": links.expires_at, "ev": links.event_ref,
        })  # fmt: skip
        legs += [
            {"t": txn_id, "s": s, "a": g.account, "c": entry.currency, "v": g.amount}
            for s, g in enumerate(entry.legs, 1)
        ]
    first: tuple[object, ...] = (tx.now, phase, entries[0][1].resolves)
    call = "ledger.post(%s, %s, %s, %s::json, %s::json)"
    if book:
        call, first = "ledger.post_in(%s, %s, %s::json, %s::json)", (book, tx.now)
    stand = await tx.value(f"SELECT {call}", *first, encode(heads).decode(), encode(legs).decode())
    return [Posted(found, found == mine) for found, mine in zip(stand or ids, ids, strict=True)]


def _subject(entries: Sequence[tuple[Entry, _Links]]) -> str:
    links = entries[0][1]
    if links.resolves or links.reverses:
        return str(links.resolves or links.reverses)
    return ", ".join(dict.fromkeys(g.account for e, _ in entries[:10] for g in e.legs))[:200]
