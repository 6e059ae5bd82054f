from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from crossapp_core import Settings
from tests.together.apps import BUNDLE_SOLD, GRANTER, OTHER_SECRET, REVOKE, SELLER, SHOP_KEY, peer
from tests.together.world import ADA, World

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("name", [BUNDLE_SOLD, REVOKE])
class TestFailedRun:
    async def test_database_down_longer_than_the_retries(self, world: World, tmp_path: Path, name: str) -> None:
        """
        Where the granter's database stays away, the run fails and the seller still owes the event; as it tells of the
        purchase again, that is another attempt, and it has its effect.
        """
        await prepare(world, name)
        unreachable = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/gone/school.db")
        await world.school.open(world.school_settings, engine=unreachable)
        began = world.clock()
        await tell(world, name)

        [failure, *_] = world.school.environment.log.failures
        assert (failure.event.name, failure.attempts) == (name, 21)
        assert failure.error is not None
        assert "was rolled back: OperationalError" in failure.error.message
        assert world.clock() - began > 24 * HOUR
        assert not is_done(world)

        await world.school.open(world.school_settings)
        before = attempts(world, name)
        await tell(world, name)
        assert attempts(world, name)[-1] == max(before) + 1
        assert is_done(world)

    async def test_by_itself(self, world: World, tmp_path: Path, name: str) -> None:
        """
        Nobody has to tell of the purchase again: the shop's cron makes the next attempt.
        """
        await prepare(world, name)
        unreachable = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/gone/school.db")
        await world.school.open(world.school_settings, engine=unreachable)
        await tell(world, name)
        assert [problem.code for problem in world.school.problems] == ["run-failed"]

        await world.school.open(world.school_settings)
        await world.live(timedelta(minutes=2))
        assert is_done(world)

    async def test_same_id_while_it_is_down(self, world: World, tmp_path: Path, name: str) -> None:
        """
        To send the same id again while the run is being tried starts no other.
        """
        await prepare(world, name)
        unreachable = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/gone/school.db")
        await world.school.open(world.school_settings, engine=unreachable)
        await tell(world, name, within=HOUR)
        runs = len(world.school.runs)
        world.school.repeat(name)
        await world.settle(HOUR)
        assert len(world.school.runs) == runs

        await world.school.open(world.school_settings)
        await world.settle()
        assert is_done(world)

    async def test_same_id_after_it_failed(self, world: World, name: str) -> None:
        """
        Nor does it after the run has failed, for 24 hours: only the next attempt has an effect.
        """
        await prepare(world, name)
        await world.school.open(with_wrong_secret(world))
        await tell(world, name)
        await world.school.open(world.school_settings)
        [failure] = world.school.environment.log.failures
        assert (failure.event.name, failure.attempts) == (name, 1)

        runs, rows = len(world.school.runs), world.rows()
        for _ in range(3):
            world.clock.advance(7 * HOUR)
            world.school.repeat(name)
            await world.settle(HOUR)
        assert (len(world.school.runs), world.rows()) == (runs, rows)
        assert world.school.environment.log.received[-1].duplicate

        before = attempts(world, name)
        await tell(world, name)
        assert attempts(world, name)[-1] == max(before) + 1
        assert is_done(world)

    async def test_same_id_after_a_day(self, world: World, name: str) -> None:
        """
        Inngest forgets an id after a day, and then what comes under it once more runs again, and has its effect once.
        """
        await prepare(world, name)
        await world.school.open(with_wrong_secret(world))
        await tell(world, name)
        await world.school.open(world.school_settings)
        world.clock.advance(24 * HOUR)
        world.school.repeat(name)
        await world.settle()
        assert is_done(world)

        rows = world.rows()
        world.clock.advance(24 * HOUR)
        world.school.repeat(name)
        await world.settle()
        assert world.rows() == rows


async def prepare(world: World, name: str) -> None:
    """
    Let happen all that comes before that event.
    """
    world.shop.sell("p1", **ADA)
    if name == REVOKE:
        await tell(world, BUNDLE_SOLD)
        world.shop.change("p1", status="Refunded")


async def tell(world: World, name: str, *, within: timedelta = timedelta(days=7)) -> None:
    """
    Have the shop's app tell of the sale or of its refund, for the first time or once more.
    """
    (world.shop.created if name == BUNDLE_SOLD else world.shop.refunded)("p1")
    await world.settle(within)


def attempts(world: World, name: str) -> list[int]:
    """
    The attempts under which the shop has sent that event.
    """
    return [int(str(event.id).rpartition(":a")[2]) for event in world.school.environment.log.events(name)]


def is_done(world: World) -> bool:
    """
    Whether the school did what the shop wants, and the shop knows.
    """
    row = world.shop.row()
    if row.status not in ("synced", "revoked"):
        assert (row.accepted_version, row.next_attempt_at is None) == (row.version, False)
        return False
    world.assert_agreement()
    assert world.school.opens("ada-at-school") == (row.desired == "granted")
    return True


def with_wrong_secret(world: World) -> Settings:
    """
    The school's settings with which it refuses, for good, all that the shop sends.
    """
    return Settings(GRANTER, [peer(SELLER, world.shop.environment.url, SHOP_KEY, OTHER_SECRET)], dev=True)
