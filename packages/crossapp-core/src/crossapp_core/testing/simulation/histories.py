"""
Random histories as a test of a user's own apps: two lines in a test module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar
from unittest import SkipTest, TestCase

from crossapp_core.testing.simulation.chances import quietly
from crossapp_core.testing.simulation.vocabulary import PLACES, Kind, kinds
from crossapp_core.testing.simulation.world import World


class Histories(TestCase):
    """
    Any history ends with all apps agreeing, and on the way opens nothing for anybody who hasn't bought it.

        class Histories(simulation.Histories):
            seller, granter = make_shop, make_school

    A failing history is made short by Hypothesis, and printed as a test of its own.
    """

    seller: ClassVar[Any] = None
    """Makes the app that sells: a `MakeSeller`. (A function of a class is typed as a method, so it can't say so.)"""
    granter: ClassVar[Any] = None
    """Makes the app that opens: a `MakeGranter`."""
    both: ClassVar[tuple[Any, Any] | None] = None
    """Make an app that does both, as a third one."""
    examples: ClassVar[int] = 40
    """How many histories."""
    length: ClassVar[int] = 40
    """How much happens in each, at most."""

    def test_any_history(self) -> None:
        """
        Any history ends with all apps agreeing.
        """
        from hypothesis import HealthCheck, settings
        from hypothesis.stateful import run_state_machine_as_test

        found: dict[str, Any] = {
            name: inspect.getattr_static(type(self), name) for name in ("seller", "granter", "both")
        }
        makers = {name: getattr(value, "__func__", value) for name, value in found.items()}
        if makers["seller"] is None or makers["granter"] is None:
            raise SkipTest("seller and granter say whose histories these are")
        world = World(makers["seller"], makers["granter"], both=makers["both"])
        chosen = settings(
            max_examples=self.examples,
            stateful_step_count=self.length,
            deadline=None,
            suppress_health_check=(
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
                HealthCheck.large_base_example,
            ),
        )
        with quietly():
            run_state_machine_as_test(machine_of(world), settings=chosen)


def machine_of(world: World) -> Any:
    """
    A Hypothesis state machine of all that can happen in a world.
    """
    from hypothesis import note
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

    class Machine(RuleBasedStateMachine):
        """
        One history.
        """

        def __init__(self) -> None:
            super().__init__()
            world.reset()
            self.broken = self.backwards = False

        @initialize(backwards=st.booleans())
        def begin(self, backwards: bool) -> None:
            """
            In which order all is done in the end.
            """
            self.backwards = backwards

        @rule(places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=15))
        def work_on(self, places: list[int]) -> None:
            """
            Several runs go on, or one several times.
            """
            for place in places:
                self.play("work", place=place)

        def play(self, name: str, **arguments: Any) -> None:
            """
            Let something happen.
            """
            try:
                world.play(name, **arguments)
            except Exception as error:
                self.broken = True
                note(world.source(str(error)))
                raise

        def teardown(self) -> None:
            """
            All comes to rest.
            """
            if not self.broken:
                self.play("rest", backwards=self.backwards)

    rules = {kind.name: _rule(rule, st, kind) for kind in kinds(list(world.members)) if kind.name != "rest"}
    return type("Machine", (Machine,), rules)


def _rule(rule: Any, st: Any, kind: Kind) -> Any:
    def happen(self: Any, **arguments: Any) -> None:
        self.play(kind.name, **arguments)

    happen.__name__ = kind.name
    decorate: Callable[[Any], Any] = rule(**{name: st.sampled_from(list(each)) for name, each in kind.domains.items()})
    return decorate(happen)
