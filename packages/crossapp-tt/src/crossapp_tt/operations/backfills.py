"""
The backfill: sales from before there was a bridge become rows of the ledger.

It only ever gives access, and its rows are quiet: the granters write nobody a mail because of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from crossapp_core.errors import CatalogError
from crossapp_core.operations import cursors
from crossapp_tt.operations.findings import Bundles
from crossapp_tt.operations.mends import Unreadable
from crossapp_tt.operations.ownership import decided
from crossapp_tt.operations.standing import MOST_UNREADABLE
from crossapp_tt.operations.sweeps import cursors_of, is_before, rows_by_purchase
from crossapp_tt.ports import Purchase, Seller

NAME = "backfill"
BATCH = 500
"""How many purchases are looked at in one transaction."""


class PastSale(StrEnum):
    """
    What the backfill makes of a purchase.
    """

    NEW = "new"
    """It is owned, holds a bundle, and has no row yet: it gets its rows."""
    KNOWN = "known"
    """It has rows already."""
    NOT_OWNED = "not-owned"
    """It was taken back before there was a bridge."""
    NO_BUNDLE = "no-bundle"
    """It unlocks nothing elsewhere."""
    TOO_OLD = "too-old"
    """It is from before the time that was given, or nobody knows when it was made."""
    UNREADABLE = "unreadable"
    """What its bundle holds can't be read."""


@dataclass(frozen=True)
class Stretch:
    """
    Where the backfill is, and how far back it goes.
    """

    position: str | None = None
    since: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was found so far."""


@dataclass(frozen=True)
class Batch:
    """
    What stands in a stretch of purchases.
    """

    new: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    after: Stretch
    is_last: bool


def resume(session: Session, seller: Seller, since: datetime | None, /, *, now: datetime) -> Stretch:
    """
    Where a backfill goes on that was interrupted; the beginning if there is none, or if it went back to another time.
    """
    cursor = cursors.locked(session, cursors_of(seller), NAME, now=now)
    plan = json.loads(cursor.plan) if cursor.plan else None
    if plan is None or plan["since"] != _text(since):
        return Stretch(since=since)
    return Stretch(cursor.position, since, plan["counts"])


def look(session: Session, seller: Seller, stretch: Stretch, /, *, now: datetime) -> Batch:
    """
    Look at some more purchases; nothing is written.
    """
    purchases = seller.purchases.after(session, stretch.position, BATCH)
    known = rows_by_purchase(session, seller, [purchase.id for purchase in purchases])
    bundles = Bundles(session, seller)
    counts, new, unreadable = Counter(stretch.counts), [], []
    for purchase in purchases:
        try:
            kind = _kind_of(session, seller, bundles, purchase, stretch, is_known=purchase.id in known)
        except CatalogError as error:
            kind = PastSale.UNREADABLE
            unreadable.append(Unreadable(purchase.id, str(error)))
        counts[kind] += 1
        if kind == PastSale.NEW:
            new.append(purchase.id)
    position = purchases[-1].id if purchases else None
    after = Stretch(position, stretch.since, dict(counts))
    return Batch(tuple(new), tuple(unreadable[:MOST_UNREADABLE]), after, not purchases)


def advance(session: Session, seller: Seller, stretch: Stretch, /, *, now: datetime) -> None:
    """
    Write down how far the backfill has come; nothing of it is left when it is through.
    """
    cursor = cursors.locked(session, cursors_of(seller), NAME, now=now)
    plan = {"since": _text(stretch.since), "counts": dict(stretch.counts)}
    cursor.position, cursor.updated_at = stretch.position, now
    cursor.plan = None if stretch.position is None else json.dumps(plan)


def _kind_of(
    session: Session, seller: Seller, bundles: Bundles, purchase: Purchase, stretch: Stretch, *, is_known: bool
) -> PastSale:
    if is_known:
        return PastSale.KNOWN
    if stretch.since is not None and is_before(purchase, stretch.since):
        return PastSale.TOO_OLD
    if not decided(session, seller, purchase).owned:
        return PastSale.NOT_OWNED
    return PastSale.NEW if bundles.of(purchase, ()) else PastSale.NO_BUNDLE


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
