from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crossapp_core.testing import LocalInngest
from tests.databases import open_database
from tests.together.apps import BUNDLE_SOLD, GRANTED, REVOKE, REVOKED, SHOP_KEY, metadata
from tests.together.world import World

LINKED = {"user_id": "ada", "email": "Ada@Example.com"}
UNLINKED = {"user_id": "bob", "email": "bob@example.com"}
GUEST = {"email": "Grace@Example.com "}

buyers = pytest.mark.parametrize(
    ("buyer", "status", "holder"),
    [(LINKED, "active", "ada-at-school"), (UNLINKED, "pending", None), (GUEST, "pending", None)],
    ids=["linked", "unlinked", "guest"],
)


class TestSale:
    @buyers
    async def test_buyer(self, any_world: World, buyer: dict[str, str], status: str, holder: str | None) -> None:
        """
        A sale unlocks for a buyer who is linked, and waits for any other under the buyer's ids.
        """
        world = any_world
        await world.sale("p1", **buyer)

        row, held = world.shop.row(), world.school.entitlement()
        assert (row.purchase_id, row.target_app, row.target_product_id) == ("p1", "ai-hero", "course")
        assert (row.status, row.desired, row.target_user_id) == ("synced", "granted", holder)
        assert (row.synced_at, row.sent_at, row.accepted_version) == (world.clock(), world.clock(), row.version)
        assert (held.status, held.user_id, held.source_app) == (status, holder, "total-typescript")
        assert held.source_user_id == row.buyer_user_id == buyer.get("user_id")
        assert held.pending_for_email == row.buyer_email == buyer["email"].strip().lower()
        assert world.school.opens("ada-at-school") is (holder is not None)
        world.assert_agreement()

    async def test_both_logs(self, any_world: World) -> None:
        """
        One event crosses the bridge and one comes back, each signed and with the peer's key, and each runs once.
        """
        world = any_world
        await world.sale("p1", **LINKED)

        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        [sold], [granted] = world.school.got(BUNDLE_SOLD), world.shop.got(GRANTED)
        version = world.shop.row().version
        assert {key: value for key, value in sold.items() if key != "proof"} == {
            "sourceApp": "total-typescript",
            "purchaseId": "p1",
            "productId": "course",
            "buyerEmail": "ada@example.com",
            "buyerUserId": "ada",
            "bundleProductId": "bundle",
            "version": version,
        }
        assert {key: value for key, value in granted.items() if key != "proof"} == {
            "sourceApp": "ai-hero",
            "sourcePurchaseId": "p1",
            "productId": "course",
            "entitlementId": world.school.entitlement().id,
            "userId": "ada-at-school",
            "status": "active",
            "version": version,
        }
        assert "proof" in sold
        assert "proof" in granted
        assert [event.key for event in world.shop.environment.log.events(GRANTED)] == [SHOP_KEY]
        runs = [*world.shop.runs, *world.school.runs]
        assert [(run.function_id, run.status, run.attempts, run.steps) for run in runs] == [
            ("emit-bundle-purchase", "completed", 1, ["record", "send", "note accepted"]),
            ("handle-entitlement-granted", "completed", 1, ["apply"]),
            ("handle-bundle-purchase", "completed", 1, ["grant", "acknowledge"]),
        ]

    async def test_several_components(self, world: World) -> None:
        """
        Each component of a bundle unlocks by itself.
        """
        world.shop.offer("bundle", metadata("course", "workshop"))
        world.school.teach("workshop")
        await world.sale("p1", **LINKED)

        assert [row.product_id for row in world.school.entitlements()] == ["course", "workshop"]
        assert world.school.opens("ada-at-school", "course")
        assert world.school.opens("ada-at-school", "workshop")
        world.assert_agreement()

    async def test_recorded_at_checkout(self, any_world: World) -> None:
        """
        A sale that the shop recorded in its own transaction is sent when its event comes, as it was recorded.
        """
        world = any_world
        world.shop.sell("p1", **LINKED)
        with world.shop.database.session() as session:
            world.shop.bridge.record(session, "p1")
        recorded = world.shop.row()
        assert (recorded.status, recorded.sent_at) == ("pending", None)

        world.shop.created("p1")
        await world.settle()
        assert world.shop.row().version == recorded.version
        assert world.school.entitlement().status == "active"
        world.assert_agreement()


class TestRefund:
    @buyers
    async def test_buyer(self, any_world: World, buyer: dict[str, str], status: str, holder: str | None) -> None:
        """
        A refund locks again, whoever bought; both sides keep their row.
        """
        world = any_world
        await world.sale("p1", **buyer)
        granted = world.shop.row()
        await world.refund("p1")

        row, held = world.shop.row(), world.school.entitlement()
        assert (row.status, row.desired, row.reason, row.revoked_at) == (
            "revoked",
            "revoked",
            "refunded",
            world.clock(),
        )
        assert (row.id, row.synced_at, row.version > granted.version) == (granted.id, granted.synced_at, True)
        assert (held.status, held.user_id) == ("revoked", holder)
        assert not world.school.opens("ada-at-school")
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1, REVOKE: 1, REVOKED: 1}
        assert world.shop.environment.log.failures == world.school.environment.log.failures == []
        world.assert_agreement()

    async def test_other_source_stands(self, world: World) -> None:
        """
        Who bought twice and gets one refund keeps the access of the other.
        """
        await world.sale("p1", **LINKED)
        await world.sale("p2", **LINKED)
        await world.refund("p1")

        assert [row.status for row in world.school.entitlements()] == ["revoked", "active"]
        assert world.school.opens("ada-at-school")
        world.assert_agreement()

    async def test_never_owned(self, world: World) -> None:
        """
        A purchase that was refunded before anybody heard of it leaves nothing on either side.
        """
        world.shop.sell("p1", status="Refunded", **LINKED)
        world.shop.refunded("p1")
        await world.settle()

        assert world.rows() == []
        assert world.crossed() == {}


class TestResale:
    async def test_new_purchase(self, any_world: World) -> None:
        """
        Who buys again after a refund has access by the new purchase; the old one stays revoked.
        """
        world = any_world
        await world.sale("p1", **LINKED)
        await world.refund("p1")
        await world.sale("p2", **LINKED)

        assert [(row.source_purchase_id, row.status) for row in world.school.entitlements()] == [
            ("p1", "revoked"),
            ("p2", "active"),
        ]
        assert world.school.opens("ada-at-school")
        world.assert_agreement()

    async def test_refund_undone(self, any_world: World) -> None:
        """
        A purchase whose refund was undone is granted anew, in the same rows at a higher version.
        """
        world = any_world
        await world.sale("p1", **LINKED)
        await world.refund("p1")
        revoked = world.shop.row()
        world.shop.change("p1", status="Valid")
        world.shop.created("p1")
        await world.settle()

        row = world.shop.row()
        assert (row.id, row.status, row.revoked_at, row.reason) == (revoked.id, "synced", None, None)
        assert row.version > revoked.version
        assert world.school.opens("ada-at-school")
        world.assert_agreement()

    async def test_transfer(self, world: World) -> None:
        """
        A purchase that changes hands goes from its first buyer's account to the second's.
        """
        world.school.link("bob-at-school", "bob")
        await world.sale("p1", **LINKED)
        world.shop.change("p1", **UNLINKED)
        world.shop.created("p1")
        await world.settle()

        assert (world.school.entitlement().user_id, world.shop.row().target_user_id) == (
            "bob-at-school",
            "bob-at-school",
        )
        assert not world.school.opens("ada-at-school")
        world.assert_agreement()


class TestSyncApps:
    async def test_sale_and_refund(self, local: LocalInngest, tmp_path: Path) -> None:
        """
        Two apps with sync engines, so with sync functions, come to the same.
        """
        with open_database("sqlite", tmp_path, "shop") as shop, open_database("sqlite", tmp_path, "school") as school:
            world = await World.open(local, shop, school, is_async=False)
            await world.sale("p1", **LINKED)
            assert world.school.opens("ada-at-school")
            world.assert_agreement()
            await world.refund("p1")
            assert not world.school.opens("ada-at-school")
            world.assert_agreement()
            assert not any(function.is_handler_async for function in world.shop.bridge.functions)
            runs = [*world.shop.environment.log.runs, *world.school.environment.log.runs]
            assert {(run.status, run.attempts) for run in runs} == {("completed", 1)}
            await world.close()


class TestGranterFunctions:
    async def test_ids_and_triggers(self, world: World) -> None:
        """
        The functions' ids and triggers, and how often they are tried: Inngest's memory hangs on the ids.
        """
        configs = [function.get_config("https://school.example").main for function in world.school.bridge.functions]
        triggers = {
            config.id: [
                getattr(trigger, "event", None) or getattr(trigger, "cron", None) for trigger in config.triggers
            ]
            for config in configs
        }
        assert triggers == {
            "school-handle-bundle-purchase": ["bundle/purchased"],
            "school-handle-revocation": ["entitlement/revoke"],
            "school-claim-pending-entitlements": ["account/linked"],
            "school-handle-account-unlinked": ["account/unlinked"],
            "school-handle-link-state": ["account/link-state"],
            "school-reconcile-cross-app": ["* * * * *"],
            "school-check-gone-users": ["17 3 * * *"],
        }
        for config in configs:
            attempts = 3 if config.id in ("school-reconcile-cross-app", "school-check-gone-users") else 20
            assert [step.retries and step.retries.attempts for step in config.steps.values()] == [attempts]
            options = config.batch_events, config.cancel, config.debounce, config.idempotency, config.rate_limit
            assert (options, config.singleton) == ((None,) * 5, None)

    async def test_steps(self, world: World) -> None:
        """
        The steps' ids, in their order: a run that a deployment interrupts goes on by them.
        """
        await world.sale("p1", **UNLINKED)
        await world.refund("p1")

        assert {run.function_id: run.steps for run in world.school.runs} == {
            "handle-bundle-purchase": ["grant", "look again", "acknowledge"],
            "handle-revocation": ["revoke", "acknowledge"],
        }

    @pytest.mark.parametrize("function", ["handle-bundle-purchase", "handle-revocation"])
    async def test_nothing_outside_steps(self, world: World, function: str) -> None:
        """
        The call that ends a run, with all steps behind it, asks nothing of the database and sends nothing.
        """
        world.school.environment.lose(function=function, step=None, times=3)
        world.shop.sell("p1", **UNLINKED)
        world.shop.created("p1")
        await world.settle(timedelta(seconds=10))
        if function == "handle-revocation":
            world.shop.change("p1", status="Refunded")
            world.shop.refunded("p1")
            await world.settle(timedelta(seconds=10))
        with world.school.counting() as statements:
            # the first repetition is due half a minute after the run would have ended
            received = len(world.shop.environment.log.received)
            await world.settle()

        assert len(world.school.environment.log.lost) == 3
        assert world.school.run(function).status == "completed"
        assert (statements, len(world.shop.environment.log.received) - received) == ([], 0)
