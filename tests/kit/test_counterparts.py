from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crossapp_core import UnknownPeerError
from crossapp_core.testing import Kit, LocalInngestError, PeerRejectedError
from tests.databases import open_database
from tests.kit.deployed import SCHOOL, SHOP, School, Shop, open_school

OTHER = "epic-web"


class TestGranter:
    def test_waits_for_its_buyer(self, crossapp: Kit, shop: Shop) -> None:
        """
        What a stranger bought is pending, and the shop hears of it.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)

        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()

        [row] = school.entitlements
        assert (row.source_app, row.purchase_id, row.product_id) == (SHOP, "p1", "course")
        assert (row.status, row.user_id, row.buyer_email) == ("pending", None, "ada@example.com")
        assert (shop.row.status, shop.row.target_entitlement_id) == ("synced", row.id)
        assert shop.row.version == row.version
        assert "ada@example.com" not in repr(row)

    @pytest.mark.parametrize("first", [True, False], ids=["linked before", "linked later"])
    def test_linked_buyer(self, crossapp: Kit, shop: Shop, *, first: bool) -> None:
        """
        A buyer with an account there gets in, whether that was known before the sale or is afterwards.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        if first:
            school.link("ada", "ada-at-school")
        seller.emit("purchase/created", {"purchaseId": shop.buy(user_id="ada")})
        crossapp.settle()
        if not first:
            assert shop.row.target_user_id is None
            school.link("ada", "ada-at-school")
            crossapp.settle()

        assert [(row.status, row.user_id) for row in school.entitlements] == [("active", "ada-at-school")]
        assert (shop.row.status, shop.row.target_user_id) == ("synced", "ada-at-school")

    def test_refund(self, crossapp: Kit, shop: Shop) -> None:
        """
        A refund takes it back.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()

        seller.emit("purchase/refunded", {"purchaseId": shop.refund()})
        crossapp.settle()

        assert [row.status for row in school.entitlements] == [shop.row.status] == ["revoked"]

    def test_unknown_product(self, crossapp: Kit, shop: Shop) -> None:
        """
        A product that there isn't is answered as the failure that it is.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        school.products = {"another course"}
        assert school.products == {"another course"}

        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()

        assert school.entitlements == []
        assert (shop.row.status, shop.row.error_code) == ("failed", "unknown-product")

    def test_faults_on_the_way(self, crossapp: Kit, shop: Shop) -> None:
        """
        Events that are duplicated and overtake each other on their way lead to the same end.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        school.environment.duplicate("*", times=2)
        school.environment.hold()
        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()
        seller.emit("purchase/refunded", {"purchaseId": shop.refund()})
        crossapp.settle()
        assert school.entitlements == []

        school.environment.release()
        crossapp.settle()

        assert [row.status for row in school.entitlements] == [shop.row.status] == ["revoked"]

    def test_app_was_down(self, crossapp: Kit, shop: Shop) -> None:
        """
        An answer that the app's Inngest doesn't take is sent again when the test settles next.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        crossapp.peer(SCHOOL)
        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        seller.environment.down = True
        crossapp.settle()
        assert shop.row.status == "pending"

        seller.environment.down = False
        crossapp.settle()

        assert shop.row.status == "synced"

    def test_lost_answer(self, crossapp: Kit, shop: Shop) -> None:
        """
        An answer that is lost comes again when the shop's event does.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        seller.environment.drop("entitlement/granted")
        seller.emit("purchase/created", {"purchaseId": shop.buy()})
        crossapp.settle()
        assert (shop.row.status, len(school.entitlements)) == ("pending", 1)
        assert "dropped entitlement/granted" in crossapp.story()

        crossapp.clock.advance(timedelta(days=1))
        seller.emit("purchase/created", {"purchaseId": "p1"})
        crossapp.settle()

        assert (shop.row.status, len(school.entitlements)) == ("synced", 1)


class TestSeller:
    def test_sells(self, crossapp: Kit, school: School) -> None:
        """
        What the counterpart sells is granted by the app, and the counterpart hears of it.
        """
        crossapp.app(school.app, school.bridge)
        shop = crossapp.peer(SHOP)

        shop.sell("p1", "course", buyer_email="ada@example.com", buyer_user_id="ada")
        assert [row.status for row in shop.ledger] == ["pending"]
        crossapp.settle()

        [row] = shop.ledger
        [held] = school.entitlements
        assert (row.target_app, row.desired, row.status, row.entitlement_id) == (SCHOOL, "granted", "synced", held.id)
        assert (held.status, held.source_user_id, held.pending_for_email) == ("pending", "ada", "ada@example.com")
        assert row.version == held.source_version == int(crossapp.clock().timestamp() * 1000)
        assert "ada@example.com" not in repr(row)

    def test_refunds(self, crossapp: Kit, school: School) -> None:
        """
        A refund is a new version, above the first though no time has passed, and is sent once.
        """
        crossapp.app(school.app, school.bridge)
        shop = crossapp.peer(SHOP)
        shop.sell("p1", "course", buyer_email="ada@example.com")
        shop.refund("p1", reason="disputed")
        shop.refund("p1")
        crossapp.settle()

        assert [row.status for row in school.entitlements] == [row.status for row in shop.ledger] == ["revoked"]
        assert shop.ledger[0].version == int(crossapp.clock().timestamp() * 1000) + 1

    def test_refunds_nothing(self, crossapp: Kit, school: School) -> None:
        """
        What was never sold can't be refunded.
        """
        crossapp.app(school.app, school.bridge)

        with pytest.raises(LocalInngestError, match="total-typescript has sold nothing as 'p9'"):
            crossapp.peer(SHOP).refund("p9")

    def test_unknown_product(self, crossapp: Kit, school: School) -> None:
        """
        What the app doesn't have fails in the counterpart's ledger.
        """
        crossapp.app(school.app, school.bridge)
        shop = crossapp.peer(SHOP)

        shop.sell("p1", "no-course", buyer_email="ada@example.com")
        crossapp.settle()

        assert [(row.status, row.error_code) for row in shop.ledger] == [("failed", "unknown-product")]

    def test_reconciles(self, crossapp: Kit, school: School) -> None:
        """
        An event that was lost is sent again, as another attempt, when the counterpart reconciles.
        """
        granter = crossapp.app(school.app, school.bridge)
        shop = crossapp.peer(SHOP)
        assert repr(granter) + repr(shop) == "<TestedApp 'ai-hero'><Counterpart 'total-typescript'>"
        granter.environment.drop("bundle/purchased")
        shop.sell("p1", "course", buyer_email="ada@example.com")
        crossapp.settle()
        assert school.entitlements == []

        shop.reconcile()
        crossapp.settle()
        shop.reconcile()
        crossapp.settle()

        assert [row.status for row in shop.ledger] == ["synced"]
        [event] = granter.log.events("bundle/purchased")
        assert (event.id or "").endswith(":a1")


class TestTwoApps:
    def test_one_counterpart(self, crossapp: Kit, school: School, tmp_path: Path) -> None:
        """
        A counterpart is the peer of all apps that have it in their settings, with the secret of each.
        """
        with open_database("sqlite", tmp_path, "other") as database:
            other = open_school(database, app_id=OTHER, secret="another secret, of the shop and the other school")
            crossapp.app(school.app, school.bridge)
            crossapp.app(other.app, other.bridge)
            shop = crossapp.peer(SHOP)

            shop.sell("p1", "course", app=SCHOOL, buyer_email="ada@example.com")
            shop.sell("p1", "course", app=OTHER, buyer_email="ada@example.com")
            crossapp.settle()

            assert [(row.target_app, row.status) for row in shop.ledger] == [(SCHOOL, "synced"), (OTHER, "synced")]
            assert len(school.entitlements) == len(other.entitlements) == 1
            with pytest.raises(LocalInngestError, match="is a peer of ai-hero and epic-web: say which, by app="):
                shop.sell("p2", "course")
            with pytest.raises(UnknownPeerError):
                shop.link("ada", "ada-here", app="nobody")

    def test_sketch(self, crossapp: Kit, tmp_path: Path) -> None:
        """
        A sketch peer says to nobody who it is, so it can't be that of two apps.
        """
        with open_database("sqlite", tmp_path, "one") as one, open_database("sqlite", tmp_path, "two") as two:
            for database, app_id in ((one, SCHOOL), (two, OTHER)):
                made = open_school(database, app_id=app_id, sketch=True)
                crossapp.app(made.app, made.bridge)

            with pytest.raises(LocalInngestError, match="total-typescript is a sketch peer of 2 apps"):
                crossapp.peer(SHOP, sketch=True)


class TestRejected:
    def test_other_secret(self, crossapp: Kit, shop: Shop) -> None:
        """
        A counterpart with another secret refuses what the app signs, and settling says so once.
        """
        seller = crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL, secret="another secret than the one of the app")
        seller.emit("purchase/created", {"purchaseId": shop.buy()})

        with pytest.raises(PeerRejectedError, match=r"ai-hero refused bundle/purchased: .*the same secret\?"):
            crossapp.settle()

        crossapp.settle()
        assert [rejection.error.reason for rejection in school.rejected] == ["signature"]
        assert school.entitlements == []
        assert "ai-hero refused bundle/purchased" in crossapp.story()

    def test_app_refuses_too(self, crossapp: Kit, school: School) -> None:
        """
        And the app refuses what that one signs.
        """
        granter = crossapp.app(school.app, school.bridge)
        shop = crossapp.peer(SHOP, secret="another secret than the one of the app")
        shop.sell("p1", "course", buyer_email="ada@example.com")

        crossapp.settle()

        assert school.entitlements == []
        assert [run.status for run in granter.log.runs_of("handle-bundle-purchase")] == ["failed"]
        assert "ran handle-bundle-purchase: failed: " in crossapp.story()

    async def test_forged(self, crossapp: Kit, shop: Shop) -> None:
        """
        What nobody signed is refused; events of other names are none of its business.
        """
        crossapp.app(shop.app, shop.bridge)
        school = crossapp.peer(SCHOOL)
        school.environment.emit("bundle/purchased", {"sourceApp": SHOP, "purchaseId": "p1", "productId": "course"})
        school.environment.emit("user/login", {"userId": "ada"})

        with pytest.raises(PeerRejectedError):
            await crossapp.asettle()

        assert (school.app_id, len(school.log.received), len(school.rejected)) == (SCHOOL, 2, 1)
