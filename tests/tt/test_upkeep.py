from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

import crossapp_tt as tt
from crossapp_core.events import EntitlementGranted, EntitlementRevoked
from tests.together.apps import BUNDLE_SOLD, REVOKE, metadata
from tests.tt.deployed import ADA, Seller, names, opened

CHANGES = (tt.HostEvent("purchase/disputed"), tt.HostEvent("purchase/transferred", purchase_id="purchase.id"))
MINUTES = timedelta(minutes=5)


@pytest.fixture
async def seller(tmp_path: Path) -> AsyncIterator[Seller]:
    """
    A seller on SQLite, which has sold a course.
    """
    async with opened("sqlite", tmp_path) as seller:
        seller.shop.offer("bundle", metadata("course"))
        seller.shop.sell("p1", **ADA)
        seller.shop.created("p1")
        await seller.settle(MINUTES)
        seller.answer(EntitlementGranted, entitlement_id="e1", status="pending")
        await seller.settle(MINUTES)
        yield seller


class TestByHand:
    async def test_revoke_and_restore(self, seller: Seller) -> None:
        """
        What an operator takes back and gives back is told at once.
        """
        taken = await seller.shop.bridge.revoke("p1")
        assert (names(seller.school), taken.changed) == ([BUNDLE_SOLD, REVOKE], True)
        row = seller.shop.row()
        assert (row.desired, row.reason, row.accepted_version) == ("revoked", "manual", row.version)
        seller.answer(EntitlementRevoked)
        await seller.settle(MINUTES)
        assert seller.shop.row().status == "revoked"

        await seller.shop.bridge.restore("p1", "course")
        assert names(seller.school) == [BUNDLE_SOLD, REVOKE, BUNDLE_SOLD]
        assert seller.shop.row().desired == "granted"

    async def test_peer_is_down(self, seller: Seller) -> None:
        """
        What can't be told at once is written, and owed.
        """
        seller.school.down = True
        assert (await seller.shop.bridge.revoke("p1")).changed
        row = seller.shop.row()
        assert (row.desired, row.accepted_version < row.version) == ("revoked", True)
        assert row.next_attempt_at is not None

    async def test_nothing_of_the_kind(self, seller: Seller) -> None:
        """
        What was never sold, or isn't held, is an error that says so.
        """
        bridge = seller.shop.bridge
        with pytest.raises(LookupError, match="nothing of the purchase p9 to revoke"):
            await bridge.revoke("p9")
        with pytest.raises(LookupError, match="nothing of the purchase p1 with the product x to revoke"):
            await bridge.revoke("p1", "x")
        with pytest.raises(LookupError, match="nothing of the purchase p1 to restore"):
            await bridge.restore("p1")


class TestEmitPurchaseChange:
    async def test_dispute(self, seller: Seller) -> None:
        """
        The app's own event of a dispute takes back and gives back what the app's database says.
        """
        await seller.shop.open(seller.settings, purchase_changed=CHANGES)
        seller.shop.change("p1", status="Disputed")
        seller.shop.environment.emit("purchase/disputed", {"purchaseId": "p1"})
        await seller.settle(MINUTES)
        assert seller.shop.row().desired == "revoked"
        seller.shop.change("p1", status="Valid")
        seller.shop.environment.emit("purchase/disputed", {"purchaseId": "p1"})
        await seller.settle(MINUTES)
        assert names(seller.school)[:3] == [BUNDLE_SOLD, REVOKE, BUNDLE_SOLD]
        run = seller.shop.environment.log.runs_of("emit-purchase-change")[0]
        assert run.steps == ["record", "send", "note accepted"]

    async def test_transfer(self, seller: Seller) -> None:
        """
        So does that of a transfer, whose id may stand elsewhere; the new buyer is told in one event.
        """
        await seller.shop.open(seller.settings, purchase_changed=CHANGES)
        seller.shop.change("p1", user_id="grace", email="grace@example.com")
        seller.shop.environment.emit("purchase/transferred", {"purchase": {"id": "p1"}})
        await seller.settle(MINUTES)
        assert names(seller.school)[:2] == [BUNDLE_SOLD, BUNDLE_SOLD]
        assert seller.shop.row().buyer_user_id == "grace"

    async def test_fails_for_good(self, seller: Seller) -> None:
        """
        What couldn't be sent for a day shows in the ledger.
        """
        await seller.shop.open(seller.settings, purchase_changed=CHANGES)
        seller.school.answer_next(400)
        seller.shop.change("p1", status="Disputed")
        seller.shop.environment.emit("purchase/disputed", {"purchaseId": "p1"})
        await seller.settle(timedelta(seconds=10))
        assert seller.shop.row().error_code == "not-sent"

    async def test_none_by_default(self, seller: Seller) -> None:
        """
        Without an event there is no such function.
        """
        ids = [function.local_id for function in seller.shop.bridge.functions]
        assert "emit-purchase-change" not in ids
        await seller.shop.open(seller.settings, purchase_changed=CHANGES)
        [changing] = [each for each in seller.shop.bridge.functions if each.local_id == "emit-purchase-change"]
        triggers = changing.get_config("https://shop.example").main.triggers
        assert [getattr(trigger, "event", None) for trigger in triggers] == [
            "purchase/disputed",
            "purchase/transferred",
        ]


class TestSweepPurchases:
    async def test_hourly(self, seller: Seller) -> None:
        """
        A refund that nobody told of reaches the granter by the two timetables.
        """
        seller.shop.change("p1", status="Refunded")
        for function in ("sweep-purchases", "reconcile-cross-app"):
            seller.shop.environment.run_cron(function)
            await seller.settle(MINUTES)
        assert names(seller.school)[:2] == [BUNDLE_SOLD, REVOKE]
        run = seller.shop.environment.log.runs_of("sweep-purchases")[0]
        assert (run.status, run.steps[:2], set(run.steps[1:])) == ("completed", ["begin", "sweep"], {"sweep"})
        assert seller.shop.row().reason == "refunded"

    async def test_nothing_outside_steps(self, seller: Seller) -> None:
        """
        The call that ends a run asks nothing of the database.
        """
        seller.shop.environment.lose(function="sweep-purchases", step=None, times=1)
        seller.shop.environment.run_cron("sweep-purchases")
        with seller.shop.counting() as statements:
            await seller.settle(timedelta(seconds=1))
            done = len(statements)
            await seller.settle(MINUTES)
        assert (len(seller.shop.environment.log.lost), len(statements)) == (1, done)
        assert seller.shop.environment.log.runs_of("sweep-purchases")[0].status == "completed"


class TestSyncEngine:
    def test_twins(self) -> None:
        """
        Each call has a twin for sync code.
        """
        calls = ("revoke", "restore", "plan_sweep", "release", "backfill")
        assert all(callable(getattr(tt.Bridge, f"{call}_sync")) for call in calls)
