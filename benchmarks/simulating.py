"""
How long a step of the simulator takes, at both depths.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

from benchmarks.measuring import Effort, Line, Note, Sample
from crossapp_ah.testing import make_school
from crossapp_core.testing.simulation import World, try_history
from crossapp_tt.testing import make_shop

STEPS = {False: 10_000, True: 2_000}
"""By whether the SDK serves the functions."""


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On one core, three apps, all that may go wrong; each step with the check of all invariants.
    """
    for what, served in (("the functions' bodies", False), ("the SDK's own handlers", True)):
        took = Sample([seconds_per_step(served=served, steps=effort.times(STEPS[served]))])
        goal = "-" if served else "≤ 1"
        yield Line(f"a step of the simulator, by {what}", "1 ms", Sample([0.001]), took, goal)


def seconds_per_step(*, served: bool, steps: int) -> float:
    """
    Live through histories until so many steps are done.
    """
    world = World(make_shop, make_school, both=(make_shop, make_school), served=served)
    began = time.process_time()
    for number in count():
        failure = try_history(world, f"bench.{number}")
        assert failure is None, failure.title
        if world.steps >= steps:
            return (time.process_time() - began) / world.steps
    raise AssertionError
