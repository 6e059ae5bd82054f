from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
)
from crossapp_core.outcomes import Message
from crossapp_core.testing.peers.granting import Answer, Granter, Request
from crossapp_core.testing.peers.selling import LedgerRow, Seller

SHOP, SCHOOL = "total-typescript", "ai-hero"
BUYERS = [None, "ada", "bob"]


def sale(version: int, buyer: str | None = None, email: str | None = "ada@example.com") -> BundlePurchased:
    return BundlePurchased(
        source_app=SHOP,
        purchase_id="p1",
        product_id="course",
        buyer_user_id=buyer,
        buyer_email=email,
        version=version,
    )


def refund(version: int) -> EntitlementRevoke:
    return EntitlementRevoke(source_app=SHOP, purchase_id="p1", product_id="course", reason="refunded", version=version)


def granter() -> Granter:
    """
    A school where Ada and Bob have accounts.
    """
    made = Granter()
    made.link(SHOP, "ada", "ada-at-school")
    made.link(SHOP, "bob", "bob-at-school")
    return made


requests = st.tuples(st.sampled_from(["sale", "refund"]), st.sampled_from(BUYERS))
histories = st.lists(requests, min_size=1, max_size=4)


def events_of(history: Iterable[tuple[str, str | None]]) -> list[Request]:
    return [sale(n, buyer) if kind == "sale" else refund(n) for n, (kind, buyer) in enumerate(history, 1)]


class TestGranter:
    @given(histories, st.data())
    def test_any_order(self, history: list[tuple[str, str | None]], data: st.DataObject) -> None:
        """
        In whatever order the events of a history come, and however often, what is wanted last is there in the end.
        """
        events = events_of(history)
        repeated = data.draw(st.lists(st.sampled_from(events), max_size=2))
        kind, buyer = history[-1]
        for order in permutations([*events, *repeated]):
            school = granter()
            for event in order:
                school.receive(event)

            [row] = school.rows
            assert (row.version, row.status == "revoked") == (len(events), kind == "refund")
            if kind == "sale" and buyer is not None:
                assert (row.status, row.user_id) == ("active", f"{buyer}-at-school")

    @given(histories)
    def test_answers_with_what_is_stored(self, history: list[tuple[str, str | None]]) -> None:
        """
        A repetition is answered as the first time, and what is stale with what is stored.
        """
        events, school = events_of(history), granter()
        last = [school.receive(event) for event in events][-1]

        assert [school.receive(event) for event in events] == [last] * len(events)

    def test_late_grant(self) -> None:
        """
        A grant that comes after its own revoke gives nothing.
        """
        school = granter()

        school.receive(refund(2))
        answer = school.receive(sale(1, "ada"))

        assert isinstance(answer, EntitlementRevoked)
        assert [row.status for row in school.rows] == ["revoked"]

    def test_transfer(self) -> None:
        """
        Another buyer takes it over; the same one keeps it, though the shop has forgotten the account.
        """
        school = granter()
        school.receive(sale(1, "ada"))
        school.receive(sale(2, "bob"))
        assert [row.user_id for row in school.rows] == ["bob-at-school"]

        school.receive(sale(3, "carol"))
        assert [(row.status, row.user_id) for row in school.rows] == [("pending", None)]

    def test_same_guest(self) -> None:
        """
        An account that a guest's purchase gets is no transfer, nor is the same address.
        """
        school = granter()
        school.receive(sale(1))
        assert school.link(SHOP, "ada", "ada-at-school") == []

        school.receive(sale(2, "ada"))
        school.receive(sale(3, "ada", "ada@new.example"))

        assert [(row.status, row.user_id) for row in school.rows] == [("active", "ada-at-school")]

    def test_unknown_product(self) -> None:
        """
        A product that is gone keeps what was granted, and takes nothing new; a revoke still counts.
        """
        school = granter()
        granted = school.receive(sale(1, "ada"))
        school.products = set()

        assert school.receive(sale(1, "ada")) == granted
        assert isinstance(school.receive(sale(2, "ada")), EntitlementFailed)
        assert isinstance(school.receive(refund(3)), EntitlementRevoked)


def seller() -> tuple[Seller, LedgerRow]:
    """
    A shop that has sold a course.
    """
    shop = Seller()
    shop.sell(SCHOOL, "p1", "course", user_id="ada", email="ada@example.com", ms=100)
    [row] = shop.rows
    return shop, row


def granted(version: int, user_id: str | None = None) -> EntitlementGranted:
    return EntitlementGranted(
        source_app=SCHOOL,
        source_purchase_id="p1",
        product_id="course",
        entitlement_id="ent_1",
        user_id=user_id,
        status="active" if user_id else "pending",
        version=version,
    )


def failed(version: int, code: str = "unknown-product") -> EntitlementFailed:
    return EntitlementFailed(
        source_app=SCHOOL, source_purchase_id="p1", product_id="course", code=code, message="No.", version=version
    )


def revoked(version: int) -> EntitlementRevoked:
    return EntitlementRevoked(source_app=SCHOOL, source_purchase_id="p1", product_id="course", version=version)


class TestSeller:
    def test_answers_merge(self) -> None:
        """
        Answers of one version lead to one end in any order: a user stays known, and success beats failure.
        """
        answers: list[Answer] = [granted(100), granted(100, "ada-at-school"), failed(100), granted(99)]
        for order in permutations(answers):
            shop, row = seller()
            for answer in order:
                assert shop.receive(answer, ms=500) == []

            assert shop.rows == [replace(row, status="synced", entitlement_id="ent_1", user_id="ada-at-school")]

    def test_contradiction(self) -> None:
        """
        An answer that nobody asked for is refused.
        """
        shop, _ = seller()

        with pytest.raises(EventRejectedError, match="answers version 100, which wants it granted"):
            shop.receive(revoked(100), ms=500)

    @pytest.mark.parametrize("version", [101, 10**6])
    def test_lost_memory(self, version: int) -> None:
        """
        A larger version than the last says that the shop has forgotten it: it says anew what it wants, above that.
        """
        shop, _ = seller()

        [message] = shop.receive(revoked(version), ms=500)

        assert isinstance(message.event, BundlePurchased)
        assert message.event.version == max(version + 1, 500)

    def test_never_sold(self) -> None:
        """
        What the shop doesn't know is to be locked.
        """
        [message] = Seller().receive(granted(7), ms=500)

        assert message.event == EntitlementRevoke(purchase_id="p1", product_id="course", reason="manual", version=500)

    def test_user_is_gone(self) -> None:
        """
        When the user is gone there, the next version decides anew who has it.
        """
        shop, _ = seller()

        [message] = shop.receive(failed(100, "user-gone"), ms=500)

        assert isinstance(message.event, BundlePurchased)
        assert message.event.version == 500


class TestBothSides:
    @given(
        st.lists(st.sampled_from(["sell", "transfer", "refund", "deliver", "lose", "repeat"]), max_size=12), st.data()
    )
    def test_agree_at_rest(self, history: list[str], data: st.DataObject) -> None:
        """
        After any mix of sales, refunds, losses, repetitions and reorderings, both sides say the same in the end.
        """
        shop, school, way = Seller(), granter(), list[Message | Answer]()
        for now, act in enumerate(history, 100):
            buyer = "bob" if act == "transfer" else "ada"
            if act in ("sell", "transfer"):
                way.append(shop.sell(SCHOOL, "p1", "course", user_id=buyer, email=None, ms=now))
            elif act == "refund":
                way += shop.refund("p1", reason="refunded", ms=now)
            elif way:
                place = data.draw(st.integers(0, len(way) - 1))
                thing = way[place] if act == "repeat" else way.pop(place)
                way += [] if act == "lose" else arrive(thing, shop, school, now)
        for now in range(200, 203):
            for message in [*way, *shop.owed()]:
                way = arrive(message, shop, school, now)
                while way:
                    way += arrive(way.pop(0), shop, school, now)

        sold = [(row.version, row.desired == "granted", row.user_id) for row in shop.rows]
        held = [(row.version, row.status == "active", row.user_id) for row in school.rows]
        assert {row.status for row in shop.rows} <= {"synced", "revoked"}
        assert [fact[:2] for fact in sold] == [fact[:2] for fact in held]
        assert sold == held or not sold[0][1]


def arrive(thing: Message | Answer, shop: Seller, school: Granter, now: int) -> list[Message | Answer]:
    """
    Let something arrive on the other side; what that answers.
    """
    if not isinstance(thing, Message):
        return [*shop.receive(thing.model_copy(update={"source_app": SCHOOL}), ms=now)]
    assert isinstance(thing.event, BundlePurchased | EntitlementRevoke)
    return [school.receive(thing.event.model_copy(update={"source_app": SHOP}))]
