"""
A buyer for whom a thousand things wait, and a school that dies again and again while it unlocks them.
"""

from __future__ import annotations

import random
from collections import Counter

from sqlmodel import select

from crossapp_ah.models import Entitlement
from tests.crashes.deaths import KILLS, Fate
from tests.crashes.people import COURSES, Story
from tests.crashes.processes import Zygote
from tests.crashes.world import World, running

_COUNT = 1000
_GRANTED = "entitlement/granted"


async def test_a_long_claim(server: str, zygote: Zygote) -> None:
    """
    A claim that dies goes on where it was: all is unlocked, and the seller is told of each once.
    """
    async with running(server, zygote) as world:
        await world.start()
        story = Story(world, chance=random.Random(server))
        story.begin()
        buyer = story.buyers[0]
        wait_for(world, buyer.user_id)
        world.shop.environment.hold(_GRANTED)  # what it does with them is not looked at here
        world.school.environment.hold("account/linked")
        world.shop.environment.emit("user/login", {"userId": buyer.user_id})
        await world.settle()
        fate = Fate(7, kills=12, latest=15, manners=KILLS)
        world.school.doom(fate)
        world.school.environment.release()
        await world.settle()
        world.doom(None)

        with world.session("school") as session:
            held = session.exec(select(Entitlement)).all()
        assert Counter((row.status, row.user_id) for row in held) == {("active", buyer.member_id): _COUNT}
        told = [event for event in world.shop.environment.log.events(_GRANTED) if not event.duplicate]
        assert Counter(event.data["userId"] for event in told) == {buyer.member_id: _COUNT}
        assert len({event.data["sourcePurchaseId"] for event in told}) == _COUNT
    claiming = [death for death in fate.deaths if death.during.endswith("claim-pending-entitlements")]
    assert len(claiming) >= 6


def wait_for(world: World, user_id: str) -> None:
    """
    Have the school hold what a user of the shop has bought, until their accounts are linked.
    """
    with world.session("school") as session:
        session.add_all(
            Entitlement(
                id=f"ent_{number}",
                source_app="total-typescript",
                source_purchase_id=f"pur_{number:04}",
                source_user_id=user_id,
                source_version=1,
                product_id=COURSES[0],
                status="pending",
            )
            for number in range(_COUNT)
        )
