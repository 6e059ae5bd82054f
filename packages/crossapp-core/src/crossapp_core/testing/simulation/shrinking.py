"""
Makes a failing history short: what isn't needed for its failure is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from crossapp_core.testing.simulation.checks import BrokenError
from crossapp_core.testing.simulation.vocabulary import kinds
from crossapp_core.testing.simulation.world import Happening, World


def shrunk(world: World, history: Sequence[Happening], error: Exception, *, seconds: float) -> list[Happening]:
    """
    A history that fails in the same way, with as little in it as can be found in time. The world has lived it last.

    Args:
        world: Where to try.
        history: What failed.
        error: How.
        seconds: For how long to look for a shorter one.
    """
    until, best = time.monotonic() + seconds, list(history)
    size = max(1, len(best) // 2)
    while time.monotonic() < until:
        shorter = _first(world, _without(best, size), error, until)
        if shorter is not None:
            best = shorter
        elif size > 1:
            size = max(1, size // 2)
        else:
            break
    while time.monotonic() < until and (simpler := _first(world, _simplified(world, best), error, until)) is not None:
        best = simpler
    fails(world, best, error)
    return best


def fails(world: World, history: Sequence[Happening], error: Exception) -> bool:
    """
    Whether a history fails in the same way: it breaks the same invariant, or an app has the same error.
    """
    try:
        world.replay(history)
    except Exception as found:  # noqa: BLE001 (whatever it is, it is compared)
        if isinstance(error, BrokenError) and isinstance(found, BrokenError):
            return found.number == error.number
        return type(found) is type(error)
    return False


def _first(
    world: World, candidates: Iterator[list[Happening]], error: Exception, until: float
) -> list[Happening] | None:
    for candidate in candidates:
        if time.monotonic() >= until:
            return None
        if fails(world, candidate, error):
            return [happening for happening, _ in world.happened]
    return None


def _without(history: list[Happening], size: int) -> Iterator[list[Happening]]:
    for start in range(len(history) - size, -1, -size):
        yield history[:start] + history[start + size :]


def _simplified(world: World, history: list[Happening]) -> Iterator[list[Happening]]:
    known = {kind.name: kind.domains for kind in kinds(list(world.members), sketch=bool(world.sketches))}
    for place, (name, arguments) in enumerate(history):
        for argument, value in arguments.items():
            simplest: Any = known[name][argument][0]
            if value != simplest:
                yield [*history[:place], (name, {**arguments, argument: simplest}), *history[place + 1 :]]
