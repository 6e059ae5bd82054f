from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crossapp_core.testing import Kit, LocalInngest, SketchCounterpart
from crossapp_core.testing.log import ReceivedEvent
from crossapp_core.testing.peers.sketching import SketchGranter, SketchSeller
from crossapp_core.testing.routing import Router
from tests.databases import open_database
from tests.kit.deployed import SCHOOL, SHOP, open_school, open_shop


class TestPayloads:
    @pytest.fixture
    def received(self) -> list[ReceivedEvent]:
        """
        What the app gets.
        """
        return []

    @pytest.fixture
    def local(self) -> Iterator[LocalInngest]:
        """
        Environments without an app.
        """
        with LocalInngest() as local:
            yield local

    @pytest.fixture
    def peer(self, local: LocalInngest, received: list[ReceivedEvent]) -> SketchCounterpart:
        """
        A sketch peer of that app.
        """
        app, router = local.environment("app"), Router()
        router.add(app.url, "key", app)

        async def note(event: ReceivedEvent) -> None:
            received.append(event)

        app.subscribe(note)
        return SketchCounterpart(local.environment("peer"), target=app.url, key="key", transport=router)

    def test_sale(self, peer: SketchCounterpart, local: LocalInngest, received: list[ReceivedEvent]) -> None:
        """
        A sale has no source, version, proof, id or buyer's account; perhaps a linked one.
        """
        peer.sell("p1", "course", buyer_email="ada@example.com")
        peer.sell("p2", "course", buyer_email="bob@example.com", linked_user_id="bob")
        local.settle()

        sale = {"purchaseId": "p1", "productId": "course", "buyerEmail": "ada@example.com"}
        linked = {"purchaseId": "p2", "productId": "course", "buyerEmail": "bob@example.com", "linkedUserId": "bob"}
        assert [event.data for event in received] == [sale, linked]
        assert [(event.name, event.id) for event in received] == [("bundle/purchased", None)] * 2

    def test_refund(self, peer: SketchCounterpart, local: LocalInngest, received: list[ReceivedEvent]) -> None:
        """
        A refund says why, and perhaps of which product.
        """
        peer.sell("p1", "course", buyer_email="ada@example.com")
        peer.refund("p1")
        peer.refund("p1", product_id="course", reason="buyer was unhappy")
        local.settle()

        assert [event.data for event in received[1:]] == [
            {"purchaseId": "p1", "reason": "refunded"},
            {"purchaseId": "p1", "reason": "buyer was unhappy", "productId": "course"},
        ]
        assert [row.status for row in peer.ledger] == ["revoking"]

    def test_answers(self, peer: SketchCounterpart, local: LocalInngest, received: list[ReceivedEvent]) -> None:
        """
        Its answers are a purchase and an entitlement, and it doesn't know the library's own events.
        """
        purchase = {"purchaseId": "p1~5", "productId": "course", "buyerEmail": "ada@example.com", "version": 5}
        peer.environment.emit("bundle/purchased", purchase)
        peer.environment.emit("entitlement/failed", {"sourcePurchaseId": "p1~5"})
        peer.environment.emit("entitlement/revoke", {"purchaseId": "p1~5", "productId": "course"})
        local.settle()

        answer = {"sourcePurchaseId": "p1~5", "entitlementId": "ent_1"}
        assert [(event.name, event.data) for event in received] == [
            ("entitlement/granted", answer),
            ("entitlement/revoked", answer),
        ]

    def test_app_is_down(self, peer: SketchCounterpart, local: LocalInngest, received: list[ReceivedEvent]) -> None:
        """
        What couldn't be delivered is sent later.
        """
        peer.sell("p1", "course", buyer_email="ada@example.com")
        app = next(env for env in vars(local)["_environments"].values() if env.name == "app")
        app.down = True
        local.settle()
        assert received == []

        app.down = False
        peer.resume()
        local.settle()

        assert len(received) == 1


class TestGranter:
    def test_knows_no_versions(self) -> None:
        """
        It does what it is told in the order in which it is told: a revoke that comes too early does nothing.
        """
        granter = SketchGranter()
        sale = {"purchaseId": "p1", "productId": "course", "buyerEmail": "ada@example.com", "linkedUserId": "ada"}

        assert granter.receive("entitlement/revoke", {"purchaseId": "p1"}) == []
        granter.receive("bundle/purchased", sale)
        granter.receive("bundle/purchased", sale)

        assert [(row.status, row.user_id) for row in granter.rows] == [("active", "ada")]
        granter.receive("entitlement/revoke", {"purchaseId": "p1"})
        granter.receive("bundle/purchased", sale)
        assert [row.status for row in granter.rows] == ["revoked"]


class TestSeller:
    def test_late_answer(self) -> None:
        """
        An answer to a sale that was taken back since changes nothing, and one about another sale neither.
        """
        seller = SketchSeller()
        seller.sell("p1", "course", email="ada@example.com", linked_user_id=None)
        seller.refund("p1", product_id=None, reason="refunded")

        seller.receive("entitlement/granted", {"sourcePurchaseId": "p1", "entitlementId": "ent_1"})
        seller.receive("entitlement/revoked", {"sourcePurchaseId": "p2", "entitlementId": "ent_2"})

        assert [(row.status, row.entitlement_id) for row in seller.rows] == [("revoking", None)]


class TestWithApps:
    def test_granter(self, crossapp: Kit, tmp_path: Path) -> None:
        """
        A shop sells to a sketch granter, refunds, and sells the same again: another purchase there.
        """
        with open_database("sqlite", tmp_path) as database:
            shop = open_shop(database, sketch=True)
            seller = crossapp.app(shop.app, shop.bridge)
            school = crossapp.peer(SCHOOL, sketch=True)

            seller.emit("purchase/created", {"purchaseId": shop.buy()})
            crossapp.settle()
            assert [row.status for row in school.entitlements] == ["pending"]
            assert (shop.row.status, shop.row.target_entitlement_id) == ("synced", "ent_1")
            assert school.entitlements[0].source_purchase_id == f"p1~{shop.row.version}"

            seller.emit("purchase/refunded", {"purchaseId": shop.refund()})
            crossapp.settle()
            assert [row.status for row in school.entitlements] == [shop.row.status] == ["revoked"]

    def test_seller(self, crossapp: Kit, tmp_path: Path) -> None:
        """
        A sketch seller sells a course of the school and takes it back.
        """
        with open_database("sqlite", tmp_path) as database:
            school = open_school(database, sketch=True)
            granter = crossapp.app(school.app, school.bridge)
            shop = crossapp.peer(SHOP, sketch=True)

            shop.sell("p1", "course", buyer_email="ada@example.com")
            crossapp.settle()
            assert [run.status for run in granter.log.runs] == ["completed"], crossapp.story()
            [held] = [row for row in school.entitlements if row.product_id]
            assert (held.status, held.pending_for_email) == ("pending", "ada@example.com")
            assert [(row.status, row.entitlement_id) for row in shop.ledger] == [("synced", held.id)]

            shop.refund("p1")
            crossapp.settle()
            assert [row.status for row in school.entitlements if row.product_id] == ["revoked"]
            assert [row.status for row in shop.ledger] == ["revoked"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("entitlement/failed", "event: entitlement/failed came from ai-hero, a sketch peer, which sends none"),
            ("entitlement/granted", "schema: the data of entitlement/granted: entitlementId: Field required"),
        ],
    )
    def test_answer_that_is_none(self, crossapp: Kit, tmp_path: Path, name: str, reason: str) -> None:
        """
        An answer that says too little, or that a sketch granter doesn't know, is refused and changes nothing.
        """
        with open_database("sqlite", tmp_path) as database:
            shop = open_shop(database, sketch=True)
            seller = crossapp.app(shop.app, shop.bridge)
            crossapp.peer(SCHOOL, sketch=True)
            seller.emit("purchase/created", {"purchaseId": shop.buy()})
            crossapp.settle()
            before = shop.row.model_dump()

            seller.environment.emit(name, {"sourcePurchaseId": f"p1~{shop.row.version}"})
            crossapp.settle()

            [failed] = seller.log.failures
            assert failed.error is not None
            assert failed.error.message.endswith(reason)
            assert shop.row.model_dump() == before
