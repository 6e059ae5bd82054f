"""
Plays a sale and a refund between the example apps, and tells what crossed the bridge and what both databases hold:

    python -m examples.two_apps.demo
    python -m examples.two_apps.demo --flask

Both apps run in this process, each with its own database and its own Inngest, which are gone at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from sqlalchemy import Engine
from sqlmodel import Session, create_engine, select

from crossapp_ah.models import Entitlement
from crossapp_core.addresses import masked
from crossapp_core.events import EVENTS
from crossapp_core.testing import Environment, ReceivedEvent
from crossapp_tt.models import CrossAppSync
from examples.two_apps.story import Story, wants_colour
from examples.two_apps.stripe_events import load
from examples.two_apps.together import FASTAPI_SCHOOL, FASTAPI_SHOP, Stack, Together, started

SHOP, SCHOOL = "total-typescript", "ai-hero"
COURSE = "course_evals"


@dataclass(frozen=True)
class Act:
    """
    Something that Stripe tells the shop, and what is to come of it.
    """

    title: str
    stripe: dict[str, object]
    name: str
    user_id: str
    """The person's account at the school."""
    ledger: str
    """The status at the shop."""
    entitlement: str
    """The status at the school."""
    page: int
    """What the school answers when the person opens the course."""


ACTS = (
    Act(
        title="Ada, who has linked her accounts, buys the bundle.",
        stripe=load("checkout.session.completed"),
        name="Ada",
        user_id="member_ada",
        ledger="synced",
        entitlement="active",
        page=200,
    ),
    Act(
        title="Grace buys it as a guest. Somebody at the school has her address, but that proves nothing.",
        stripe=load("checkout.session.completed.expanded"),
        name="Grace",
        user_id="member_grace",
        ledger="synced",
        entitlement="pending",
        page=403,
    ),
    Act(
        title="Ada gets her money back.",
        stripe=load("charge.refunded"),
        name="Ada",
        user_id="member_ada",
        ledger="revoked",
        entitlement="revoked",
        page=403,
    ),
    Act(
        title="So does Grace.",
        stripe=load("charge.refunded", id="ch_3SPy2aLm4Rk9Tq2Z1pQwErTy", payment_intent="pi_3SPy2aLm4Rk9Tq2Z1uIoPaSd"),
        name="Grace",
        user_id="member_grace",
        ledger="revoked",
        entitlement="revoked",
        page=403,
    ),
)


class Stage:
    """
    Both apps, and a look into their databases.
    """

    def __init__(self, both: Together, story: Story, shop: Engine, school: Engine) -> None:
        self._both = both
        self._story = story
        self._shop = shop
        self._school = school
        self._buyers: dict[str, str] = {}
        self._seen = {SHOP: 0, SCHOOL: 0}
        self._failed: set[str] = set()

    async def play(self, act: Act) -> None:
        """
        Play one act, and tell it.
        """
        self._story.chapter(act.title)
        response = await self._both.stripe(act.stripe)
        self._story.crossing("Stripe", SHOP, str(act.stripe["type"]), f"answered with {response.status_code}")
        await self._both.local.asettle()
        self._tell_crossings(SHOP, SCHOOL, self._both.school.inngest)
        self._tell_crossings(SCHOOL, SHOP, self._both.shop.inngest)
        purchase_id = response.json().get("purchase")
        self._buyers.setdefault(purchase_id, act.name)
        self._tell_ledger()
        self._tell_entitlements()
        ledger = [row.status for row in self._ledger() if row.purchase_id == purchase_id]
        held = [str(row.status) for row in self._entitlements() if row.source_purchase_id == purchase_id]
        self._story.expect(f"{act.name}’s row in the ledger is", act.ledger, " and ".join(ledger) or "missing")
        self._story.expect(f"{act.name}’s entitlement is", act.entitlement, " and ".join(held) or "missing")
        self._story.expect(f"{act.name} opens the course, and gets", act.page, await self._open(act.user_id))

    async def _open(self, user_id: str) -> int:
        async with self._both.school.visitor() as browser:
            await browser.post("/sign-in", data={"user": user_id})
            return (await browser.get(f"/courses/{COURSE}")).status_code

    def _tell_crossings(self, source: str, target: str, inngest: Environment) -> None:
        received = inngest.log.received
        for event in received[self._seen[target] :]:
            if event.name in EVENTS:
                self._story.crossing(source, target, event.name, _described(event))
        self._seen[target] = len(received)
        for run in inngest.log.failures:
            if run.id not in self._failed:
                self._failed.add(run.id)
                self._story.problem(f"{run.function_id} of {target} failed: {run.error and run.error.message}")

    def _tell_ledger(self) -> None:
        rows = [
            (self._whose(row.purchase_id), row.target_product_id, row.status, f"version {row.version}")
            for row in self._ledger()
        ]
        self._story.holds(SHOP, "CrossAppSync", rows)

    def _tell_entitlements(self) -> None:
        rows = [
            (
                self._whose(row.source_purchase_id or ""),
                row.product_id,
                row.status,
                f"version {row.source_version}",
                f"user {row.user_id}" if row.user_id else f"for {masked(row.pending_for_email or '')}",
            )
            for row in self._entitlements()
        ]
        self._story.holds(SCHOOL, "Entitlement", rows)

    def _ledger(self) -> Sequence[CrossAppSync]:
        with Session(self._shop) as session:
            return sorted(session.exec(select(CrossAppSync)), key=lambda row: self._whose(row.purchase_id))

    def _entitlements(self) -> Sequence[Entitlement]:
        with Session(self._school) as session:
            return sorted(session.exec(select(Entitlement)), key=lambda row: self._whose(row.source_purchase_id or ""))

    def _whose(self, purchase_id: str) -> str:
        return f"{self._buyers.get(purchase_id, 'somebody')}’s"


async def play(story: Story, *, shop: Stack = FASTAPI_SHOP, school: Stack = FASTAPI_SCHOOL) -> bool:
    """
    Play all acts; True if everything came as it should.

    Args:
        story: Where it is told.
        shop: What the shop is made of.
        school: What the school is made of.
    """
    story.title("One app sells a bundle, every app in the bundle unlocks.")
    story.setting(f"{SHOP} is {shop.name}, {SCHOOL} is {school.name}.")
    with TemporaryDirectory() as folder, _opened(folder, "shop") as sold, _opened(folder, "school") as granted:
        try:
            async with started((sold.url, granted.url), shop=shop, school=school) as both:
                stage = Stage(both, story, sold, granted)
                for act in ACTS:
                    await stage.play(act)
        except Exception as error:  # noqa: BLE001 (whatever it is, a sentence says more than a traceback here)
            story.problem(f"It can’t go on: {type(error).__name__}: {error}")
    return story.end()


@contextmanager
def _opened(folder: str, name: str) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{folder}/{name}.db")
    yield engine
    engine.dispose()


def _described(event: ReceivedEvent) -> str:
    data = event.data
    details = [data.get("productId"), data.get("status"), data.get("reason"), data.get("message")]
    if email := data.get("buyerEmail"):
        details.append(f"for {masked(str(email))}")
    return ", ".join(str(detail) for detail in details if detail)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Play on this terminal; the exit code.

    Args:
        arguments: Those of the command line if None.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.two_apps.demo",
        description="Plays a sale and a refund between the example apps, and tells what crossed the bridge.",
    )
    parser.add_argument("--flask", action="store_true", help="the shop is the Flask app, with a sync engine")
    shop = _flask_shop() if parser.parse_args(arguments).flask else FASTAPI_SHOP
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it isn't UTF-8
    os.environ["no_proxy"] = "*"  # everything is on this machine
    logging.disable()  # what goes wrong is told by the story
    return 0 if asyncio.run(play(Story(sys.stdout, colour=wants_colour(sys.stdout)), shop=shop)) else 1


def _flask_shop() -> Stack:
    from examples.flask_seller.stack import FLASK_SHOP  # only this needs Flask

    return FLASK_SHOP


if __name__ == "__main__":
    sys.exit(main())
