from __future__ import annotations

from datetime import timedelta

import pytest

from tests.together.apps import BUNDLE_SOLD, GRANTED, REVOKE, REVOKED
from tests.together.world import ADA, BOB, World

HOUR = timedelta(hours=1)
ONCE = {BUNDLE_SOLD: 1, GRANTED: 1, REVOKE: 1, REVOKED: 1}

CRASHES = [
    ("shop", "emit-bundle-purchase", "record"),
    ("shop", "emit-bundle-purchase", "send"),
    ("shop", "emit-bundle-purchase", "note accepted"),
    ("shop", "emit-bundle-purchase", None),
    ("school", "handle-bundle-purchase", "grant"),
    ("school", "handle-bundle-purchase", "look again"),
    ("school", "handle-bundle-purchase", "acknowledge"),
    ("school", "handle-bundle-purchase", None),
    ("shop", "handle-entitlement-granted", "apply"),
    ("shop", "handle-entitlement-granted", None),
    ("shop", "emit-revocation", "record"),
    ("shop", "emit-revocation", "send"),
    ("shop", "emit-revocation", "note accepted"),
    ("shop", "emit-revocation", None),
    ("school", "handle-revocation", "revoke"),
    ("school", "handle-revocation", "acknowledge"),
    ("school", "handle-revocation", None),
    ("shop", "handle-entitlement-revoked", "apply"),
    ("shop", "handle-entitlement-revoked", None),
]


class TestCrash:
    @pytest.mark.parametrize(("app", "function", "step"), CRASHES)
    async def test_everywhere(self, world: World, app: str, function: str, step: str | None) -> None:
        """
        A process that dies between its work and its answer, at any step, has done its work exactly once.
        """
        await self._check(world, app, function, step)

    @pytest.mark.parametrize(
        ("app", "function", "step"), [crash for crash in CRASHES if crash[2] in ("record", "grant", "apply", "revoke")]
    )
    async def test_after_commit(self, any_world: World, app: str, function: str, step: str) -> None:
        """
        So it is for each transaction on each database.
        """
        await self._check(any_world, app, function, step)

    async def _check(self, world: World, app: str, function: str, step: str | None) -> None:
        world.app(app).environment.lose(function=function, step=step)
        sold = millis(world)
        await world.sale("p1", **BOB)
        assert world.shop.row().version == world.school.entitlement().source_version == sold
        refunded = max(sold + 1, millis(world))
        await world.refund("p1")

        assert [(lost.function_id, lost.step) for lost in world.app(app).environment.log.lost] == [(function, step)]
        assert world.shop.row().version == world.school.entitlement().source_version == refunded
        assert world.school.entitlement().status == "revoked"
        assert world.crossed() == ONCE
        world.assert_agreement()

    @pytest.mark.parametrize("step", ["note undelivered", None])
    async def test_on_failure(self, world: World, step: str | None) -> None:
        """
        What is noted about a failure, which Inngest tries only once, is noted all the same, and heals like any other.
        """
        world.school.environment.answer_next(400, {"error": "too odd"})
        world.shop.environment.lose(function="emit-bundle-purchase-failure", step=step)
        await world.sale("p1", **ADA)
        assert world.shop.run("emit-bundle-purchase-failure").status == "failed"
        assert (world.shop.row().status, world.shop.row().error_code) == ("failed", "not-sent")

        world.shop.created("p1")
        await world.settle()
        world.assert_agreement()


def millis(world: World) -> int:
    return int(world.clock().timestamp() * 1000)
