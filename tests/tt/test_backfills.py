from __future__ import annotations

import tracemalloc
from collections.abc import Collection, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, delete

from crossapp_core.models import CrossAppCursor
from crossapp_tt.operations import backfills, sweeps
from crossapp_tt.operations.backfills import PastSale
from crossapp_tt.operations.findings import FindingKind
from crossapp_tt.operations.standing import Standing
from crossapp_tt.ports import Purchase
from tests.databases import Database, open_database
from tests.hosts import NOW
from tests.tt.market import DAY, Market, kept
from tests.tt.shop import COURSE

YEAR = 365 * DAY
ALL = {
    PastSale.NEW: 2,
    PastSale.KNOWN: 1,
    PastSale.NOT_OWNED: 1,
    PastSale.NO_BUNDLE: 1,
    PastSale.UNREADABLE: 1,
}


@pytest.fixture
def market(database: Database) -> Market:
    """
    A market with a past, on each of the databases in turn.
    """
    market = Market(database)
    market.buy("a_old", made_at=NOW - 2 * YEAR)
    market.buy("b_recent", made_at=NOW - DAY)
    market.sell("c_known", made_at=NOW - YEAR)
    market.buy("d_refunded", made_at=NOW - YEAR, status="Refunded")
    market.buy("e_alone", made_at=NOW - YEAR, product_id="prod_alone")
    market.buy("f_wrong", made_at=NOW - YEAR, kept="{")
    market.now += timedelta(hours=1)
    return market


class TestBackfill:
    def test_rows(self, market: Market) -> None:
        """
        Past sales become rows that are due and quiet; nothing else changes.
        """
        known = market.row().model_dump()
        done = market.bridge.backfill_sync()
        assert done.counts == ALL
        assert [each.purchase_id for each in done.unreadable] == ["f_wrong"]
        old, recent, unchanged = market.rows()
        for row in (old, recent):
            assert (row.desired, row.quiet, row.next_attempt_at) == ("granted", True, market.now)
        assert old.purchased_at == NOW - 2 * YEAR
        assert unchanged.model_dump() == known

    def test_second_run(self, market: Market) -> None:
        """
        A second run changes nothing.
        """
        market.bridge.backfill_sync()
        rows = [row.model_dump() for row in market.rows()]
        market.now += DAY
        again = market.bridge.backfill_sync().counts
        assert (again.get(PastSale.NEW), again[PastSale.KNOWN]) == (None, 3)
        assert [row.model_dump() for row in market.rows()] == rows

    def test_since(self, market: Market) -> None:
        """
        What is older than the given time is left out, and what has no time.
        """
        market.buy("g_undated", made_at=None)
        done = market.bridge.backfill_sync(NOW - YEAR)
        assert (done.counts[PastSale.NEW], done.counts[PastSale.TOO_OLD]) == (1, 2)
        assert market.wanted() == {f"b_recent/{COURSE}": "granted", f"c_known/{COURSE}": "granted"}

    def test_naive_time(self, market: Market) -> None:
        """
        A time without a zone is in UTC.
        """
        since = (NOW - YEAR).astimezone(UTC).replace(tzinfo=None)
        assert market.bridge.backfill_sync(since, dry_run=True).counts[PastSale.NEW] == 1

    def test_dry_run(self, market: Market) -> None:
        """
        A dry run counts and writes nothing, not even how far it has come.
        """
        rows = [row.model_dump() for row in market.rows()]
        assert market.bridge.backfill_sync(dry_run=True).counts == ALL
        assert [row.model_dump() for row in market.rows()] == rows
        assert market.bridge.backfill_sync().counts == ALL

    def test_takes_nothing_away(self, market: Market) -> None:
        """
        A refund that nobody told of is for the sweep.
        """
        market.change("c_known", status="Refunded")
        market.bridge.backfill_sync()
        assert market.wanted()[f"c_known/{COURSE}"] == "granted"

    def test_snapshot(self, market: Market) -> None:
        """
        Where the app keeps what was sold, that is unlocked.
        """
        market.buy("h_kept", kept=kept("x"))
        market.bridge.backfill_sync()
        assert market.wanted()["h_kept/x"] == "granted"

    def test_sweep_after_it(self, market: Market) -> None:
        """
        What the backfill has written is nothing new to the sweep.
        """
        market.bridge.backfill_sync()
        assert market.plan() == {}

    def test_goes_on_after_a_crash(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One whose worker died goes on where it was, and counts as if nothing had happened.
        """
        monkeypatch.setattr(backfills, "BATCH", 2)
        market.purchases = Mortal(market.purchases, lives=1)
        with pytest.raises(KeyboardInterrupt):
            market.bridge.backfill_sync()
        assert len(market.rows()) == 3
        versions = market.versions()
        market.purchases = Mortal(market.purchases.real)
        assert market.bridge.backfill_sync().counts == ALL
        assert market.purchases.cursors[0] == "b_recent"
        assert market.versions() == versions

    def test_other_time_after_a_crash(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One that goes back to another time begins anew.
        """
        monkeypatch.setattr(backfills, "BATCH", 2)
        market.purchases = Mortal(market.purchases, lives=1)
        with pytest.raises(KeyboardInterrupt):
            market.bridge.backfill_sync(NOW - YEAR)
        market.purchases = market.purchases.real
        assert market.bridge.backfill_sync().counts[PastSale.KNOWN] == 2
        assert f"a_old/{COURSE}" in market.wanted()


class TestMemory:
    @pytest.mark.parametrize("work", ["backfill", "sweep"])
    def test_does_not_grow(self, tmp_path: Path, work: str) -> None:
        """
        However many purchases there are, no more than a batch of them is held at once.
        """
        with open_database("sqlite", tmp_path) as database:
            peaks = [_peak(Market(database, purchases=Thousands(count)), work) for count in (500, 2_000, 12_000)]
        assert peaks[2] < 2 * peaks[1]


def _peak(market: Market, work: str) -> int:
    tracemalloc.start()
    try:
        if work == "backfill":
            found = market.bridge.backfill_sync(dry_run=True).counts[PastSale.NO_BUNDLE]
        else:
            market.add(CrossAppCursor(name=sweeps.NAME, plan=Standing(since=NOW - YEAR).to_plan(), updated_at=NOW))
            found = market.bridge.plan_sweep_sync().counts.get(FindingKind.MISSED_SALE, 0)
            with market.database.session() as session:
                session.execute(delete(CrossAppCursor))
        assert found == (market.purchases.count if work == "backfill" else 0)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Thousands:
    """
    Many purchases of what is no bundle.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def after(self, session: Session, cursor: str | None, limit: int) -> Sequence[Purchase]:
        """
        The next ones.
        """
        first = 0 if cursor is None else int(cursor) + 1
        numbers = range(first, min(first + limit, self.count))
        return [Purchase(f"{number:08}", "prod_alone", True, "ada", purchased_at=NOW) for number in numbers]

    def get_many(self, session: Session, purchase_ids: Collection[str]) -> Sequence[Purchase]:
        """
        None, since nothing in the ledger is theirs.
        """
        return []


class Mortal:
    """
    Purchases that somebody reads who dies after some batches.
    """

    def __init__(self, real: Any, lives: int = 1000) -> None:
        self.real = real
        self.cursors: list[str | None] = []
        self._lives = lives

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def after(self, session: Session, cursor: str | None, limit: int) -> Sequence[Purchase]:
        """
        One batch for each life.
        """
        if len(self.cursors) == self._lives:
            raise KeyboardInterrupt
        self.cursors.append(cursor)
        found: Sequence[Purchase] = self.real.after(session, cursor, limit)
        return found
