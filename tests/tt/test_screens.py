from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import DateTime, event
from sqlmodel import Field, SQLModel, col

import crossapp_tt as tt
from crossapp_tt.operations import screens, sweeps
from crossapp_tt.operations.standing import Phase, Standing
from tests.databases import Database
from tests.hosts import NOW
from tests.tt.market import Market, kept
from tests.tt.shop import BUNDLE


class NumberedSale(SQLModel, table=True):
    """
    A sale that has a number, and times without a zone.
    """

    __tablename__ = "numbered_sale"

    id: int = Field(primary_key=True)
    user_id: int | None = None
    product_id: str = Field(default=BUNDLE, max_length=64)
    valid: bool = True
    created_at: datetime | None = Field(default=None, sa_type=DateTime, nullable=True)


@pytest.fixture
def market(database: Database, monkeypatch: pytest.MonkeyPatch) -> Market:
    """
    A market whose database compares sales in threes, on each of the databases in turn.
    """
    monkeypatch.setattr(screens, "STRETCH", 3)
    market = Market(database)
    for number in range(9):
        market.sell(f"pur_{number}")
    return market


def screened(market: Market, position: str | None = None) -> screens.Screened | None:
    """
    What the database says of the next three.
    """
    standing = Standing(since=NOW, phase=Phase.PURCHASES)
    with market.database.session() as session:
        return screens.screen(session, market.seller, standing, position)


class TestScreen:
    def test_all_right(self, market: Market) -> None:
        """
        Where all is as the ledger has it, nothing is read.
        """
        assert screened(market) == screens.Screened("pur_2", 3, [])
        assert screened(market, "pur_2") == screens.Screened("pur_5", 3, [])

    @pytest.mark.parametrize(
        "values",
        [
            {"status": "Refunded"},
            {"status": "Disputed"},
            {"status": "Partial"},
            {"user_id": "grace"},
            {"user_id": None},
            {"user_id": ""},
            {"kept": kept("a")},
        ],
    )
    def test_suspect(self, market: Market, values: dict[str, Any]) -> None:
        """
        What isn't plainly right is suspect, and nothing else.
        """
        market.change("pur_1", **values)
        assert screened(market) == screens.Screened("pur_2", 3, ["pur_1"])

    @pytest.mark.parametrize(
        ("made_at", "suspects"), [(NOW, ["pur_05"]), (NOW - timedelta(days=9), ["pur_05"]), (None, [])]
    )
    def test_without_row(self, market: Market, made_at: datetime | None, suspects: list[str]) -> None:
        """
        A sale without rows is suspect; the times of this app are in a form that only it knows.
        """
        market.buy("pur_05", made_at=made_at)
        found = screened(market)
        assert found is not None
        assert found.suspects == suspects

    def test_not_owned(self, market: Market) -> None:
        """
        What isn't owned and isn't granted is right, with rows and without.
        """
        market.buy("pur_05", status="Refunded")
        market.refund("pur_1")
        assert screened(market) == screens.Screened("pur_1", 3, [])

    def test_row_without_sale(self, market: Market) -> None:
        """
        Where the ledger grants what has no sale, all are read.
        """
        market.delete("pur_1")
        assert screened(market) is None

    def test_too_few(self, market: Market) -> None:
        """
        The last few are read.
        """
        assert screened(market, "pur_6") is None

    def test_too_many_suspects(self, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where too many are suspect, all are read.
        """
        monkeypatch.setattr(screens, "MOST_SUSPECTS", 1)
        market.change("pur_0", status="Refunded")
        assert screened(market) is not None
        market.change("pur_1", status="Refunded")
        assert screened(market) is None

    def test_saves_reading(self, market: Market) -> None:
        """
        A look at sales that are right reads no row of any.
        """
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        standing = Standing(since=NOW, phase=Phase.PURCHASES, position="pur_2")
        event.listen(market.database.engine, "before_cursor_execute", note)
        try:
            with market.database.session() as session:
                seen = sweeps.Seen(standing.phase, standing.position, walks_ledger=False)
                sweeps._look_at_purchases(session, market.seller, standing, seen)
        finally:
            event.remove(market.database.engine, "before_cursor_execute", note)
        assert (seen.position, seen.purchases, seen.findings, len(statements)) == ("pur_5", 3, [], 2)


class TestNumbers:
    def test_sweep(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where sales have numbers, whose order in the ledger is another, all is found.
        """
        monkeypatch.setattr(screens, "STRETCH", 2)
        monkeypatch.setattr(sweeps, "BATCH", 2)
        ports = tt.TablePurchases(NumberedSale, owned=col(NumberedSale.valid).is_(True))
        market = Market(database, purchases=ports)
        at = NOW.replace(tzinfo=None)
        market.add(*(NumberedSale(id=number, user_id=7, created_at=at) for number in range(1, 13)))
        market.sweep()
        assert len(market.rows()) == 12
        assert market.plan() == {}
        with database.session() as session:
            for number in (2, 10):
                session.delete(session.get_one(NumberedSale, number))
            session.get_one(NumberedSale, 3).valid = False
            session.get_one(NumberedSale, 11).user_id = 8
        assert market.plan() == {"deleted": 2, "missed-refund": 1, "transferred": 1}
        market.guard = replace(market.guard, most_revocations=50)
        market.sweep()
        assert sorted(int(row.purchase_id) for row in market.rows() if row.desired == "revoked") == [2, 3, 10]

    def test_old_without_rows(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Sales that are known to be older than the sweep are passed over by the database itself.
        """
        monkeypatch.setattr(screens, "STRETCH", 3)
        market = Market(database, purchases=tt.TablePurchases(NumberedSale, owned=col(NumberedSale.valid).is_(True)))
        at = NOW.replace(tzinfo=None)
        days = (9, 3, 1)
        made = [NumberedSale(id=days_ago, user_id=7, created_at=at - timedelta(days=days_ago)) for days_ago in days]
        market.add(*made)
        assert screened(market) == screens.Screened("9", 3, ["1"])
