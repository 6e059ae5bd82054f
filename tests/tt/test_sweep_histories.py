from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from sqlmodel import delete

from crossapp_core.models import CrossAppCursor
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import holds, screens, sweeps
from crossapp_tt.operations.holds import Target
from crossapp_tt.ports import Guard
from tests.databases import Database
from tests.tt.market import Market, MarketSale, kept
from tests.tt.shop import BUNDLE, entry

UNLIMITED = Guard(most_revocations=1_000_000)
IDS = st.sampled_from(["p1", "p2", "p3", "p4"])
PRODUCTS = st.frozensets(st.sampled_from("abc"))
OWNED = ("Valid", "Partial")
STATUSES = st.sampled_from([*OWNED, "Refunded", "Disputed"])
USERS = st.sampled_from(["ada", "grace"])
SEVERAL = settings(max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def history_on(database: Database) -> type[RuleBasedStateMachine]:
    """
    Histories of a market whose sales change behind everybody's back, beside what its ledger should want then.
    """

    class History(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            with database.session() as session:
                for model in (MarketSale, CrossAppSync, CrossAppCursor):
                    session.execute(delete(model))
            self.market = Market(database, {BUNDLE: [entry("a")]}, guard=UNLIMITED)
            self.offer = frozenset("a")
            self.sales: dict[str, dict[str, object]] = {}
            self.copies: dict[str, frozenset[str] | None] = {}
            self.sold: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
            self.held: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
            self.granted: defaultdict[str, frozenset[str]] = defaultdict(frozenset)

        @rule(id_=IDS, status=STATUSES, user_id=USERS)
        def write(self, id_: str, status: str, user_id: str) -> None:
            """
            A sale appears, or is written over.
            """
            values: dict[str, object] = {"status": status, "user_id": user_id}
            if id_ in self.sales:
                self.market.change(id_, **values)
            else:
                self.market.buy(id_, **values)
                self.copies[id_] = None
            self.sales[id_] = values

        @rule(id_=IDS)
        def remove(self, id_: str) -> None:
            """
            A sale disappears.
            """
            if self.sales.pop(id_, None):
                self.market.delete(id_)

        @rule(id_=IDS, products=st.none() | PRODUCTS)
        def copy(self, id_: str, products: frozenset[str] | None) -> None:
            """
            The copy of what was sold changes, or is lost.
            """
            if id_ in self.sales:
                self.market.change(id_, kept=None if products is None else kept(*sorted(products)))
                self.copies[id_] = products

        @rule(products=PRODUCTS)
        def sell_otherwise(self, products: frozenset[str]) -> None:
            """
            The bundle that is for sale changes.
            """
            self.market.bundles = {BUNDLE: [entry(product) for product in sorted(products)]}
            self.offer = products

        @rule(id_=IDS)
        def take_back(self, id_: str) -> None:
            """
            An operator takes a sale back.
            """
            self.market.do(holds.revoke, Target(id_), now=self.market.now)
            taken = self._components(id_) if self._is_owned(id_) else self.sold[id_]
            self.sold[id_] |= taken
            self.held[id_] |= taken

        @rule(id_=IDS)
        def give_back(self, id_: str) -> None:
            """
            The operator gives it back.
            """
            self.market.do(holds.restore, Target(id_), now=self.market.now)
            if self.held.pop(id_, None):
                self._recorded(id_)

        @rule(id_=IDS)
        def hear(self, id_: str) -> None:
            """
            The app says that something has happened to a sale.
            """
            self.market.record(id_, now=self.market.now)
            self._recorded(id_)

        @rule()
        def sweep(self) -> None:
            """
            After a sweep the ledger wants what the sales say, and a second one changes nothing.
            """
            self.market.sweep()
            for id_ in ("p1", "p2", "p3", "p4"):
                self._recorded(id_)
            rows = self.market.rows()
            found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
            for row in rows:
                if row.desired == "granted":
                    found[row.purchase_id] |= {row.target_product_id}
                    assert row.buyer_user_id == self.sales[row.purchase_id]["user_id"]
            assert dict(found) == {id_: products for id_, products in self.granted.items() if products}
            assert self.market.plan() == {}
            self.market.sweep()
            assert [row.model_dump() for row in self.market.rows()] == [row.model_dump() for row in rows]

        def _is_owned(self, id_: str) -> bool:
            return id_ in self.sales and self.sales[id_]["status"] in OWNED

        def _components(self, id_: str) -> frozenset[str]:
            copied = self.copies[id_]
            return copied if copied is not None else self.sold[id_] or self.offer

        def _recorded(self, id_: str) -> None:
            if not self._is_owned(id_):
                self.granted[id_] = frozenset()
                return
            components = self._components(id_)
            self.sold[id_] = components | (self.sold[id_] & self.held[id_])
            self.granted[id_] = components - self.held[id_]

        def teardown(self) -> None:
            self.sweep()

    return History


class TestHistories:
    @pytest.mark.parametrize(("batch", "stretch"), [(1, 99), (1000, 2)], ids=["read", "screened"])
    def test_sweep(self, database: Database, monkeypatch: pytest.MonkeyPatch, batch: int, stretch: int) -> None:
        """
        Whatever happens to sales behind everybody's back, a sweep brings the ledger to what they say.
        """
        monkeypatch.setattr(sweeps, "BATCH", batch)
        monkeypatch.setattr(screens, "STRETCH", stretch)
        run_state_machine_as_test(history_on(database), settings=SEVERAL)
