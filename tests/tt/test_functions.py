from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from tests.databases import NAMES
from tests.hosts import ShopPurchase
from tests.together.apps import BUNDLE_SOLD, GRANTER, OTHER, REVOKE, metadata
from tests.tt.deployed import ADA, BUNDLE, Seller, names, opened

HOUR = timedelta(hours=1)


@pytest.fixture
async def seller(tmp_path: Path) -> AsyncIterator[Seller]:
    """
    A seller on SQLite.
    """
    async with opened("sqlite", tmp_path) as seller:
        yield seller


@pytest.fixture(params=NAMES)
async def any_seller(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Seller]:
    """
    A seller on each kind of database in turn.
    """
    async with opened(request.param, tmp_path) as seller:
        yield seller


class TestEmitBundlePurchase:
    async def test_each_granter_is_told(self, any_seller: Seller) -> None:
        """
        Each component is written down and sent to its own granter alone; it stays owed until that answers.
        """
        seller = any_seller
        await seller.sale()

        [to_school], [to_other] = seller.school.log.received, seller.other.log.received
        assert (to_school.name, to_school.data["productId"]) == (BUNDLE_SOLD, "course")
        assert (to_other.name, to_other.data["productId"]) == (BUNDLE_SOLD, "workshop")
        assert to_school.data["buyerEmail"] == "ada@example.com"
        rows = seller.shop.ledger()
        assert [(row.target_app, row.target_product_id, row.status) for row in rows] == [
            (GRANTER, "course", "pending"),
            (OTHER, "workshop", "pending"),
        ]
        assert all(row.accepted_version == row.version for row in rows)
        assert all(row.next_attempt_at == row.created_at + timedelta(minutes=1) for row in rows)
        run = seller.shop.run("emit-bundle-purchase")
        assert run.output == [to_school.internal_id, to_other.internal_id]

    @pytest.mark.parametrize("stripe_metadata", [None, "{}", json.dumps({"slug": "a-book"}), metadata()])
    async def test_no_bundle(self, seller: Seller, stripe_metadata: str | None) -> None:
        """
        A product that isn't sold as a bundle writes nothing and sends nothing.
        """
        await seller.sale(stripe_metadata)

        assert seller.shop.ledger() == []
        assert (names(seller.school), names(seller.other)) == ([], [])
        run = seller.shop.run("emit-bundle-purchase")
        assert (run.status, run.output, run.attempts) == ("completed", [], 1)

    async def test_one_granter_down(self, seller: Seller) -> None:
        """
        While one granter is down the other has its event already, and only once when the first is back.
        """
        seller.school.down = True
        seller.shop.offer("bundle", BUNDLE)
        seller.shop.sell("p1", **ADA)
        seller.shop.created("p1")
        await seller.settle(HOUR)
        assert (names(seller.school), len(seller.other.log.received) > 0) == ([], True)

        seller.school.down = False
        seller.local.clock.advance(timedelta(minutes=2))
        seller.shop.environment.run_cron("reconcile-cross-app")
        await seller.settle()
        assert names(seller.school) == [BUNDLE_SOLD]
        assert all(row.accepted_version == row.version for row in seller.shop.ledger())

    async def test_broken_catalogue(self, seller: Seller) -> None:
        """
        A bundle that can't be read is tried again until somebody has corrected it, and says what is wrong with it.
        """
        seller.shop.offer("bundle", json.dumps({"bundleProducts": '[{"app": "ai-hero"}]'}))
        seller.shop.sell("p1", **ADA)
        seller.shop.created("p1")
        await seller.settle(HOUR)
        assert seller.shop.ledger() == []
        assert "bundleProducts[0] of product bundle: has no productId" in seller.shop.reported[0]
        assert len(seller.shop.reported) > 1

        seller.shop.offer("bundle", BUNDLE)
        await seller.settle()
        assert seller.shop.run("emit-bundle-purchase").status == "completed"
        assert len(seller.shop.ledger()) == 2

    async def test_before_the_sale_is_committed(self, seller: Seller) -> None:
        """
        An event that is faster than the shop's own transaction is tried again.
        """
        seller.shop.offer("bundle", BUNDLE)
        seller.shop.created("p1")
        await seller.settle(timedelta(minutes=1))
        seller.shop.sell("p1", **ADA)
        await seller.settle()

        assert seller.shop.run("emit-bundle-purchase").status == "completed"
        assert len(seller.shop.ledger()) == 2

    async def test_refused_for_good(self, seller: Seller) -> None:
        """
        An event that the peer doesn't take fails at once, and the ledger says why; an answer afterwards beats that.
        """
        seller.school.answer_next(400, {"error": "event of ada@example.com is too odd"})
        await seller.sale(metadata("course"))
        row = seller.shop.row()
        assert (row.status, row.error_code) == ("failed", "not-sent")
        assert row.error_message == (
            f"event-refused: ai-hero's Inngest refused the event bundle/purchased:total-typescript:p1:course:"
            f"v{row.version}:a0: 400: event of … is too odd"
        )
        assert row.next_attempt_at == seller.local.clock() + timedelta(minutes=1)
        assert seller.shop.run("emit-bundle-purchase").attempts == 1
        assert seller.shop.run("emit-bundle-purchase-failure").status == "completed"

        seller.answer(EntitlementGranted, entitlement_id="e1", status="pending")
        await seller.settle()
        row = seller.shop.row()
        assert (row.status, row.target_entitlement_id) == ("synced", "e1")
        assert (row.error_code, row.error_message, row.next_attempt_at) == (None, None, None)

    async def test_other_granter_stays_done(self, seller: Seller) -> None:
        """
        When one granter couldn't be told, what the other has acknowledged stays acknowledged; the ledger says why the
        one that was tried again waits.
        """
        seller.other.down = True
        seller.shop.offer("bundle", BUNDLE)
        seller.shop.sell("p1", **ADA)
        seller.shop.created("p1")
        await seller.settle(HOUR)
        seller.answer(EntitlementGranted, entitlement_id="e1", status="active", user_id="ada-at-school")
        await seller.settle()

        seller.local.clock.advance(timedelta(minutes=2))
        seller.shop.environment.run_cron("reconcile-cross-app")
        await seller.settle()

        to_school, to_other = seller.shop.ledger()
        assert (to_school.status, to_school.error_code) == ("synced", None)
        assert (to_other.status, to_other.error_code) == ("failed", "not-sent")

    @pytest.mark.parametrize("status", [None, "Refunded"])
    async def test_forged(self, any_seller: Seller, status: str | None) -> None:
        """
        An event of a purchase that doesn't exist, or isn't owned, writes nothing and sends nothing, at no attempt.
        """
        seller = any_seller
        seller.shop.offer("bundle", BUNDLE)
        if status:
            seller.shop.sell("p1", status=status, **ADA)
        seller.shop.created("p1")
        await seller.settle()

        assert seller.shop.ledger() == []
        assert (names(seller.school), names(seller.other)) == ([], [])
        run = seller.shop.run("emit-bundle-purchase")
        assert (run.status, run.attempts) == ("failed", 21)
        assert run.error is not None
        assert run.error.message == "the purchase p1 is not owned (yet), whatever the event says"


class TestEmitRevocation:
    async def test_each_granter_is_told(self, any_seller: Seller) -> None:
        """
        A refund is sent to each granter, with a higher version than the sale had.
        """
        seller = any_seller
        await seller.sale()
        sold = seller.shop.ledger()
        seller.shop.change("p1", status="Refunded")
        seller.shop.refunded("p1")
        await seller.settle()

        assert names(seller.school) == names(seller.other) == [BUNDLE_SOLD, REVOKE]
        rows = seller.shop.ledger()
        assert [(row.desired, row.status, row.reason) for row in rows] == [("revoked", "pending", "refunded")] * 2
        assert all(row.version > before.version for row, before in zip(rows, sold, strict=True))
        assert all(row.accepted_version == row.version for row in rows)
        assert [event.data["reason"] for event in seller.school.log.events(REVOKE)] == ["refunded"]

    async def test_forged(self, any_seller: Seller) -> None:
        """
        An event of a refund, of a purchase that is still owned, changes no row and sends nothing, at no attempt.
        """
        seller = any_seller
        await seller.sale()
        rows = seller.shop.ledger()
        seller.shop.refunded("p1")
        await seller.settle()

        assert seller.shop.ledger() == rows
        assert (names(seller.school), names(seller.other)) == ([BUNDLE_SOLD], [BUNDLE_SOLD])
        run = seller.shop.run("emit-revocation")
        assert (run.status, run.attempts) == ("failed", 21)
        assert run.error is not None
        assert run.error.message == "the purchase p1 is not refunded (yet), whatever the event says"
        assert seller.shop.run("emit-revocation-failure").status == "completed"

    async def test_forged_before_the_sale_was_sent(self, seller: Seller) -> None:
        """
        Such an event doesn't make a sale that is still to be sent look as if that had failed.
        """
        seller.shop.offer("bundle", BUNDLE)
        seller.shop.sell("p1", **ADA)
        with seller.shop.database.session() as session:
            seller.shop.bridge.record(session, "p1")
        rows = seller.shop.ledger()
        seller.shop.refunded("p1")
        await seller.settle()

        assert seller.shop.run("emit-revocation-failure").status == "completed"
        assert seller.shop.ledger() == rows

    async def test_forged_about_nothing(self, seller: Seller) -> None:
        """
        An event of a refund, of a purchase that never was, leaves nothing.
        """
        seller.shop.refunded("p9")
        await seller.settle()

        assert seller.shop.ledger() == []
        assert seller.shop.run("emit-revocation").output == []

    async def test_sale_deleted(self, seller: Seller) -> None:
        """
        A purchase that is gone altogether is revoked, by the rows that it has.
        """
        await seller.sale(metadata("course"))
        with seller.shop.database.session() as session:
            session.delete(session.get_one(ShopPurchase, "p1"))
        seller.shop.refunded("p1")
        await seller.settle()

        assert (seller.shop.row().desired, names(seller.school)) == ("revoked", [BUNDLE_SOLD, REVOKE])


class TestAnswers:
    async def test_granted(self, any_seller: Seller) -> None:
        """
        The answer to a grant: it is done, by whom it is held, and nothing is owed any more.
        """
        seller = any_seller
        await seller.sale(metadata("course"))
        seller.answer(EntitlementGranted, entitlement_id="e1", status="active", user_id="ada-at-school")
        await seller.settle()

        row = seller.shop.row()
        assert (row.status, row.target_entitlement_id, row.target_user_id) == ("synced", "e1", "ada-at-school")
        assert (row.synced_at, row.next_attempt_at) == (seller.local.clock(), None)
        assert names(seller.school) == [BUNDLE_SOLD]

    async def test_revoked(self, any_seller: Seller) -> None:
        """
        The answer to a revocation: it is done.
        """
        seller = any_seller
        await seller.sale(metadata("course"))
        seller.shop.change("p1", status="Refunded")
        seller.shop.refunded("p1")
        await seller.settle()
        seller.answer(EntitlementRevoked, entitlement_id="e1")
        await seller.settle()

        row = seller.shop.row()
        assert (row.status, row.revoked_at, row.next_attempt_at) == ("revoked", seller.local.clock(), None)
        assert seller.shop.run("handle-entitlement-revoked").output == []

    async def test_failed(self, any_seller: Seller) -> None:
        """
        The answer that it can't be done: why, and that it stays owed.
        """
        seller = any_seller
        await seller.sale(metadata("course"))
        seller.answer(EntitlementFailed, code="unknown-product", message="There is no such product here.")
        await seller.settle()

        row = seller.shop.row()
        assert (row.status, row.error_code) == ("failed", "unknown-product")
        assert row.error_message == "There is no such product here."
        assert row.next_attempt_at is not None

    async def test_user_gone(self, seller: Seller) -> None:
        """
        If who held it is gone, the granter is asked anew, and the ledger notes that its Inngest accepted that.
        """
        await seller.sale(metadata("course"))
        seller.answer(EntitlementGranted, entitlement_id="e1", status="active", user_id="ada-at-school")
        await seller.settle()
        before = seller.shop.row()
        seller.answer(EntitlementFailed, code="user-gone", message="The account was deleted.")
        await seller.settle()

        row = seller.shop.row()
        assert (row.status, row.target_user_id, row.version > before.version) == ("pending", None, True)
        assert row.accepted_version == row.version
        assert [event.data["version"] for event in seller.school.log.received] == [before.version, row.version]
