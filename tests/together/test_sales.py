from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import col

import crossapp_tt as tt
from tests.hosts import ShopPurchase
from tests.together.apps import metadata
from tests.together.world import ADA, World

CHANGED = "purchase/changed"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def changing(world: World) -> World:
    """
    Both apps; the shop knows disputes, and tells of what changes.
    """
    status = col(ShopPurchase.status)
    sold = tt.TablePurchases(ShopPurchase, owned=status.in_(["Valid", "Restricted"]), disputed=status == "Disputed")
    await world.shop.open(world.shop_settings, purchases=sold, purchase_changed=(tt.HostEvent(CHANGED),))
    world.school.link("bob-at-school", "bob")
    return world


async def change(world: World, purchase: str, **fields: str | None) -> None:
    """
    Change a purchase in the shop, which tells of it.
    """
    world.shop.change(purchase, **fields)
    world.shop.environment.emit(CHANGED, {"purchaseId": purchase})
    await world.settle()


def opened(world: World) -> set[str]:
    """
    For whom the course is open.
    """
    return {user for user in ("ada-at-school", "bob-at-school") if world.school.opens(user)}


class TestDispute:
    async def test_won(self, changing: World) -> None:
        """
        A dispute locks what was sold, and one that is won unlocks it again, by a higher version each time.
        """
        await changing.sale("p1", **ADA)
        versions = [changing.shop.row().version]
        await change(changing, "p1", status="Disputed")
        assert (opened(changing), changing.shop.row().reason) == (set(), "disputed")
        versions.append(changing.shop.row().version)
        await change(changing, "p1", status="Valid")
        versions.append(changing.shop.row().version)

        assert opened(changing) == {"ada-at-school"}
        assert versions == sorted(set(versions))
        changing.assert_agreement()

    async def test_lost(self, changing: World) -> None:
        """
        One that is lost leaves it locked.
        """
        await changing.sale("p1", **ADA)
        await change(changing, "p1", status="Disputed")
        await change(changing, "p1", status="Refunded")

        assert opened(changing) == set()
        changing.assert_agreement()


class TestTransfer:
    async def test_to_a_linked_buyer(self, changing: World) -> None:
        """
        What is given to somebody else is theirs, and no longer its first buyer's.
        """
        await changing.sale("p1", **ADA)
        await change(changing, "p1", user_id="bob", email="bob@example.com")

        assert opened(changing) == {"bob-at-school"}
        changing.assert_agreement()

    async def test_to_somebody_unknown(self, changing: World) -> None:
        """
        It waits for a new buyer without a link, and is nobody's until then.
        """
        await changing.sale("p1", **ADA)
        await change(changing, "p1", user_id="cleo", email="cleo@example.com")
        assert (opened(changing), changing.school.entitlement().status) == (set(), "pending")

        changing.school.link("cleo-at-school", "cleo")
        await changing.live(MINUTE)
        assert changing.school.opens("cleo-at-school")
        changing.assert_agreement()


class TestUnion:
    @pytest.mark.parametrize("bundles", [("bundle", "bundle"), ("bundle", "bigger")], ids=["same", "overlapping"])
    async def test_one_refunded(self, changing: World, bundles: tuple[str, str]) -> None:
        """
        The same product that was bought twice, or in two bundles, stays open until both are refunded.
        """
        changing.school.teach("other")
        changing.shop.offer("bigger", metadata("course", "other"))
        for purchase, product in zip(("p1", "p2"), bundles, strict=True):
            changing.shop.sell(purchase, product=product, **ADA)
            changing.shop.created(purchase)
        await changing.settle()
        await changing.refund("p1")
        assert opened(changing) == {"ada-at-school"}

        await changing.refund("p2")
        assert opened(changing) == set()
        changing.assert_agreement()

    async def test_bought_again(self, changing: World) -> None:
        """
        Who buys once more after a refund has it by the new purchase; the old one stays locked.
        """
        await changing.sale("p1", **ADA)
        await changing.refund("p1")
        await changing.sale("p2", **ADA)

        assert opened(changing) == {"ada-at-school"}
        assert [row.status for row in changing.school.entitlements()] == ["revoked", "active"]


class TestByHand:
    async def test_revoke_and_restore(self, changing: World) -> None:
        """
        What an operator takes back stays so, whatever the shop records and sweeps, until the operator gives it back.
        """
        await changing.sale("p1", **ADA)
        await changing.shop.bridge.revoke("p1")
        await changing.settle()
        assert (opened(changing), changing.shop.row().reason) == (set(), "manual")
        changing.shop.created("p1")
        changing.shop.environment.run_cron("sweep-purchases")
        await changing.settle()
        assert opened(changing) == set()

        await changing.shop.bridge.restore("p1")
        await changing.settle()
        assert opened(changing) == {"ada-at-school"}
        changing.assert_agreement()


class TestSweep:
    async def test_silent_changes(self, changing: World) -> None:
        """
        What support changes by SQL reaches the school by the sweep: a refund, a transfer, a deletion.
        """
        for purchase in ("p1", "p2", "p3", "p4"):
            await changing.sale(purchase, **ADA)
        changing.shop.change("p1", status="Refunded")
        changing.shop.change("p2", user_id="bob", email="bob@example.com")
        with changing.shop.database.session() as session:
            session.delete(session.get_one(ShopPurchase, "p3"))
        changing.shop.environment.run_cron("sweep-purchases")
        await changing.settle()
        assert changing.shop.run("sweep-purchases").output == {"missed-refund": 1, "transferred": 1, "deleted": 1}
        await changing.live(2 * MINUTE)

        held = {row.source_purchase_id: (row.status, row.user_id) for row in changing.school.entitlements()}
        assert {key: status for key, (status, _) in held.items()} == {
            "p1": "revoked",
            "p2": "active",
            "p3": "revoked",
            "p4": "active",
        }
        assert (held["p2"][1], held["p4"][1]) == ("bob-at-school", "ada-at-school")
        changing.assert_agreement()


class TestFailure:
    async def test_made_later(self, world: World) -> None:
        """
        A product that the school doesn't have is a problem with a name; once somebody makes it, all heals by itself.
        """
        world.shop.offer("odd", metadata("nowhere"))
        world.shop.sell("p1", product="odd", **ADA)
        world.shop.created("p1")
        await world.settle()
        row = world.shop.row()
        assert (row.status, row.error_code) == ("failed", "unknown-product")
        assert [(problem.code, problem.ids, problem.peer) for problem in world.shop.problems] == [
            ("unknown-product", ("p1",), "ai-hero")
        ]

        world.school.teach("nowhere")
        await world.live(5 * MINUTE)
        assert world.school.opens("ada-at-school", "nowhere")
        world.assert_agreement()
