from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st
from sqlmodel import Session, col

import crossapp_tt as tt
from crossapp_core.errors import CatalogError, UnconfirmedEventError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.outcomes import Message
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import purchases, rows
from crossapp_tt.tables import Desired
from tests import schema
from tests.hosts import NOW, ShopPurchase
from tests.tt.shop import (
    BUNDLE,
    COURSE,
    FIRST,
    MILLISECOND,
    OTHER,
    PURCHASE,
    SCHOOL,
    Shop,
    entry,
    granted,
    refund_in,
    revoked,
    sale_in,
    version_at,
)

LATER = NOW + timedelta(hours=1)
ROW_ID = "sync_87307a7d9749e3c9c659b4c1d099758d"
"""The id of the row of `pur_1` and `prod_9`, for ever."""


class TestSale:
    def test_row_and_message(self, shop: Shop) -> None:
        """
        A sale makes one row for the component of its bundle, and what it says is to be sent.
        """
        outcome = shop.sell(email=" Ada@Example.com")

        row = shop.row()
        assert (row.purchase_id, row.target_app, row.target_product_id) == (PURCHASE, SCHOOL, COURSE)
        assert (row.status, row.desired, row.version, row.retry_count) == ("pending", "granted", FIRST, 0)
        assert (row.buyer_user_id, row.buyer_email, row.bundle_product_id) == ("ada", "ada@example.com", BUNDLE)
        assert (row.created_at, row.next_attempt_at) == (NOW, NOW + timedelta(minutes=1))
        assert (row.accepted_version, row.sent_at, row.synced_at, row.revoked_at, row.reason) == (0, *[None] * 4)
        sale = BundlePurchased(
            purchase_id=PURCHASE,
            product_id=COURSE,
            buyer_email="ada@example.com",
            buyer_user_id="ada",
            bundle_product_id=BUNDLE,
            version=FIRST,
        )
        assert (outcome.ids, outcome.changed) == ((row.id,), True)
        assert outcome.messages == (Message(SCHOOL, sale),)

    def test_time(self, shop: Shop) -> None:
        """
        When it was bought is told as the row has it, to the millisecond.
        """

        class Dated(tt.TablePurchases):
            def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> tt.Purchase | None:
                found = super().get(session, purchase_id, lock=lock)
                return found and replace(found, purchased_at=NOW - timedelta(days=3, microseconds=1))

        shop.purchases = Dated(ShopPurchase, owned=sa.true())
        sale = sale_in(shop.sell().messages[0])
        assert sale.purchased_at == shop.row().purchased_at == NOW - timedelta(days=3, milliseconds=1)

    def test_id_for_ever(self, shop: Shop) -> None:
        """
        The row of a purchase and component has always the same id, even when the ledger was lost.
        """
        first = shop.sell().ids
        shop.forget()
        assert shop.record(now=LATER).ids == first
        assert first == (ROW_ID,)

    def test_twice(self, shop: Shop) -> None:
        """
        The same again changes nothing, and says once more what is still owed.
        """
        first = shop.sell()
        before = shop.row().model_dump()
        again = shop.record(now=LATER)
        assert (again.ids, again.changed, again.messages) == (first.ids, False, first.messages)
        assert shop.row().model_dump() == before

    def test_twice_after_acceptance(self, shop: Shop) -> None:
        """
        What was accepted but not acknowledged is sent again as another attempt, since the same would be dropped.
        """
        first = shop.sell()
        shop.note_accepted(first.messages)
        again = shop.record(now=LATER)
        assert again.changed is False
        assert [(message.event, message.attempt) for message in again.messages] == [(first.messages[0].event, 1)]
        row = shop.row()
        assert (row.version, row.retry_count) == (FIRST, 1)
        assert row.next_attempt_at is not None
        assert timedelta(seconds=96) <= row.next_attempt_at - LATER <= timedelta(minutes=2)

    def test_nothing_owed(self, shop: Shop) -> None:
        """
        What was acknowledged isn't sent again.
        """
        first = shop.sell()
        shop.answer(granted())
        again = shop.record(now=LATER)
        assert (again.ids, again.changed, again.messages) == (first.ids, False, ())

    def test_other_purchases(self, shop: Shop) -> None:
        """
        Other purchases have rows of their own.
        """
        shop.sell("pur_1")
        shop.sell("pur_2", user_id="grace")
        shop.refund("pur_1")
        assert [(row.purchase_id, row.desired, row.buyer_user_id) for row in shop.rows()] == [
            ("pur_1", "revoked", "ada"),
            ("pur_2", "granted", "grace"),
        ]

    @pytest.mark.parametrize("status", ["Refunded", "Pending"])
    def test_not_owned_at_first_sight(self, shop: Shop, status: str) -> None:
        """
        A purchase that isn't owned when it is first seen makes no row.
        """
        outcome = shop.sell(status=status)
        assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())
        assert shop.rows() == []

    def test_unknown(self, shop: Shop) -> None:
        """
        A purchase that doesn't exist makes no row.
        """
        assert shop.record("pur_404").ids == ()
        assert shop.rows() == []

    def test_no_bundle(self, shop: Shop) -> None:
        """
        What is no bundle is nobody else's business.
        """
        outcome = shop.sell(product_id="prod_alone")
        assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())
        assert shop.rows() == []

    def test_id_in_other_letters(self, shop: Shop) -> None:
        """
        An id that differs in case names no purchase, though a database may think so: nothing is sold twice.
        """
        shop.sell("pur_1")
        for name in ("PUR_1", "pur_1 ", "púr_1"):
            assert shop.record(name).ids == ()
            with pytest.raises(UnconfirmedEventError):
                shop.hear_of_sale(name)
        assert shop.row().purchase_id == "pur_1"

    def test_row_of_another_service(self, shop: Shop) -> None:
        """
        A row that a service wrote without our columns is taken over.
        """
        shop.buy()
        planned = {
            "id": "theirs",
            "purchaseId": PURCHASE,
            "targetApp": SCHOOL,
            "targetProductId": COURSE,
            "status": "pending",
            "retryCount": 0,
            "createdAt": datetime(2026, 11, 1),  # noqa: DTZ001
        }
        schema.insert_planned(shop.database.engine, "CrossAppSync", planned)
        outcome = shop.record()
        row = shop.row()
        assert (outcome.ids, outcome.changed, len(outcome.messages)) == (("theirs",), True, 1)
        assert (row.version, row.buyer_user_id, row.bundle_product_id) == (FIRST, "ada", BUNDLE)


class TestBundle:
    def test_several_apps(self, shop: Shop) -> None:
        """
        Each component has a row and an event for its own app, always in the same order.
        """
        shop.bundles[BUNDLE] = [entry("b", OTHER), entry("b"), entry("a", OTHER), entry("a")]
        outcome = shop.sell()
        wanted = [(SCHOOL, "a"), (SCHOOL, "b"), (OTHER, "a"), (OTHER, "b")]
        assert [(row.target_app, row.target_product_id) for row in shop.rows()] == wanted
        assert [(each.target, sale_in(each).product_id) for each in outcome.messages] == wanted
        assert outcome.ids == tuple(row.id for row in shop.rows())
        assert len(set(outcome.ids)) == 4

    def test_changed_after_the_sale(self, shop: Shop) -> None:
        """
        What is added to a bundle, or taken from it, counts for later sales alone.
        """
        shop.sell("pur_1")
        shop.bundles[BUNDLE] = [entry("prod_10")]
        shop.change("pur_1", user_id="grace")
        shop.record("pur_1", now=LATER)
        shop.sell("pur_2", now=LATER)
        assert [(row.purchase_id, row.target_product_id, row.desired) for row in shop.rows()] == [
            ("pur_1", COURSE, "granted"),
            ("pur_2", "prod_10", "granted"),
        ]
        shop.refund("pur_1")
        assert [(row.target_product_id, row.desired) for row in shop.rows()] == [
            (COURSE, "revoked"),
            ("prod_10", "granted"),
        ]

    def test_kept_by_the_app(self, shop: Shop) -> None:
        """
        What the app itself kept of the bundle counts, whatever its product says, and then for ever.
        """
        owned = col(ShopPurchase.status) == "Valid"
        kept = sa.literal(json.dumps([entry("kept"), entry("kept", OTHER)]))
        shop.purchases = tt.TablePurchases(ShopPurchase, owned=owned, bundle_products=kept)
        shop.sell()
        assert [(row.target_app, row.target_product_id) for row in shop.rows()] == [(SCHOOL, "kept"), (OTHER, "kept")]
        shop.bundles[BUNDLE] = "not JSON"
        assert shop.record().changed is False
        shop.forget()
        assert len(shop.record().messages) == 2

    def test_kept_as_empty(self, shop: Shop) -> None:
        """
        An app that kept that there was no bundle had none to sell.
        """
        owned = col(ShopPurchase.status) == "Valid"
        shop.purchases = tt.TablePurchases(ShopPurchase, owned=owned, bundle_products=sa.literal("[]"))
        assert shop.sell().ids == ()

    @pytest.mark.parametrize(
        "content",
        [
            "not JSON",
            "{}",
            [entry("", SCHOOL)],
            [entry(), {"app": SCHOOL}],
            [entry(), entry()],
            [entry(app="nobody")],
            [entry(app="total-typescript")],
        ],
    )
    def test_malformed(self, shop: Shop, content: object) -> None:
        """
        A bundle that can't be read in full is an error that names its product, and nothing of it is written.
        """
        shop.bundles[BUNDLE] = content
        with pytest.raises(CatalogError, match=BUNDLE):
            shop.sell()
        assert shop.rows() == []

    def test_refund_of_what_is_malformed_now(self, shop: Shop) -> None:
        """
        A bundle that was spoilt after its sale keeps nobody's refund.
        """
        shop.sell()
        shop.bundles[BUNDLE] = "not JSON"
        shop.refund()
        assert shop.row().desired == "revoked"

    def test_refund_of_a_peer_that_is_gone(self, shop: Shop) -> None:
        """
        Nor does an app that isn't a peer any more.
        """
        shop.sell()
        shop.bundles[BUNDLE] = [entry(app="nobody")]
        shop.change(status="Restricted")
        assert shop.record().changed is False
        assert shop.refund().changed is True


class TestBuyer:
    def change(self, shop: Shop, **values: Any) -> CrossAppSync:
        """
        Change the purchase once its sale is acknowledged, record that, and return the row.
        """
        shop.answer(granted())
        shop.change(**values)
        outcome = shop.record(now=LATER)
        row = shop.row()
        assert outcome.changed is (row.version > FIRST) is bool(outcome.messages)
        return row

    def test_guest(self, shop: Shop) -> None:
        """
        A guest's purchase is told with the address alone.
        """
        outcome = shop.sell(user_id=None)
        sale = sale_in(outcome.messages[0])
        assert (sale.buyer_user_id, sale.buyer_email) == (None, "ada@example.com")

    def test_guest_becomes_user(self, shop: Shop) -> None:
        """
        A guest who gets an account is told under a new version, and nothing is lost meanwhile.
        """
        shop.sell(user_id=None)
        row = self.change(shop, user_id="ada")
        assert (row.version, row.status, row.desired) == (version_at(LATER), "pending", "granted")
        assert (row.buyer_user_id, row.buyer_email) == ("ada", "ada@example.com")

    def test_guests_address_changes(self, shop: Shop) -> None:
        """
        A guest is known by the address alone, so another one is a new version.
        """
        shop.sell(user_id=None)
        row = self.change(shop, email="grace@example.com")
        assert (row.version, row.buyer_email) == (version_at(LATER), "grace@example.com")

    def test_guests_address_as_before(self, shop: Shop) -> None:
        """
        The same address in other letters is the same.
        """
        shop.sell(user_id=None)
        row = self.change(shop, email="ADA@example.COM ")
        assert (row.version, row.status) == (FIRST, "synced")

    def test_buyers_address_changes(self, shop: Shop) -> None:
        """
        A buyer who is named stays who it is, whatever the address.
        """
        shop.sell()
        row = self.change(shop, email="other@example.com")
        assert (row.version, row.status, row.buyer_email) == (FIRST, "synced", "ada@example.com")

    def test_erased(self, shop: Shop) -> None:
        """
        An account that was erased takes nothing away: the row keeps its buyer.
        """
        shop.sell()
        row = self.change(shop, user_id=None, email=None)
        assert (row.version, row.status, row.buyer_user_id) == (FIRST, "synced", "ada")

    def test_erased_then_refunded_and_owned(self, shop: Shop) -> None:
        """
        Even when it is owned again after a dispute, it is still that buyer's.
        """
        shop.sell()
        shop.change(user_id=None, email=None)
        shop.refund(now=LATER)
        shop.change(status="Valid")
        outcome = shop.record(now=LATER)
        assert sale_in(outcome.messages[0]).buyer_user_id == "ada"

    def test_transfer(self, shop: Shop) -> None:
        """
        A purchase that is another user's now is granted anew, to nobody yet.
        """
        shop.sell()
        row = self.change(shop, user_id="grace", email="Grace@Example.com")
        assert (row.version, row.status, row.desired) == (version_at(LATER), "pending", "granted")
        assert (row.buyer_user_id, row.buyer_email) == ("grace", "grace@example.com")
        assert (row.target_user_id, row.target_entitlement_id) == (None, "ent_1")

    @pytest.mark.parametrize("address", ["", "nobody", "a b@example.com", "x" * 250 + "@y"])
    def test_no_address(self, shop: Shop, address: str) -> None:
        """
        What stands in the shop's table as address, but is none, stops no sale.
        """
        outcome = shop.sell(email=address)
        assert (shop.row().buyer_email, sale_in(outcome.messages[0]).buyer_email) == (None, None)
        assert shop.record().changed is False

    def test_nobody(self, shop: Shop) -> None:
        """
        A purchase that is nobody's is sold all the same, and gets a buyer later.
        """
        shop.sell(user_id=None, email=None)
        row = self.change(shop, email="ada@example.com")
        assert (row.version, row.buyer_email) == (version_at(LATER), "ada@example.com")


class TestRefund:
    def test_revokes(self, shop: Shop) -> None:
        """
        A refund is told for each component, under a higher version.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b", OTHER)]
        shop.sell()
        outcome = shop.refund(now=LATER)
        assert (outcome.changed, len(outcome.ids)) == (True, 2)
        later = version_at(LATER)
        assert [(each.target, each.event) for each in outcome.messages] == [
            (SCHOOL, EntitlementRevoke(purchase_id=PURCHASE, product_id="a", reason="refunded", version=later)),
            (OTHER, EntitlementRevoke(purchase_id=PURCHASE, product_id="b", reason="refunded", version=later)),
        ]
        for row in shop.rows():
            assert (row.status, row.desired, row.version, row.reason) == ("pending", "revoked", later, "refunded")
            assert (row.buyer_user_id, row.revoked_at, row.next_attempt_at) == (
                "ada",
                None,
                LATER + 60_000 * MILLISECOND,
            )

    def test_twice(self, shop: Shop) -> None:
        """
        The same again changes nothing, and says once more what is still owed.
        """
        shop.sell()
        first = shop.refund(now=LATER)
        before = shop.row().model_dump()
        again = shop.record(now=LATER + timedelta(hours=1))
        assert (again.changed, again.messages) == (False, first.messages)
        assert shop.row().model_dump() == before

    def test_before_the_sale_was_sent(self, shop: Shop) -> None:
        """
        A sale that was never sent is refunded too: it may have been sent without our knowing.
        """
        shop.sell()
        assert [refund_in(each).version for each in shop.refund().messages] == [FIRST + 1]

    def test_other_reason(self, shop: Shop) -> None:
        """
        The reason is the caller's to say.
        """
        shop.sell()
        shop.change(status="Disputed")
        with shop.database.session() as session:
            outcome = purchases.record(session, shop.seller, PURCHASE, now=LATER, reason="disputed")
        assert refund_in(outcome.messages[0]).reason == shop.row().reason == "disputed"

    def test_deleted(self, shop: Shop) -> None:
        """
        A purchase that was deleted is revoked: its rows are still there.
        """
        shop.sell()
        shop.delete()
        assert refund_in(shop.record().messages[0]).reason == "refunded"
        assert shop.row().desired == "revoked"

    def test_owned_again(self, shop: Shop) -> None:
        """
        A purchase that is owned again, after a dispute that was won, is granted under a still higher version.
        """
        shop.sell()
        shop.answer(granted())
        shop.refund(now=LATER)
        shop.answer(revoked(version_at(LATER)), now=LATER)
        shop.change(status="Valid")
        outcome = shop.record(now=LATER)
        row = shop.row()
        assert sale_in(outcome.messages[0]).version == row.version == version_at(LATER) + 1
        assert (row.status, row.desired, row.reason, row.revoked_at) == ("pending", "granted", None, None)
        assert (row.target_user_id, row.buyer_user_id) == (None, "ada")


class TestVersions:
    def test_clock_jumps_back(self, shop: Shop) -> None:
        """
        Versions rise by one where the clock stands still or jumps back, and follow it where it runs.
        """
        moments = [NOW, NOW, NOW - timedelta(days=300), NOW + MILLISECOND, NOW + timedelta(hours=1)]
        shop.buy()
        versions = []
        for number, moment in enumerate(moments):
            shop.change(status="Refunded" if number % 2 else "Valid")
            shop.record(now=moment)
            versions.append(shop.row().version)
        assert versions == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 3_600_000]

    @given(
        st.integers(0, 2**52),
        st.integers(0, 2**52),
        st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    )
    @example(0, 0, datetime(2108, 5, 26, 3, 30, 29, 754_000, tzinfo=UTC))  # where a float is a millisecond short
    def test_rule(self, stored: int, above: int, now: datetime) -> None:
        """
        A new version is above the stored one and above what somebody claims, and at least the time in milliseconds.
        """
        row = CrossAppSync(
            id="s", purchase_id=PURCHASE, target_app=SCHOOL, target_product_id=COURSE, created_at=NOW, version=stored
        )
        rows.number(row, Desired.GRANTED, now=now, above=above)
        milliseconds = int(now.replace(microsecond=0).timestamp()) * 1000 + now.microsecond // 1000
        assert row.version == max(stored + 1, above + 1, milliseconds)


class TestCallersTransaction:
    def test_commits_nothing(self, shop: Shop) -> None:
        """
        An operation leaves the transaction to its caller.
        """
        shop.buy()
        with Session(shop.database.engine) as session:
            assert purchases.record(session, shop.seller, PURCHASE, now=NOW).changed is True
            session.rollback()
        assert shop.rows() == []
