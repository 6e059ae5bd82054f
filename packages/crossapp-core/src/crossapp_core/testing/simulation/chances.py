"""
Random histories: the same seed always gives the same ones.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from crossapp_core.testing.simulation.checks import BrokenError
from crossapp_core.testing.simulation.core import SCHOOL, SHOP
from crossapp_core.testing.simulation.shrinking import shrunk
from crossapp_core.testing.simulation.vocabulary import ALWAYS, FEATURES, Kind, kinds
from crossapp_core.testing.simulation.world import Happening, World

_LENGTH = (60, 600)
_LEFT_OUT = 0.3
"""How many of the features a history does without."""
_TWO_APPS = 0.3
"""In how many histories the third app stays alone."""


@dataclass(frozen=True)
class Failure:
    """
    A history that breaks an invariant.
    """

    seed: str
    error: Exception
    history: Sequence[Happening]
    after: int
    """How many steps it took."""

    @property
    def title(self) -> str:
        """
        What is wrong, on one line.
        """
        kind = "" if isinstance(self.error, BrokenError) else f"{type(self.error).__name__}: "
        return f"Seed {self.seed}: {kind}{self.error}"


def history(seed: str, apps: Sequence[str], *, only: Collection[str] = (), sketch: bool = False) -> Iterator[Happening]:
    """
    All that happens in one history, the coming to rest included.

    Args:
        seed: Which history.
        apps: The apps that take part.
        only: The kinds of things that happen besides work; all kinds if none is given.
        sketch: Whether a peer without this library takes part.
    """
    random = Random(seed)  # noqa: S311 (to be had again, not to be secret)
    without = {name for name in FEATURES if random.random() < _LEFT_OUT}
    some = [SHOP, SCHOOL] if random.random() < _TWO_APPS else apps
    known = [kind for kind in kinds(some, sketch=sketch) if kind.name not in without]
    if only:
        known = [kind for kind in kinds(some, sketch=sketch) if kind.name in only or kind.name in ALWAYS]
    weights = list(accumulate(kind.weight for kind in known))
    for _ in range(random.randint(*_LENGTH)):
        kind: Kind = random.choices(known, cum_weights=weights)[0]
        yield kind.name, kind.draw(random)
    yield "rest", {"backwards": random.random() < 0.3}


@contextmanager
def quietly() -> Iterator[None]:
    """
    Log nothing: what fails on purpose would fill any log.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def try_history(world: World, seed: str, *, only: Collection[str] = ()) -> Failure | None:
    """
    Let one history happen; how it failed, or None.
    """
    before = world.steps
    world.reset()
    try:
        with quietly():
            for name, arguments in history(seed, list(world.members), only=only, sketch=bool(world.sketches)):
                world.play(name, **arguments)
    except Exception as error:  # noqa: BLE001 (an error of an app is a finding, too)
        return Failure(seed, error, [happening for happening, _ in world.happened], world.steps - before)
    return None


def simulate(world: World, seed: int, steps: int) -> Failure | None:
    """
    Let histories happen until so many steps are done; the first that failed, shrunk, or None.
    """
    gc.set_threshold(50_000)
    done, number = world.steps, 0
    while world.steps - done < steps:
        failure = try_history(world, f"{seed}.{number}")
        if failure is not None:
            return failure
        number += 1
    return None


def story_of(world: World, failure: Failure, *, seconds: float = 120) -> str:
    """
    The shortest history found that fails in the same way, as a test in Python.
    """
    shrunk(world, failure.history, failure.error, seconds=seconds)
    return world.source(failure.title)
