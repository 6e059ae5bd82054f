"""
Both example apps as processes that are killed in the middle of their work, again and again, on real databases.

`nox -s chaos` kills many more, at other instants each time.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from tests.crashes.agreement import differences
from tests.crashes.conftest import Tell
from tests.crashes.deaths import KILLS, Death, Fate, Manner
from tests.crashes.people import Story
from tests.crashes.processes import Zygote
from tests.crashes.world import World, running

MOST_KILLS = int(os.environ.get("CROSSAPP_KILLS", "40"))
"""On each server."""
SEED = os.environ.get("CROSSAPP_SEED", "1")
_PAST_SALES = 16


async def test_whatever_happens(server: str, zygote: Zygote, tell: Tell) -> None:
    """
    However often processes are killed, connections cut and events lost, in the end both databases say what the sales
    say.
    """
    chance = random.Random(f"{SEED}/{server}")
    deaths: list[Death] = []
    async with running(server, zygote) as world:
        await world.start()
        story = Story(world, chance)
        story.begin()
        story.sell_before(_PAST_SALES)
        await world.tick(timedelta(hours=1), sweep=True)
        of_operator = MOST_KILLS // 10
        before = (MOST_KILLS - of_operator) * 2 // 3
        deaths += await live(story, kills=before)
        deaths += await backfill(story, kills=of_operator)
        deaths += await live(story, kills=MOST_KILLS - of_operator - before)
        await come_to_rest(world)
        tell(*report(server, world, deaths))
        assert differences(story) == [], f"with CROSSAPP_SEED={SEED}"
    check_that_it_was_hard(deaths)


async def live(story: Story, *, kills: int) -> list[Death]:
    """
    Have people do what they do, until both apps were killed so often.
    """
    world, chance = story.world, story.chance
    fate = Fate(chance.randrange(2**32), kills)
    world.doom(fate)
    while not fate.is_done:
        await asyncio.gather(*(story.do_something() for _ in range(3)), world.settle())
        if chance.random() < 0.5:
            await world.tick(timedelta(hours=1), sweep=chance.random() < 0.5)
    world.doom(None)
    return fate.deaths


async def backfill(story: Story, *, kills: int) -> list[Death]:
    """
    Have an operator write past sales into the ledger, whose process is killed before it comes to its end.
    """
    operator = story.world.operator
    fate = Fate(story.chance.randrange(2**32), kills, manners=KILLS)
    operator.doom(fate)
    while not fate.is_done:
        operator.start()
        await operator.done()
    return fate.deaths


async def come_to_rest(world: World) -> None:
    """
    Let a day go by.
    """
    await world.settle()
    for _ in range(4):
        await world.tick(timedelta(hours=7), sweep=True)


def report(server: str, world: World, deaths: Sequence[Death]) -> list[str]:
    """
    What happened, in lines.
    """
    kinds = Counter((death.manner, death.state.kind) for death in deaths)
    during = Counter(death.during or "its start" for death in deaths)
    restarts = sorted(restart for app in world.apps for restart in app.restarts)
    return [
        f"{server}: {len(deaths)} deaths, seed {SEED}",
        *(f"  {count:4} {manner}, {kind}" for (manner, kind), count in sorted(kinds.items())),
        *(f"  {count:4} during {name}" for name, count in during.most_common()),
        f"  restarts: {restarts[len(restarts) // 2] * 1000:.0f} ms, {restarts[-1] * 1000:.0f} ms at most",
    ]


def check_that_it_was_hard(deaths: Sequence[Death]) -> None:
    """
    Check that enough processes were killed, and while they were at work.
    """
    killed = [death for death in deaths if death.manner in KILLS]
    at_work = [death.state for death in killed if death.state.requests]
    assert len(killed) == MOST_KILLS
    assert len(at_work) >= MOST_KILLS * 0.75
    assert len([state for state in at_work if state.open]) >= MOST_KILLS * 0.25
    assert len([state for state in at_work if state.unanswered]) >= MOST_KILLS * 0.05
    assert len([death for death in deaths if death.manner is Manner.CUT and death.state.open]) >= MOST_KILLS * 0.1
    assert len({death.during for death in killed}) >= 8
