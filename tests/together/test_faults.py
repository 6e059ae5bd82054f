from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from crossapp_ah.models import Entitlement
from crossapp_core import proofs
from crossapp_core.columns import table_of
from crossapp_core.events import BundlePurchased
from crossapp_tt.models import CrossAppSync
from tests.together.apps import BUNDLE_SOLD, FAILED, GRANTED, GRANTER, REVOKE, REVOKED, SELLER, metadata
from tests.together.forging import Data, signed
from tests.together.world import ADA, BOB, World

HOUR = timedelta(hours=1)
ONCE = {BUNDLE_SOLD: 1, GRANTED: 1, REVOKE: 1, REVOKED: 1}


class TestDuplicates:
    async def test_same_id(self, any_world: World) -> None:
        """
        However often events come under their ids, there is one entitlement, and one answer.
        """
        world = any_world
        await world.sale("p1", **ADA)
        rows = world.rows()
        for _ in range(9):
            world.school.repeat(BUNDLE_SOLD)
            world.shop.repeat(GRANTED)
        await world.settle()

        assert world.rows() == rows
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        assert len(world.school.runs) == 1

    async def test_after_25_hours(self, any_world: World) -> None:
        """
        Events that come again when Inngest has forgotten their ids change no row, not even a time in it.
        """
        world = any_world
        await world.sale("p1", **ADA)
        await world.refund("p1")
        await world.sale("p2", **BOB)
        rows = world.rows()
        world.clock.advance(25 * HOUR)
        for name in (REVOKE, BUNDLE_SOLD):
            world.school.repeat(name)
        for name in (REVOKED, GRANTED):
            world.shop.repeat(name)
        await world.settle()

        assert world.rows() == rows
        assert len(world.school.environment.log.runs_of("handle-bundle-purchase")) == 4
        assert len(world.school.environment.log.runs_of("handle-revocation")) == 2
        world.assert_agreement()

    async def test_another_attempt(self, world: World) -> None:
        """
        Another attempt at the same version is answered again, with what is stored.
        """
        await world.sale("p1", **ADA)
        rows, version = world.rows(), world.shop.row().version
        event = BundlePurchased(source_app=SELLER, purchase_id="p1", product_id="course", version=version)
        world.send_to_school(event, id=event.event_id(attempt=1))
        await world.settle()

        assert world.rows() == rows
        assert [event["version"] for event in world.shop.got(GRANTED)] == [version, version]

    async def test_host_event_repeated(self, any_world: World) -> None:
        """
        Ten events of one sale, all under way at once, send one event to the peer.
        """
        world = any_world
        world.shop.sell("p1", **ADA)
        for _ in range(10):
            world.shop.created("p1")
        await world.settle()

        assert [run.status for run in world.shop.environment.log.runs_of("emit-bundle-purchase")] == ["completed"] * 10
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        world.assert_agreement()

    async def test_host_event_late(self, world: World) -> None:
        """
        The event of a sale that comes again when all is done sends nothing.
        """
        await world.sale("p1", **ADA)
        rows = world.rows()
        world.clock.advance(25 * HOUR)
        world.shop.created("p1")
        await world.settle()

        assert world.rows() == rows
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}


class TestOrder:
    async def test_revoke_before_purchase(self, any_world: World) -> None:
        """
        A grant that arrives after its own revocation gives no access, and the answer to it changes nothing.
        """
        world = any_world
        world.shop.network.hold(BUNDLE_SOLD)
        await world.sale("p1", **ADA)
        await world.refund("p1")
        assert [row.status for row in world.school.entitlements()] == ["revoked"]
        rows = world.rows()

        world.shop.network.release()
        await world.settle()
        assert world.rows() == rows
        assert not world.school.opens("ada-at-school")
        assert world.shop.row().status == "revoked"
        assert world.crossed() == {BUNDLE_SOLD: 1, REVOKE: 1, REVOKED: 2}
        world.assert_agreement()

    async def test_revoked_before_granted(self, any_world: World) -> None:
        """
        The answer to a grant that arrives after that to its revocation is ignored.
        """
        world = any_world
        world.school.network.hold(GRANTED)
        await world.sale("p1", **ADA)
        await world.refund("p1")
        rows = world.rows()
        assert (world.shop.row().status, world.shop.row().synced_at) == ("revoked", None)

        world.school.network.release()
        await world.settle()
        assert world.rows() == rows
        assert world.crossed() == ONCE
        world.assert_agreement()

    async def test_sale_refund_sale(self, world: World) -> None:
        """
        Three versions that arrive last first end as the last.
        """
        world.shop.network.hold(BUNDLE_SOLD)
        world.shop.network.hold(REVOKE)
        await world.sale("p1", **ADA)
        await world.refund("p1")
        world.shop.change("p1", status="Valid")
        world.shop.created("p1")
        await world.settle()
        world.shop.network.release(backwards=True)
        await world.settle()

        assert world.school.opens("ada-at-school")
        world.assert_agreement()


class TestLostMemory:
    async def test_answer_without_row(self, any_world: World) -> None:
        """
        A seller that has lost a row writes it above the version that it is answered with, and sends it.
        """
        world = any_world
        world.school.network.hold(GRANTED)
        await world.sale("p1", **ADA)
        lost = forget(world)
        world.school.network.release()
        await world.settle()

        row = world.shop.row()
        assert (row.id, row.status, row.version) == (lost.id, "synced", lost.version + 1)
        assert row.accepted_version == row.version
        assert world.crossed() == {BUNDLE_SOLD: 2, GRANTED: 2}
        assert world.school.opens("ada-at-school")
        world.assert_agreement()

    async def test_answer_for_refunded(self, world: World) -> None:
        """
        If the purchase isn't owned any more, what is written anew is a revocation.
        """
        world.school.network.hold(GRANTED)
        await world.sale("p1", **ADA)
        forget(world)
        world.shop.change("p1", status="Refunded")
        world.school.network.release()
        await world.settle()

        assert world.shop.row().status == "revoked"
        assert not world.school.opens("ada-at-school")
        world.assert_agreement()

    async def test_restored_backup(self, world: World) -> None:
        """
        A ledger from before a refund learns of it from the answer to what it sends.
        """
        await world.sale("p1", **ADA)
        backup = world.shop.row()
        await world.refund("p1")
        with world.shop.database.session() as session:
            session.delete(session.get_one(CrossAppSync, backup.id))
            session.flush()
            session.add(CrossAppSync(**{**backup.model_dump(), "status": "pending"}))
        world.clock.advance(25 * HOUR)
        world.shop.repeat(REVOKED)
        await world.settle()

        assert world.shop.row().status == "revoked"
        world.assert_agreement()

    @pytest.mark.parametrize("step", ["apply", "send", "note accepted", None])
    async def test_crash(self, world: World, step: str | None) -> None:
        """
        A process that dies while it tells the granter anew tells it all the same.
        """
        world.school.network.hold(GRANTED)
        await world.sale("p1", **ADA)
        lost = forget(world)
        world.shop.environment.lose(function="handle-entitlement-granted", step=step)
        world.school.network.release()
        await world.settle()

        assert [answer.step for answer in world.shop.environment.log.lost] == [step]
        assert (world.shop.row().status, world.shop.row().version) == ("synced", lost.version + 1)
        assert world.crossed() == {BUNDLE_SOLD: 2, GRANTED: 2}
        world.assert_agreement()


def forget(world: World) -> CrossAppSync:
    with world.shop.database.session() as session:
        row = session.get_one(CrossAppSync, world.shop.row().id)
        session.delete(row)
        return row


class TestStorage:
    @pytest.mark.parametrize(("app", "model"), [("shop", CrossAppSync), ("school", Entitlement)])
    async def test_table_missing(self, any_world: World, app: str, model: type[SQLModel]) -> None:
        """
        While a table is missing, the runs say so and are tried again; once it is there, they go on.
        """
        world, table = any_world, table_of(model)
        database = world.app(app).database
        table.drop(database.engine)
        world.shop.sell("p1", **ADA)
        world.shop.created("p1")
        await world.settle(HOUR)
        assert all("a table is missing" in error for error in world.app(app).reported)
        assert "ada@example.com" not in str(world.app(app).reported)

        table.create(database.engine)
        await world.settle()
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        world.assert_agreement()

    async def test_server_gone(self, world: World, tmp_path: Path) -> None:
        """
        While the granter's database can't be reached, its runs are tried again.
        """
        await world.school.open(
            world.school_settings, engine=create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/gone/school.db")
        )
        world.shop.sell("p1", **ADA)
        world.shop.created("p1")
        await world.settle(6 * HOUR)
        assert "grant was rolled back: OperationalError" in world.school.reported[0]

        await world.school.open(world.school_settings)
        await world.settle()
        world.assert_agreement()


class TestPoison:
    async def test_broken_event(self, world: World) -> None:
        """
        An event of the peer that can't be read fails once, and those after it run.
        """
        data: dict[str, object] = {"sourceApp": SELLER, "purchaseId": "p0", "productId": "course", "version": "three"}
        key = world.shop_settings.peer(GRANTER).signing_key
        data["proof"] = proofs.sign(data, name=BUNDLE_SOLD, id="e0", source=SELLER, target=GRANTER, key=key, iat=0)
        world.school.environment.emit(BUNDLE_SOLD, data, id="e0")
        await world.sale("p1", **ADA)

        [failure] = world.school.environment.log.failures
        assert (failure.event.id, failure.attempts) == ("e0", 1)
        assert failure.error is not None
        assert failure.error.message.startswith("event-rejected: schema: the data of bundle/purchased: version: ")
        assert len(world.school.reported) == 1
        world.assert_agreement()

    async def test_seller_is_told(self, world: World) -> None:
        """
        If it says which sale it is about, the seller's ledger shows that it couldn't be read; a new version heals it.
        """
        await world.school.undeploy()
        await world.sale("p1", **ADA)
        await world.school.open(world.school_settings)
        data: Data = {"sourceApp": SELLER, "purchaseId": "p1", "productId": "course", "quiet": "perhaps"}
        data["version"] = world.shop.row().version
        world.school.environment.emit(BUNDLE_SOLD, signed(data, name=BUNDLE_SOLD), id="e1")
        await world.settle()

        [failure] = world.school.environment.log.failures
        assert (failure.attempts, failure.steps) == (1, ["report"])
        row = world.shop.row()
        assert (row.status, row.error_code) == ("failed", "unreadable")
        assert row.error_message is not None
        assert "quiet" in row.error_message
        await world.refund("p1")
        world.assert_agreement()


class TestUnknownProduct:
    async def test_ledger_says_so(self, world: World) -> None:
        """
        A component that the granter doesn't know fails at once, and the ledger says why; the others unlock.
        """
        world.shop.offer("bundle", metadata("course", "not-yet"))
        await world.sale("p1", **ADA)

        known, unknown = world.shop.ledger()
        assert (known.status, unknown.status) == ("synced", "failed")
        assert (unknown.target_product_id, unknown.error_code) == ("not-yet", "unknown-product")
        assert unknown.error_message == (
            "There is no such product here: correct the bundle at the seller, or create the product."
        )
        assert (unknown.next_attempt_at is not None, unknown.accepted_version) == (True, unknown.version)
        assert [row.product_id for row in world.school.entitlements()] == ["course"]
        assert world.crossed() == {BUNDLE_SOLD: 2, GRANTED: 1, FAILED: 1}

    @pytest.mark.parametrize("step", ["apply", None])
    async def test_crash(self, world: World, step: str | None) -> None:
        """
        A process that dies while it writes that down writes it down once.
        """
        world.shop.offer("bundle", metadata("not-yet"))
        world.shop.environment.lose(function="handle-entitlement-failed", step=step)
        await world.sale("p1", **ADA)

        assert [lost.step for lost in world.shop.environment.log.lost] == [step]
        assert (world.shop.row().status, world.shop.row().retry_count) == ("failed", 0)

    async def test_product_created(self, world: World) -> None:
        """
        Once the product exists, the next event of the sale unlocks it, even within the day.
        """
        world.shop.offer("bundle", metadata("not-yet"))
        await world.sale("p1", **ADA)
        world.school.teach("not-yet")
        world.shop.created("p1")
        await world.settle()

        row = world.shop.row()
        assert (row.status, row.error_code, row.error_message) == ("synced", None, None)
        assert world.school.opens("ada-at-school", "not-yet")
        world.assert_agreement()

    async def test_product_created_same_id(self, world: World) -> None:
        """
        If the app names its events, one that it sends again under its name counts only after a day.
        """
        world.shop.offer("bundle", metadata("not-yet"))
        world.shop.sell("p1", **ADA)
        world.shop.created("p1", id="sale of p1")
        await world.settle()
        world.school.teach("not-yet")
        world.shop.created("p1", id="sale of p1")
        await world.settle()
        assert world.shop.row().status == "failed"

        world.clock.advance(25 * HOUR)
        world.shop.created("p1", id="sale of p1")
        await world.settle()
        world.assert_agreement()

    async def test_refund_of_it(self, world: World) -> None:
        """
        A refund of what couldn't be unlocked leaves a revoked row, so that it stays locked.
        """
        world.shop.offer("bundle", metadata("not-yet"))
        await world.sale("p1", **ADA)
        await world.refund("p1")

        assert world.shop.row().status == "revoked"
        assert world.school.entitlement().status == "revoked"
        world.assert_agreement()
