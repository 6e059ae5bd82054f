from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import crossapp_tt as tt
from tests.together.apps import BUNDLE_SOLD, REVOKE, metadata
from tests.tt.deployed import ADA, Seller, names, opened


@pytest.fixture
async def seller(tmp_path: Path) -> AsyncIterator[Seller]:
    """
    A seller on SQLite.
    """
    async with opened("sqlite", tmp_path) as seller:
        yield seller


class TestHostEvents:
    @pytest.mark.parametrize("purchase_id", ["7", 7])
    async def test_nested(self, seller: Seller, purchase_id: object) -> None:
        """
        The app's own names of events count, and the id may stand deeper down, as text or as a number.
        """
        await seller.shop.open(
            seller.settings,
            purchase_created=tt.HostEvent("commerce/new-purchase-created", purchase_id="purchase.id"),
            purchase_refunded=tt.HostEvent("stripe/refund-processed", purchase_id="object.metadata.purchaseId"),
        )
        seller.shop.offer("bundle", metadata("course"))
        seller.shop.sell("7", **ADA)
        seller.shop.environment.emit("commerce/new-purchase-created", {"purchase": {"id": purchase_id}})
        seller.shop.created("7")
        await seller.settle()
        assert [run.event.name for run in seller.shop.runs] == ["commerce/new-purchase-created"]
        assert (seller.shop.row().purchase_id, names(seller.school)) == ("7", [BUNDLE_SOLD])

        seller.shop.change("7", status="Refunded")
        refund = {"object": {"metadata": {"purchaseId": purchase_id}}}
        seller.shop.environment.emit("stripe/refund-processed", refund)
        await seller.settle()
        assert names(seller.school) == [BUNDLE_SOLD, REVOKE]

    async def test_charge(self, seller: Seller) -> None:
        """
        An event may name the charge instead of the purchase.
        """
        await seller.shop.open(
            seller.settings,
            purchase_refunded=tt.HostEvent("refund/processed", purchase_id=None, charge_id="stripeChargeId"),
        )
        seller.shop.offer("bundle", metadata("course"))
        seller.shop.sell("p1", charge_id="ch_1", **ADA)
        seller.shop.sell("p2", charge_id="ch_2", **ADA)
        seller.shop.created("p1")
        seller.shop.created("p2")
        await seller.settle()
        seller.shop.change("p1", status="Refunded")
        seller.shop.environment.emit("refund/processed", {"stripeChargeId": "ch_1", "purchaseId": "p2"})
        await seller.settle()

        assert [(row.purchase_id, row.desired) for row in seller.shop.ledger()] == [
            ("p1", "revoked"),
            ("p2", "granted"),
        ]

    async def test_purchase_before_charge(self, seller: Seller) -> None:
        """
        Where an event may name either, the purchase counts if it is there.
        """
        trigger = tt.HostEvent("purchase/created", charge_id="chargeId")
        await seller.shop.open(seller.settings, purchase_created=trigger)
        seller.shop.offer("bundle", metadata("course"))
        seller.shop.sell("p1", charge_id="ch_1", **ADA)
        seller.shop.sell("p2", charge_id="ch_2", **ADA)
        seller.shop.environment.emit("purchase/created", {"purchaseId": "p1", "chargeId": "ch_2"})
        await seller.settle()
        assert [row.purchase_id for row in seller.shop.ledger()] == ["p1"]

        seller.shop.environment.emit("purchase/created", {"purchaseId": None, "chargeId": "ch_2"})
        await seller.settle()
        assert [row.purchase_id for row in seller.shop.ledger()] == ["p1", "p2"]

    async def test_unknown_charge(self, seller: Seller) -> None:
        """
        A charge that no purchase has, perhaps not yet, is looked for again, and nothing comes of it.
        """
        trigger = tt.HostEvent("purchase/refunded", purchase_id=None, charge_id="chargeId")
        await seller.shop.open(seller.settings, purchase_refunded=trigger)
        seller.shop.environment.emit("purchase/refunded", {"chargeId": "ch_9"})
        await seller.settle()

        run = seller.shop.run("emit-revocation")
        assert (run.status, run.attempts, seller.shop.ledger()) == ("failed", 21, [])
        assert seller.shop.run("emit-revocation-failure").status == "completed"

    @pytest.mark.parametrize("id_", [None, "", True, 1.5, ["p1"], {"id": "p1"}])
    async def test_no_id(self, seller: Seller, id_: object) -> None:
        """
        An event without an id fails once, for good, and says where one was looked for.
        """
        seller.shop.environment.emit("purchase/created", {"purchase_id": "p1", "purchaseId": id_})
        await seller.settle()

        run = seller.shop.run("emit-bundle-purchase")
        assert (run.status, run.attempts) == ("failed", 1)
        assert run.error is not None
        assert run.error.message == (
            "host-event: the event purchase/created has no purchaseId in its data: tell the bridge where the id stands"
        )
        assert seller.shop.run("emit-bundle-purchase-failure").status == "completed"
        assert seller.shop.ledger() == []

    async def test_neither_id(self, seller: Seller) -> None:
        """
        Where both were looked for, both are named.
        """
        trigger = tt.HostEvent("purchase/created", purchase_id="purchase.id", charge_id="charge.id")
        await seller.shop.open(seller.settings, purchase_created=trigger)
        seller.shop.environment.emit("purchase/created", {"purchase": "p1", "charge": []})
        await seller.settle()

        run = seller.shop.run("emit-bundle-purchase")
        assert run.error is not None
        assert "has no purchase.id and no charge.id in its data" in run.error.message
