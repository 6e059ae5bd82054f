from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import SQLModel, select

from crossapp_ah.models import Entitlement
from crossapp_core.models import AccountLink
from crossapp_tt.models import CrossAppSync
from tests.databases import Database
from tests.hosts import ShopPurchase
from tests.together.world import ADA, World

MINUTE = timedelta(minutes=1)
TABLES: list[type[SQLModel]] = [ShopPurchase, CrossAppSync, Entitlement, AccountLink]


def backup(database: Database) -> list[dict[str, Any]]:
    """
    All that stands in a database.
    """
    with database.session() as session:
        rows = [row for table in TABLES for row in session.exec(select(table))]
        return [{"table": type(row), **row.model_dump(exclude={"active"})} for row in rows]


def restore(database: Database, rows: list[dict[str, Any]]) -> None:
    """
    Have a database hold what it held once.
    """
    with database.session() as session:
        for table in TABLES:
            for row in session.exec(select(table)):
                session.delete(row)
        session.flush()
        session.add_all([row["table"](**{key: row[key] for key in row if key != "table"}) for row in rows])


async def resync(world: World) -> None:
    """
    Do in both apps what is to be done after a backup was restored.
    """
    for _ in range(2):
        await world.shop.bridge.resync()
        await world.school.bridge.resync()
        await world.live(5 * MINUTE)


class TestRestored:
    async def test_shop(self, any_world: World) -> None:
        """
        A shop that has forgotten a refund and a sale learns from the school what it once wanted, and says anew what
        its purchases are now: the refunded one is open again, the lost one is locked.
        """
        world = any_world
        await world.sale("p1", **ADA)
        old = backup(world.shop.database)
        await world.refund("p1")
        await world.sale("p2", **ADA)
        restore(world.shop.database, old)
        await resync(world)

        held = {row.source_purchase_id: row.status for row in world.school.entitlements()}
        assert held == {"p1": "active", "p2": "revoked"}
        world.assert_agreement()

    async def test_school(self, any_world: World) -> None:
        """
        A school that has forgotten a sale and a refund is told of both once more.
        """
        world = any_world
        await world.sale("p1", **ADA)
        old = backup(world.school.database)
        await world.refund("p1")
        await world.sale("p2", **ADA)
        restore(world.school.database, old)
        assert world.school.opens("ada-at-school")
        await resync(world)

        held = {row.source_purchase_id: row.status for row in world.school.entitlements()}
        assert held == {"p1": "revoked", "p2": "active"}
        world.assert_agreement()

    async def test_nothing_lost(self, world: World) -> None:
        """
        Where nothing was lost, it changes nothing but the traffic of a minute.
        """
        await world.sale("p1", **ADA)
        await world.sale("p2")
        await world.refund("p1")
        before = [(row["id"], row["version"]) for row in world.rows() if "version" in row]
        await resync(world)
        crossed = sum(world.crossed().values())
        await world.live(30 * MINUTE, every=5 * MINUTE)

        assert [(row["id"], row["version"]) for row in world.rows() if "version" in row] == before
        assert sum(world.crossed().values()) == crossed
        world.assert_agreement()
