from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import permutations
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, StaticPool, create_engine
from sqlmodel import Session, SQLModel

from crossapp_core.events import BundlePurchased, EntitlementGranted, EntitlementRevoke
from tests.databases import Database
from tests.together.exchange import COURSES, LINKS, SHOP, Exchange, Held, Source, check_rest, check_step

BUYERS = [*LINKS, "shop-eve", None]
"""Two who are linked, one who isn't, and a guest."""
PURCHASES = ["pur_1", "pur_2"]

Request: TypeAlias = BundlePurchased | EntitlementRevoke
T = TypeVar("T")


@cache
def memory() -> Engine:
    """
    One database in memory for all histories.
    """
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    SQLModel.metadata.create_all(engine)
    return engine


def in_memory() -> Exchange:
    """
    Both apps, with an empty database.
    """
    engine = memory()

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    return Exchange(sessions)


def request(version: int, buyer: str | None, *, sold: bool) -> Request:
    """
    What the shop wants of one source at a version.
    """
    if sold:
        return BundlePurchased(
            source_app=SHOP, purchase_id="pur_1", product_id=COURSES[0], buyer_user_id=buyer, version=version
        )
    return EntitlementRevoke(
        source_app=SHOP, purchase_id="pur_1", product_id=COURSES[0], reason="refunded", version=version
    )


def expected(newest: Request) -> Held:
    """
    What is held when *newest* is the newest that was heard, and no link ever changes.
    """
    if isinstance(newest, EntitlementRevoke):
        return Held("revoked", newest.version, None)
    user_id = LINKS.get(newest.buyer_user_id or "")
    return Held("active" if user_id else "pending", newest.version, user_id)


@st.composite
def deliveries(draw: st.DrawFn) -> list[Request]:
    """
    Any of what a shop said of one source, in any order, as often as you like.
    """
    versions = draw(st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=6, unique=True))
    said = [request(version, draw(st.sampled_from(BUYERS)), sold=draw(st.booleans())) for version in versions]
    return draw(st.lists(st.sampled_from(said), min_size=1, max_size=12))


class TestOneSource:
    @given(deliveries())
    @settings(max_examples=150, deadline=None)
    def test_largest_version_wins(self, heard: Sequence[Request]) -> None:
        """
        Whatever is heard of a source, in whatever order and however often: the largest version is what holds.
        """
        exchange = in_memory()
        for place, each in enumerate(heard, start=1):
            exchange.deliver(each)
            newest = max(heard[:place], key=lambda request: request.version)
            [held] = exchange.held.values()

            assert (held.status, held.version) == (expected(newest).status, newest.version)
            assert held.status == "revoked" or held.user_id == expected(newest).user_id
            answer = exchange.acks[-1]
            assert (answer.version, isinstance(answer, EntitlementGranted)) == (held.version, held.status != "revoked")
        assert len(exchange.acks) == len(heard)


class Histories(RuleBasedStateMachine):
    """
    Sales, refunds and transfers, while messages and answers are lost, late, repeated and out of order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchange = in_memory()
        self.before: dict[Source, Held] = {}
        self.buyers: dict[str, str | None] = {}

    @rule(purchase_id=st.sampled_from(PURCHASES), buyer=st.sampled_from(BUYERS), told=st.booleans())
    def sell(self, purchase_id: str, buyer: str | None, told: bool) -> None:
        """
        Something is sold, sold again after a refund, or has another buyer now.
        """
        self.buyers[purchase_id] = buyer
        self.exchange.put(purchase_id, status="Valid", buyer=buyer)
        if told:
            self.exchange.record(purchase_id)

    @precondition(lambda self: self.buyers)
    @rule(place=st.integers(0, 1), told=st.booleans())
    def refund(self, place: int, told: bool) -> None:
        """
        Something is refunded.
        """
        purchase_id, buyer = _one([*self.buyers.items()], place)
        self.exchange.put(purchase_id, status="Refunded", buyer=buyer)
        if told:
            self.exchange.record(purchase_id)

    @precondition(lambda self: self.exchange.requests)
    @rule(place=st.integers(0, 50))
    def deliver(self, place: int) -> None:
        """
        The school hears something that the shop once said.
        """
        self.exchange.deliver(_one(self.exchange.requests, place))

    @precondition(lambda self: self.exchange.acks)
    @rule(place=st.integers(0, 50))
    def answer(self, place: int) -> None:
        """
        The shop hears something that the school once answered.
        """
        self.exchange.answer(_one(self.exchange.acks, place))

    @precondition(lambda self: self.exchange.requests)
    @rule(place=st.integers(0, 50))
    def converse(self, place: int) -> None:
        """
        The school hears something that the shop once said, and the shop the answer.
        """
        self.exchange.converse(_one(self.exchange.requests, place))

    @rule(buyer=st.sampled_from([*LINKS, None, None, None, None]))
    def unlink(self, buyer: str | None) -> None:
        """
        Somebody removes a link, or thinks better of it.
        """
        if buyer is not None:
            self.exchange.unlink(buyer)

    @rule(seconds=st.integers(-3600, 3600))
    def tick(self, seconds: int) -> None:
        """
        Time passes, or a clock is put back.
        """
        self.exchange.tick(timedelta(seconds=seconds))

    @rule(purchase_id=st.sampled_from(PURCHASES))
    def forget(self, purchase_id: str) -> None:
        """
        The shop loses its memory of a purchase.
        """
        self.exchange.forget(purchase_id)

    @invariant()
    def holds_at_any_time(self) -> None:
        """
        What must hold whatever is lost or late.
        """
        after = self.exchange.held
        check_step(self.exchange, self.before, after)
        self.before = after

    def teardown(self) -> None:
        """
        All that is owed arrives, and both sides agree.
        """
        self.exchange.settle()
        self.holds_at_any_time()
        check_rest(self.exchange)


def _one(items: Sequence[T], place: int) -> T:
    return items[-1 - place % len(items)]


class TestBothSides:
    def test_any_history(self) -> None:
        """
        Any history of two purchases ends with both apps agreeing, and gives nobody what isn't theirs on the way.
        """
        run_state_machine_as_test(Histories, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))

    def test_every_order(self, database: Database) -> None:
        """
        A sale, its refund and its sale to somebody else end the same in every order, repeated or not.
        """
        said = sold_refunded_sold(Exchange(database.session)).requests
        ends = []
        for order in permutations([request for request in said if request.product_id == COURSES[0]]):
            exchange = Exchange(database.session)
            for request in [*order, *order[:2]]:
                exchange.deliver(request)
            ends.append(exchange.held)

        newest = said[-1].version
        assert ends == [{("pur_1", COURSES[0]): Held("active", newest, "school-bob")}] * 6

    def test_nothing_arrives_until_the_end(self, database: Database) -> None:
        """
        If all that was ever said is lost, what is owed in the end is enough.
        """
        exchange = sold_refunded_sold(Exchange(database.session))
        exchange.settle()

        check_rest(exchange)
        assert {held.user_id for held in exchange.held.values()} == {"school-bob"}

    @pytest.mark.parametrize("buyer", ["shop-bob", "shop-eve", None])
    def test_transfer(self, database: Database, buyer: str | None) -> None:
        """
        After a transfer both sides name the new holder, or nobody.
        """
        exchange = Exchange(database.session)
        for owner in ("shop-ada", buyer):
            exchange.put("pur_1", status="Valid", buyer=owner)
            exchange.settle()
            check_rest(exchange)

        # an account that is gone from the shop is no transfer
        holder = LINKS.get(buyer or "shop-ada")
        assert {held.user_id for held in exchange.held.values()} == {holder}

    def test_backwards(self, database: Database) -> None:
        """
        Requests and answers may come from last to first, each twice.
        """
        exchange = sold_refunded_sold(Exchange(database.session))
        for request in [*reversed(exchange.requests)] * 2:
            exchange.deliver(request)
        for ack in [*reversed(exchange.acks)] * 2:
            exchange.answer(ack)
        assert [row.id for row in exchange.ledger if row.next_attempt_at is not None] == []

        check_rest(exchange)

    @pytest.mark.parametrize("status", ["Valid", "Refunded"])
    @pytest.mark.parametrize("ahead", [1, -1])
    def test_lost_memory(self, database: Database, status: str, ahead: int) -> None:
        """
        A shop that has lost its ledger learns from the school what it once wanted, and says what it wants now, even if
        its clock was put back.
        """
        exchange = sold_refunded_sold(Exchange(database.session))
        exchange.settle()
        exchange.forget("pur_1")
        exchange.now += timedelta(days=ahead)
        exchange.put("pur_1", status=status, buyer="shop-bob")
        exchange.settle()

        check_rest(exchange)
        assert {held.status for held in exchange.held.values()} == {"active" if status == "Valid" else "revoked"}


def sold_refunded_sold(exchange: Exchange) -> Exchange:
    """
    A shop that sold something to Ada, refunded it, and then sold it to Bob; nobody has heard of it.
    """
    for status, buyer in (("Valid", "shop-ada"), ("Refunded", "shop-ada"), ("Valid", "shop-bob")):
        exchange.put("pur_1", status=status, buyer=buyer)
        exchange.record("pur_1")
        exchange.tick(timedelta(seconds=1))
    return exchange
