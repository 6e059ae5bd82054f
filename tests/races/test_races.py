"""
Two workers at the same source at the same moment, on every driver and isolation level.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session

from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core.errors import UnconfirmedEventError
from crossapp_core.events import BundlePurchased, EntitlementGranted
from crossapp_core.outcomes import Outcome
from crossapp_tt.operations import acknowledgements, purchases
from crossapp_tt.ports import Reference, Seller
from tests.ah.school import ADA, link, refund, said, sale, school
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase
from tests.races.stacks import Stack
from tests.races.workers import Work, Worker, race
from tests.tt.shop import BUNDLE, FIRST, Shop, granted

pytestmark = pytest.mark.no_cover  # tracing each line would make a race another one, and take many minutes


@pytest.fixture
def bought(stack: Stack) -> list[str]:
    """
    The ids of purchases, one for each round.
    """
    return [f"pur_{number:03}" for number in range(stack.rounds)]


class TestSameGrant:
    def test_one_row(self, stack: Stack, database: Database, bought: list[str]) -> None:
        """
        One of two workers that grant the same source makes its row, both answer the same.
        """
        school_ = school(database)
        school_.add(link())

        def grant(purchase_id: str) -> Work:
            return lambda worker: worker.do(entitlements.grant, school_.granter, sale(purchase_id=purchase_id), now=NOW)

        outcomes = race(stack, database, [(grant(each), grant(each)) for each in bought])

        for one, other in outcomes:
            assert {one.changed, other.changed} == {True, False}
            assert (one.ids, one.messages) == (other.ids, other.messages)
        rows = [(row.source_purchase_id, row.status, row.user_id, row.source_version) for row in school_.rows]
        assert rows == [(each, "active", ADA, 1) for each in bought]


class TestGrantAndRevoke:
    def test_higher_version_decides(self, stack: Stack, database: Database, bought: list[str]) -> None:
        """
        Of a grant and a revoke the one with the higher version decides, whoever comes first, be the source new or not.
        """
        school_ = school(database)
        school_.add(link())
        versions = [(2, 3) if number % 2 else (3, 2) for number in range(len(bought))]
        with database.session() as session:
            for each in bought[: len(bought) // 2]:
                entitlements.grant(session, school_.granter, sale(1, purchase_id=each), now=NOW)
                forget(session)

        def works(purchase_id: str, sold: int, refunded: int) -> tuple[Work, Work]:
            grant, revoke = sale(sold, purchase_id=purchase_id), refund(refunded, purchase_id=purchase_id)
            return (
                lambda worker: worker.do(entitlements.grant, school_.granter, grant, now=NOW),
                lambda worker: worker.do(entitlements.revoke, school_.granter, revoke, now=NOW),
            )

        pairs = zip(bought, versions, strict=True)
        outcomes = race(stack, database, [works(each, sold, refunded) for each, (sold, refunded) in pairs])

        for (of_grant, of_revoke), (sold, refunded) in zip(outcomes, versions, strict=True):
            newest = of_grant if sold > refunded else of_revoke
            assert newest.changed
            assert version_in(newest) == 3
        rows = [(row.status, row.source_version) for row in school_.rows]
        assert rows == [("active", 3) if sold == 3 else ("revoked", 3) for sold, _ in versions]


class TestGrantAndLink:
    def test_second_look(self, stack: Stack, database: Database, bought: list[str]) -> None:
        """
        A link that was committed before the grant's second look is seen by it at the latest; one that came later
        finds the entitlement. Either way it is its buyer's in the end.
        """
        school_ = school(database)
        buyers = [f"buyer-{number:03}" for number in range(len(bought))]

        def works(purchase_id: str, buyer: str) -> tuple[Work, Work]:
            request = sale(purchase_id=purchase_id, buyer_user_id=buyer)
            return partial(grant_and_look, granter=school_.granter, request=request), partial(write_link, buyer=buyer)

        pairs = zip(bought, buyers, strict=True)
        outcomes = race(stack, database, [works(*pair) for pair in pairs])

        for (looked_at, outcome), linked_at in outcomes:
            assert is_active(outcome) or linked_at > looked_at
        for row, buyer in zip(school_.rows, buyers, strict=True):
            if row.status == "pending":  # what a claim does when the link appears
                school_.look_again(sale(purchase_id=str(row.source_purchase_id), buyer_user_id=buyer))
        assert [(row.status, row.user_id) for row in school_.rows] == [("active", f"of-{buyer}") for buyer in buyers]


class TestAckAndRefund:
    def test_refund_stays_owed(self, stack: Stack, database: Database, bought: list[str]) -> None:
        """
        An answer to the sale never makes the refund look done, whoever comes first, and both are kept.
        """
        shop = Shop(database)
        sell(shop, bought, recorded=len(bought))
        rounds = [
            (
                partial(answer, seller=shop.seller, purchase_id=each),
                partial(give_back, seller=shop.seller, purchase_id=each),
            )
            for each in bought
        ]
        outcomes = race(stack, database, rounds)

        rows = shop.rows()
        assert [row.purchase_id for row in rows] == bought
        for row, (of_ack, of_refund) in zip(rows, outcomes, strict=True):
            assert (row.desired, row.status, row.version) == ("revoked", "pending", FIRST + 1)
            assert row.next_attempt_at is not None
            assert row.target_entitlement_id == ("ent_1" if of_ack.changed else None)
            assert of_refund.changed
            assert version_in(of_refund) == FIRST + 1


class TestSaleAndRefund:
    def test_refund_is_last(self, stack: Stack, database: Database, bought: list[str]) -> None:
        """
        A sale and its refund never leave a ledger that wants the purchase granted.
        """
        shop = Shop(database)
        sell(shop, bought, recorded=len(bought) // 2)
        rounds = [
            (
                partial(hear_of_sale, seller=shop.seller, purchase_id=each),
                partial(give_back, seller=shop.seller, purchase_id=each),
            )
            for each in bought
        ]
        outcomes = race(stack, database, rounds)

        confirmed = [each for each, (sold, _) in zip(bought, outcomes, strict=True) if sold is not None]
        assert confirmed[: len(bought) // 2] == bought[: len(bought) // 2]
        rows = [(row.purchase_id, row.desired, row.status, row.version) for row in shop.rows()]
        assert rows == [(each, "revoked", "pending", FIRST + 1) for each in confirmed]


def grant_and_look(worker: Worker, *, granter: Granter, request: BundlePurchased) -> tuple[float, Outcome]:
    """
    Grant as the function does it; the time before the second look, or after the only one, and the answer.
    """
    outcome = worker.do(entitlements.grant, granter, request, now=NOW)
    looked_at = time.perf_counter()
    if not is_active(outcome):
        outcome = worker.do(entitlements.look_again, granter, request, now=NOW)
    return looked_at, outcome


def write_link(worker: Worker, *, buyer: str) -> float:
    """
    Link an account as the app does it; the time after that.
    """
    worker.do(Session.add, link(f"of-{buyer}", buyer))
    return time.perf_counter()


def sell(shop: Shop, bought: list[str], *, recorded: int) -> None:
    """
    Write all purchases, and the rows of so many of them.
    """
    owner: dict[str, Any] = {"user_id": "ada", "email": "ada@example.com", "product_id": BUNDLE}
    shop.add(*(ShopPurchase(id=each, **owner) for each in bought))
    with shop.database.session() as session:
        for each in bought[:recorded]:
            purchases.record(session, shop.seller, each, now=NOW)
            forget(session)


def forget(session: Session) -> None:
    """
    Write what is to be written; each query would look at all that a session knows.
    """
    session.flush()
    session.expunge_all()


def answer(worker: Worker, *, seller: Seller, purchase_id: str) -> Outcome:
    """
    Hear that the sale was granted.
    """
    return worker.do(acknowledgements.apply, seller, granted(source_purchase_id=purchase_id), now=NOW)


def hear_of_sale(worker: Worker, *, seller: Seller, purchase_id: str) -> Outcome | None:
    """
    Hear of a sale; None if it was over before it was heard of, which Inngest tries again in vain.
    """
    try:
        return worker.do(purchases.record_sale, seller, Reference(purchase_id), now=NOW)
    except UnconfirmedEventError:
        return None


def give_back(worker: Worker, *, seller: Seller, purchase_id: str) -> Outcome:
    """
    Refund a purchase and hear of that: each third time in one transaction, as an app may that records it itself.
    """

    def change(session: Session) -> None:
        session.get_one(ShopPurchase, purchase_id).status = "Refunded"

    def change_and_record(session: Session) -> Outcome:
        change(session)
        return purchases.record(session, seller, purchase_id, now=NOW)

    # not in a snapshot of PostgreSQL's: a sale that was recorded after it was taken can't be seen in it
    in_snapshot = worker.stack.driver.database == "postgresql" and worker.stack.isolation == "REPEATABLE READ"
    if int(purchase_id[-3:]) % 3 == 0 and not in_snapshot:
        return worker.do(change_and_record)
    worker.do(change)
    return worker.do(purchases.record_refund, seller, Reference(purchase_id), now=NOW)


def is_active(outcome: Outcome) -> bool:
    """
    Whether the answer is that it is open.
    """
    event = said(outcome)
    assert isinstance(event, EntitlementGranted)
    return event.status == "active"


def version_in(outcome: Outcome) -> int:
    """
    The version that the one message names.
    """
    [message] = outcome.messages
    version: int = message.event.model_dump()["version"]
    return version
