"""
A backfill, batch by batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from crossapp_core.runtime import Runtime
from crossapp_tt.functions import sweeping
from crossapp_tt.operations import backfills
from crossapp_tt.operations.backfills import PastSale, Stretch
from crossapp_tt.operations.mends import Unreadable
from crossapp_tt.operations.standing import MOST_UNREADABLE
from crossapp_tt.ports import Seller


@dataclass(frozen=True)
class Backfilled:
    """
    What a backfill has done, or would do.
    """

    counts: dict[PastSale, int]
    """How many purchases there are of each kind."""
    unreadable: tuple[Unreadable, ...] = ()
    """Purchases whose bundle can't be read, so that they got no rows; at most 20."""


async def backfill(seller: Runtime[Seller], since: datetime | None, *, dry_run: bool) -> Backfilled:
    """
    Write rows for past sales; those that have some are passed over.
    """
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    database, host = seller.database, seller.host
    if dry_run:
        stretch = Stretch(since=since)
    else:
        stretch = await database.transact(backfills.resume, host, since, now=seller.clock())
    unreadable: tuple[Unreadable, ...] = ()
    while True:
        batch = await database.transact(backfills.look, host, stretch, now=seller.clock())
        unreadable += batch.unreadable
        stretch = batch.after
        if not dry_run:
            mended = await sweeping.record(seller, batch.new, quiet=True)
            unreadable += mended.unreadable
            await database.transact(backfills.advance, host, stretch, now=seller.clock())
        unreadable = unreadable[:MOST_UNREADABLE]
        if batch.is_last:
            counts = {kind: count for kind in PastSale if (count := stretch.counts.get(kind, 0))}
            return Backfilled(counts, unreadable)
