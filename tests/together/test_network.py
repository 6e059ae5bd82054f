from __future__ import annotations

from datetime import timedelta

import pytest

from crossapp_core import Settings
from tests.together.apps import BUNDLE_SOLD, GRANTED, GRANTER, REVOKE, REVOKED, SELLER, peer
from tests.together.world import ADA, World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class TestNetwork:
    @pytest.mark.parametrize("app", ["shop", "school"])
    @pytest.mark.parametrize("times", [1, 12])
    async def test_answer_lost(self, world: World, app: str, times: int) -> None:
        """
        An event whose acceptance isn't heard of is sent again, and has its effect once.
        """
        world.app(app).network.lose_answers(times)
        await world.sale("p1", **ADA)
        await world.live(2 * HOUR, every=5 * MINUTE)

        assert [row.status for row in world.school.entitlements()] == ["active"]
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
        await world.live(4 * MINUTE)

        arrivals = [event.at - asked for event in world.school.environment.log.events(BUNDLE_SOLD)]
        assert timedelta(seconds=120) <= min(arrivals)
        assert {row.source_purchase_id for row in world.school.entitlements()} == {"p1", "p2"}
        assert len(world.school.environment.log.refused) == 1
        world.assert_agreement()

    async def test_key_corrected(self, world: World) -> None:
        """
        A wrong event key is named in the run, and to the app; the sale waits until it is corrected.
        """
        wrong = Settings(SELLER, [peer(GRANTER, world.school.environment.url, "an-old-key")], dev=True)
        await world.shop.open(wrong)
        await sell(world, "p1")
        await world.live(HOUR)
        row = world.shop.row()
        assert (row.status, row.error_code, world.school.entitlements()) == ("failed", "not-sent", [])
        assert "is the event_key of ai-hero a key of ai-hero's environment?" in world.shop.reported[0]
        assert {(problem.code, problem.peer) for problem in world.shop.problems} == {("peer-key-refused", GRANTER)}
        assert len(world.school.environment.log.refused) < 10

        await world.shop.open(world.shop_settings)
        await world.live(2 * HOUR, every=10 * MINUTE)
        world.assert_agreement()

    async def test_empty_id(self, world: World) -> None:
        """
        An answer without a real id means that nothing was stored: it is sent again.
        """
        world.school.environment.answer_next(200, {"ids": [""], "status": 200})
        await world.sale("p1", **ADA)

        assert world.shop.run("emit-bundle-purchase").attempts == 1
        world.assert_agreement()

    async def test_event_refused(self, world: World) -> None:
        """
        What the peer's Inngest doesn't take by itself is named in the ledger and to the app, and keeps nothing back.
        """
        for purchase in ("p1", "p2"):
            world.school.environment.drop(BUNDLE_SOLD)
            await sell(world, purchase)
        for _ in ("both of them", "the first alone"):
            world.school.environment.answer_next(400, {"error": "too odd"})
        await world.live(2 * MINUTE)
        refused, taken = world.shop.ledger()
        assert (refused.status, refused.error_code, taken.status) == ("failed", "not-sent", "synced")
        assert [(problem.code, problem.ids) for problem in world.shop.problems[-1:]] == [
            ("event-refused", (refused.id,))
        ]

        await world.live(3 * MINUTE)
        world.assert_agreement()

    async def test_nobody_listens(self, world: World) -> None:
        """
        What the peer's Inngest took while no function listened there stays owed, and goes out again by itself, under
        another id.
        """
        await world.school.undeploy()
        await world.sale("p1", **ADA)
        row = world.shop.row()
        assert (row.status, row.accepted_version, row.synced_at) == ("pending", row.version, None)

        await world.school.open(world.school_settings)
        await world.live(2 * MINUTE)
        assert world.crossed() == {BUNDLE_SOLD: 2, GRANTED: 1}
        world.assert_agreement()


class TestLost:
    @pytest.mark.parametrize("name", [BUNDLE_SOLD, GRANTED, REVOKE, REVOKED])
    async def test_each_event(self, any_world: World, name: str) -> None:
        """
        Whichever event is lost after it was accepted, the ledger isn't done, and says it again until it is.
        """
        world = any_world
        to = world.school if name in (BUNDLE_SOLD, REVOKE) else world.shop
        to.environment.drop(name)
        await world.sale("p1", **ADA)
        await world.live(2 * MINUTE)
        await world.refund("p1")
        await world.live(2 * MINUTE)

        assert [event.name for event in to.environment.log.dropped] == [name]
        assert (world.shop.row().status, world.school.opens("ada-at-school")) == ("revoked", False)
        world.assert_agreement()

    async def test_only_answers(self, world: World) -> None:
        """
        While no answer gets through, the school does what it is told, and the shop goes on asking, ever more rarely.
        """
        world.shop.environment.down = True
        await sell(world, "p1")
        await world.live(DAY, every=30 * MINUTE)
        assert (world.school.opens("ada-at-school"), world.shop.row().status) == (True, "pending")
        assert 9 <= world.crossed()[BUNDLE_SOLD] <= 14

        world.shop.environment.down = False
        await world.live(8 * HOUR, every=10 * MINUTE)
        world.assert_agreement()


class TestOutage:
    @pytest.mark.parametrize("app", ["shop", "school"])
    async def test_six_hours(self, world: World, app: str) -> None:
        """
        What couldn't be sent for six hours is sent when the peer is back, within the hour.
        """
        world.app(app).environment.down = True
        await sell(world, "p1")
        await world.live(6 * HOUR, every=20 * MINUTE)
        world.app(app).environment.down = False
        await world.live(HOUR, every=10 * MINUTE)

        if app == "school":
            world.assert_agreement()
        assert world.school.opens("ada-at-school")
        await world.live(6 * HOUR, every=HOUR)
        world.assert_agreement()

    @pytest.mark.parametrize(
        ("time", "every"), [(30 * HOUR, 40 * MINUTE), (8 * DAY, 2 * HOUR)], ids=["30 hours", "8 days"]
    )
    async def test_long(self, world: World, time: timedelta, every: timedelta) -> None:
        """
        However long the school is away, nothing is lost: each backoff costs one request, and when it is back it gets
        the oldest refund first, then the oldest sale.
        """
        await sell(world, "p0")
        world.school.environment.down = True
        for number in range(1, 20):
            await sell(world, f"p{number}")
            await world.live(MINUTE)
        for purchase in ("p2", "p0"):
            world.shop.change(purchase, status="Refunded")
            world.shop.refunded(purchase)
            await world.live(MINUTE)
        before = world.shop.network.requests
        await world.live(time, every=every)
        assert time / max(1.5 * HOUR, every) <= world.shop.network.requests - before <= time / (48 * MINUTE) + 10
        assert {problem.code for problem in world.shop.problems} == {"peer-unavailable"}
        assert {problem.since for problem in world.shop.problems} == {world.shop.problems[0].since}

        world.school.environment.down = False
        world.school.environment.log.received.clear()
        await world.live(HOUR + 20 * MINUTE, every=20 * MINUTE)
        told = [event.data["purchaseId"] for event in world.school.environment.log.received]
        assert told == ["p2", "p0", "p1", *(f"p{number}" for number in range(3, 20))]
        world.assert_agreement()

    async def test_clock_put_back(self, world: World) -> None:
        """
        A clock that is put back by an hour between two attempts makes no storm of them, and holds none up for longer.
        """
        world.school.environment.down = True
        await sell(world, "p1")
        await world.live(HOUR)
        before = world.shop.network.requests
        world.clock.set(world.clock() - HOUR)
        await world.live(HOUR)
        assert world.shop.network.requests - before <= 2

        world.school.environment.down = False
        await world.live(2 * HOUR, every=5 * MINUTE)
        world.assert_agreement()


async def sell(world: World, purchase: str) -> None:
    """
    Sell the bundle to Ada, and let happen what happens at once.
    """
    world.shop.sell(purchase, **ADA)
    world.shop.created(purchase)
    await world.settle(timedelta(0))
