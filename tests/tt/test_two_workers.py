from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session

from crossapp_core.database import Database as Transactions
from crossapp_core.errors import UnconfirmedEventError
from crossapp_core.flavours import run_sync
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Operation
from crossapp_tt.operations import acknowledgements, purchases
from crossapp_tt.ports import Reference, Seller
from tests.hosts import NOW, ShopPurchase
from tests.rivals import PATIENCE, at_once
from tests.tt.shop import BUNDLE, OTHER, PURCHASE, SCHOOL, Shop, entry, granted, revoked

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
REFERENCE = Reference(PURCHASE)


class Worker:
    """
    One of two processes that do the same shop's work.
    """

    def __init__(self, shop: Shop, *, is_async: bool = False, now: datetime = NOW) -> None:
        self.shop = shop
        self.now = now
        self.retries = 0
        self.transactions = Transactions(
            shop.database.async_engine() if is_async else shop.database.engine, pause=self._count
        )

    def do(self, operation: Operation[Seller, Any], fact: object, seller: Seller | None = None) -> Outcome:
        """
        Do an operation as a function's step does it.
        """
        work = self.transactions.transact(operation, seller or self.shop.seller, fact, now=self.now)
        return asyncio.run(work) if self.transactions.is_async else run_sync(work)

    def sale(self, seller: Seller | None = None) -> str:
        """
        Hear of the sale.
        """
        try:
            self.do(purchases.record_sale, REFERENCE, seller)
        except UnconfirmedEventError:
            return "unconfirmed"
        return "recorded"

    def refund(self, seller: Seller | None = None) -> str:
        """
        Refund the purchase and hear of it.
        """
        self.do(set_status, "Refunded")
        try:
            self.do(purchases.record_refund, REFERENCE, seller)
        except UnconfirmedEventError:
            return "unconfirmed"
        return "recorded"

    async def _count(self, seconds: float) -> None:
        self.retries += 1


def set_status(session: Session, seller: Seller, status: str, /, *, now: datetime) -> Outcome:
    """
    What the shop's own code does.
    """
    session.get_one(ShopPurchase, PURCHASE, with_for_update=True).status = status
    return Outcome()


class Watched:
    """
    The shop's purchases, whose reader is held up.
    """

    def __init__(self, shop: Shop, after: Callable[[], None]) -> None:
        self._purchases = shop.purchases
        self._after = after

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> Any:
        """
        Read it, and then wait.
        """
        purchase = self._purchases.get(session, purchase_id, lock=lock)
        self._after()
        return purchase

    def __getattr__(self, name: str) -> Any:
        return getattr(self._purchases, name)


def states(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.target_app, row.target_product_id, row.desired) for row in shop.rows()]


class TestSaleAndRefund:
    @SERVERS
    def test_refund_while_the_sale_is_recorded(self, shop: Shop) -> None:
        """
        A refund that comes while the sale is being recorded waits for it, and then has the last word.
        """
        shop.buy()
        looked, asked = threading.Event(), threading.Event()

        def hold() -> None:
            looked.set()
            assert asked.wait(PATIENCE)

        def refund() -> str:
            assert looked.wait(PATIENCE)
            asked.set()
            return Worker(shop, now=NOW + timedelta(seconds=1)).refund()

        watched = replace(shop.seller, purchases=Watched(shop, hold))
        assert at_once(lambda: Worker(shop).sale(watched), refund) == ["recorded", "recorded"]
        assert states(shop) == [(SCHOOL, "prod_9", "revoked")]
        assert shop.row().buyer_user_id == "ada"

    @SERVERS
    def test_sale_while_the_refund_is_recorded(self, shop: Shop) -> None:
        """
        An event of the sale that comes while the refund is being recorded waits for it, and brings nothing back.
        """
        shop.sell()
        looked, asked = threading.Event(), threading.Event()

        def hold() -> None:
            looked.set()
            assert asked.wait(PATIENCE)

        def sale() -> str:
            assert looked.wait(PATIENCE)
            asked.set()
            return Worker(shop).sale()

        watched = replace(shop.seller, purchases=Watched(shop, hold))
        assert at_once(lambda: Worker(shop).refund(watched), sale) == ["recorded", "recorded"]
        assert states(shop) == [(SCHOOL, "prod_9", "revoked")]

    def test_refund_before_the_sale_is_recorded(self, shop: Shop) -> None:
        """
        A sale that was refunded before anybody recorded it is told to nobody.
        """
        shop.buy()
        assert Worker(shop).refund() == "recorded"
        assert Worker(shop).sale() == "unconfirmed"
        assert shop.rows() == []

    @pytest.mark.parametrize("is_async", [False, True])
    def test_race(self, shop: Shop, is_async: bool) -> None:
        """
        However a sale and its refund meet, each component has at most one row, and what is wanted is what is true.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b"), entry("a", OTHER)]
        for _ in range(30 if not is_async else 8):
            shop.buy()
            barrier = threading.Barrier(3, timeout=PATIENCE)
            workers = [Worker(shop, is_async=is_async, now=NOW + timedelta(seconds=each)) for each in range(3)]

            def start(work: Callable[[], str], barrier: threading.Barrier = barrier) -> Callable[[], str]:
                return lambda: (barrier.wait(), work())[1]

            results = at_once(*map(start, [workers[0].sale, workers[1].refund, workers[2].sale]))
            assert results[1] == "recorded"
            rows = states(shop)
            assert rows in ([], [(SCHOOL, "a", "revoked"), (SCHOOL, "b", "revoked"), (OTHER, "a", "revoked")])
            assert bool(rows) is ("recorded" in (results[0], results[2]))
            assert max(worker.retries for worker in workers) < 5
            shop.forget()
            shop.delete()

    def test_same_sale(self, shop: Shop) -> None:
        """
        Two workers who hear of the same sale write it once, under one version.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b", OTHER)]
        for number in range(10):
            shop.buy(f"pur_{number}")
            barrier = threading.Barrier(2, timeout=PATIENCE)

            def work(later: int, number: int = number, barrier: threading.Barrier = barrier) -> Outcome:
                worker = Worker(shop, now=NOW + timedelta(seconds=later))
                barrier.wait()
                return worker.do(purchases.record_sale, Reference(f"pur_{number}"))

            first, second = at_once(lambda: work(0), lambda: work(1))
            assert first.ids == second.ids
            assert first.messages == second.messages
            assert sorted([first.changed, second.changed]) == [False, True]
        assert len(shop.rows()) == 20

    @SERVERS
    def test_other_purchases_go_on(self, shop: Shop) -> None:
        """
        Who records one purchase keeps nobody from another.
        """
        for number in range(4):
            shop.buy(f"pur_{number}")
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            assert done.wait(PATIENCE)

        def others() -> bool:
            assert held.wait(PATIENCE)
            changed = [
                Worker(shop).do(purchases.record_sale, Reference(f"pur_{number}")).changed for number in (0, 2, 3)
            ]
            done.set()
            return all(changed)

        watched = replace(shop.seller, purchases=Watched(shop, hold))
        assert at_once(others, lambda: Worker(shop).do(purchases.record_sale, REFERENCE, watched).changed) == [
            True,
            True,
        ]
        assert len(shop.rows()) == 4


class TestAcknowledgements:
    def test_answer_and_refund(self, shop: Shop) -> None:
        """
        An answer to the sale that comes with the refund settles nothing of the refund.
        """
        for _ in range(10):
            version = sold_version(shop)
            barrier = threading.Barrier(2, timeout=PATIENCE)

            def answer(version: int = version, barrier: threading.Barrier = barrier) -> str:
                barrier.wait()
                Worker(shop).do(acknowledgements.apply, granted(version))
                return "answered"

            def refund(barrier: threading.Barrier = barrier) -> str:
                barrier.wait()
                return Worker(shop).refund()

            assert at_once(answer, refund) == ["answered", "recorded"]
            row = shop.row()
            assert (row.status, row.desired, row.version > version) == ("pending", "revoked", True)
            Worker(shop).do(acknowledgements.apply, revoked(row.version))
            assert shop.row().status == "revoked"
            shop.forget()
            shop.delete()

    def test_lost_row(self, shop: Shop) -> None:
        """
        Two answers for a row that was lost bring it back once.
        """
        for _ in range(10):
            version = sold_version(shop)
            shop.forget()
            barrier = threading.Barrier(2, timeout=PATIENCE)

            def answer(ahead: int, version: int = version, barrier: threading.Barrier = barrier) -> Outcome:
                barrier.wait()
                return Worker(shop).do(acknowledgements.apply, granted(version + ahead))

            outcomes = at_once(lambda: answer(2), lambda: answer(5))
            row = shop.row()
            assert {id_ for outcome in outcomes for id_ in outcome.ids} == {row.id}
            assert (row.desired, row.version > version + 5) == ("granted", True)
            shop.forget()
            shop.delete()


def sold_version(shop: Shop) -> int:
    shop.sell()
    return shop.row().version
