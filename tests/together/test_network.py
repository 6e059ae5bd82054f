from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core import Settings
from tests.together.apps import BUNDLE_SOLD, GRANTED, GRANTER, REVOKE, REVOKED, SELLER, peer
from tests.together.world import ADA, World

HOUR = timedelta(hours=1)
ONCE = {BUNDLE_SOLD: 1, GRANTED: 1, REVOKE: 1, REVOKED: 1}


class TestNetwork:
    @pytest.mark.parametrize("app", ["shop", "school"])
    @pytest.mark.parametrize("times", [1, 12])
    async def test_answer_lost(self, world: World, app: str, times: int) -> None:
        """
        An event whose acceptance isn't heard of is sent again, within the call or by another, and counts once.
        """
        world.app(app).network.lose_answers(times)
        await world.sale("p1", **ADA)

        other = world.app("school" if app == "shop" else "shop")
        assert sum(event.duplicate for event in other.environment.log.received) == times
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        world.assert_agreement()

    @pytest.mark.parametrize("app", ["shop", "school"])
    async def test_down_for_6_hours(self, world: World, app: str) -> None:
        """
        What couldn't be sent for six hours is sent when the peer is back, without a hot loop meanwhile.
        """
        world.app(app).environment.down = True
        await self._sale(world, within=6 * HOUR)
        assert world.shop.row().status == "pending"

        world.app(app).environment.down = False
        before = world.clock()
        await world.settle()
        assert world.clock() - before < 3 * HOUR
        assert world.crossed() == {BUNDLE_SOLD: 1, GRANTED: 1}
        assert max(run.attempts for run in [*world.shop.runs, *world.school.runs]) < 20
        world.assert_agreement()

    async def test_down_for_a_week(self, world: World) -> None:
        """
        When Inngest has given up, the ledger says why, and what is owed goes out with the next event of the sale.
        """
        world.school.environment.down = True
        await self._sale(world, within=7 * 24 * HOUR)
        row = world.shop.row()
        assert (row.status, row.error_code) == ("failed", "not-sent")
        assert "ai-hero's Inngest did not accept the event" in (row.error_message or "")
        assert row.next_attempt_at is not None

        world.school.environment.down = False
        world.shop.created("p1")
        await world.settle()
        row = world.shop.row()
        assert (row.status, row.error_code, row.error_message) == ("synced", None, None)
        world.assert_agreement()

    async def test_retry_after(self, world: World) -> None:
        """
        A peer that asks for two minutes is left alone for two minutes, also by other sales.
        """
        world.school.environment.answer_next(429, {"error": "slow down"}, {"Retry-After": "120"})
        world.shop.sell("p1", **ADA)
        world.shop.sell("p2", **ADA)
        asked = world.clock()
        world.shop.created("p1")
        world.shop.created("p2")
        await world.settle()

        arrivals = [event.at - asked for event in world.school.environment.log.events(BUNDLE_SOLD)]
        assert [timedelta(seconds=120) <= wait < timedelta(seconds=150) for wait in arrivals] == [True, True]
        assert len(world.school.environment.log.refused) == 1
        world.assert_agreement()

    async def test_key_corrected(self, world: World) -> None:
        """
        A wrong event key is named in the run; the sale waits until it is corrected.
        """
        wrong = Settings(SELLER, [peer(GRANTER, world.school.environment.url, "an-old-key")], dev=True)
        await world.shop.open(wrong)
        await self._sale(world, within=HOUR)
        assert (world.shop.row().status, world.school.entitlements()) == ("pending", [])
        assert "is the event_key of ai-hero a key of ai-hero's environment?" in world.shop.reported[0]
        assert len(world.school.environment.log.refused) < 10

        await world.shop.open(world.shop_settings)
        await world.settle()
        world.assert_agreement()

    async def test_empty_id(self, world: World) -> None:
        """
        An answer without a real id means that nothing was stored: it is sent again.
        """
        world.school.environment.answer_next(200, {"ids": [""], "status": 200})
        await world.sale("p1", **ADA)

        assert world.shop.run("emit-bundle-purchase").attempts == 1
        world.assert_agreement()

    async def test_nobody_listens(self, world: World) -> None:
        """
        What the peer's Inngest took while no function listened there stays owed, and goes out again under another id.
        """
        await world.school.undeploy()
        await world.sale("p1", **ADA)
        row = world.shop.row()
        assert (row.status, row.accepted_version, row.synced_at) == ("pending", row.version, None)

        await world.school.open(world.school_settings)
        world.shop.created("p1")
        await world.settle()
        assert world.crossed() == {BUNDLE_SOLD: 2, GRANTED: 1}
        world.assert_agreement()

    async def _sale(self, world: World, *, within: timedelta) -> None:
        world.shop.sell("p1", **ADA)
        world.shop.created("p1")
        await world.settle(within)
