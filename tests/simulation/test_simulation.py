from __future__ import annotations

from functools import partial

import pytest

from crossapp_ah.testing import make_school
from crossapp_core.testing import simulation
from crossapp_core.testing.simulation import BrokenError, World, try_history
from crossapp_core.testing.simulation.chances import history, story_of
from crossapp_tt.testing import make_shop

FIRST, SEEDS = 1, 10
UNTRACED = partial(pytest.param, marks=pytest.mark.no_cover)
"""They reach what the first one reaches, and tracing takes many times as long."""


@pytest.fixture(scope="module")
def world() -> World:
    """
    A shop, a school, a studio that is both, and an academy without this library.
    """
    return World(make_shop, make_school, both=(make_shop, make_school), sketch=True)


class TestRandomHistories:
    @pytest.mark.parametrize("seed", [FIRST, *(UNTRACED(seed) for seed in range(FIRST + 1, FIRST + SEEDS))])
    def test_hold_what_must_be_true(self, world: World, seed: int) -> None:
        """
        Histories in which everything may go wrong break no invariant, and end with all apps agreeing.
        """
        failure = try_history(world, str(seed))
        assert failure is None, story_of(world, failure, seconds=20)

    @pytest.mark.no_cover
    def test_are_the_same_each_time(self, world: World) -> None:
        """
        A seed gives the same history, and all that follows from it is the same to the letter.
        """
        told = []
        for _ in range(2):
            assert try_history(world, "again") is None
            told.append((world.happened, world.lines))
        assert told[0] == told[1]
        assert [happening for happening, _ in world.happened] == list(
            history("again", list(world.members), sketch=True)
        )

    def test_by_the_functions_that_the_sdk_serves(self) -> None:
        """
        The real functions, called in the SDK's own protocol, live through the same histories.
        """
        served = World(make_shop, make_school, served=True)
        failure = try_history(served, "served.2")
        assert failure is None, story_of(served, failure, seconds=20)


class Histories(simulation.Histories):
    """
    The two lines of a user, by Hypothesis.
    """

    seller, granter = make_shop, make_school
    examples, length = 8, 25


class TestStories:
    def test_run_as_the_test_that_they_print(self, world: World) -> None:
        """
        A story is a Python test, which plays all of it again.
        """
        world.replay([("buy", {"app": "shop", "number": 1, "buyer": "ada"}), ("work", {}), ("rest", {})])
        found: dict[str, object] = {}
        source = world.source("Nothing is wrong.")
        exec(source, found)
        story = found["test_story"]
        assert callable(story)
        story()
        assert "    world.buy(app='shop', number=1, buyer='ada')\n" in source

    @pytest.mark.no_cover
    def test_are_made_short(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What a failure doesn't need is left out of its story.
        """
        monkeypatch.setattr(World, "withdraw", _broken)
        failure = try_history(world, "1.1")
        for number in range(20):
            failure = failure or try_history(world, f"short.{number}")
        assert failure is not None
        source = story_of(world, failure, seconds=30)
        assert source.count("world.") == 1
        assert "world.withdraw(app='school', product='course')" in source


class TestRest:
    def test_sale_that_a_backup_has_lost(self, world: World) -> None:
        """
        What a seller has lost for good is locked at all its granters, also at one that sells itself.
        """
        world.reset()
        world.back_up("shop")
        world.buy("shop", 1, "ada", bundle="large")
        world.rest()
        world.restore("shop", 0)
        world.rest()
        held = [row for name in ("school", "studio") for row in world.members[name].held.values()]
        assert {(row.app, row.status) for row in held} == {("shop", "revoked")}
        assert {row.purchase_id for row in held} == {"shop_1"}

    def test_sold_by_a_sketch_peer_to_who_leaves(self, world: World) -> None:
        """
        A sketch peer isn't asked whose it is now, so what it sold to somebody who leaves stays theirs.
        """
        world.reset()
        world.academy_sells(number=1, person="cleo", linked=True)
        world.academy_works(0)
        world.work(0)
        world.leave("school", "cleo", how="told")
        world.rest()
        active = [row for row in world.members["school"].held.values() if row.status == "active"]
        assert [(row.app, row.user_id) for row in active] == [("academy", "school-cleo")]


class TestInvariants:
    def test_say_which_is_broken(self, world: World) -> None:
        """
        An entitlement that nobody sold is free access, and the error says so.
        """
        world.reset()
        world.buy("shop", 1, "ada")
        world.rest()
        school = world.members["school"]
        school.store.driver.execute("UPDATE Entitlement SET status = 'active', userId = 'school-ada'")
        with pytest.raises(BrokenError, match="right person"):
            world.look()


def _broken(self: World, **_: object) -> None:
    raise BrokenError(1, "broken on purpose")
