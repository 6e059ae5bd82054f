"""
Plays sales, links and refunds between the example apps, and tells what crossed the bridge and what both databases hold:

    python -m examples.two_apps.demo
    python -m examples.two_apps.demo --flask

Both apps run in this process, each with its own database and its own Inngest, which are gone at the end; so does what
stands in for GitHub.
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
from sqlmodel import Session, col, create_engine, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_core.addresses import masked
from crossapp_core.events import EVENTS
from crossapp_core.testing import Environment, ReceivedEvent
from crossapp_tt.models import CrossAppSync
from examples.two_apps.people import Person
from examples.two_apps.seller import sample
from examples.two_apps.serving import OnPort, Served, served
from examples.two_apps.story import Story, wants_colour
from examples.two_apps.stripe_events import load

SHOP, SCHOOL = "total-typescript", "ai-hero"
COURSE = "course_evals"
ADA_AT_SCHOOL = "countess@lovelace.example"

_SHORT = 12


@dataclass(frozen=True)
class Wanted:
    """
    What is to come of an act.
    """

    ledger: str
    """The status at the shop."""
    entitlement: str
    """The status at the school."""
    page: int
    """What the school answers when the person opens the course."""


WAITS, OPEN, LOCKED = (
    Wanted("synced", "pending", 403),
    Wanted("synced", "active", 200),
    Wanted("revoked", "revoked", 403),
)


class Stage:
    """
    Both apps, two people with a browser each, and a look into the databases.
    """

    def __init__(self, sites: Served, story: Story, shop: Engine, school: Engine) -> None:
        self._sites = sites
        self._both = sites.both
        self._story = story
        self._shop = shop
        self._school = school
        self._ada, self._grace = Person(sites), Person(sites)
        self._purchases: dict[str, str] = {}
        self._seen = {SHOP: 0, SCHOOL: 0}
        self._links = 0
        self._failed: set[str] = set()

    async def play(self) -> None:
        """
        Play all acts, and tell them.
        """
        async with self._ada, self._grace:
            self._story.chapter("Ada buys the bundle. At the school nobody knows her.")
            await self._hear("Ada", load("checkout.session.completed"))
            await self._look("Ada", self._ada, WAITS)

            self._story.chapter("She makes an account there, with another address, and links it from the shop.")
            await self._ada.register(ADA_AT_SCHOOL)
            await self._ada.sign_in(self._sites.shop_url, "ada@example.com")
            told = await self._ada.link_from_shop()
            self._story.expect("Back at the shop she reads", "The accounts are linked now.", told)
            await self._look("Ada", self._ada, OPEN)

            self._story.chapter("Grace buys it as a guest. Only the shop knows whose address that is.")
            await self._hear("Grace", load("checkout.session.completed.expanded"))
            await self._look("Grace", self._grace, WAITS)

            self._story.chapter("She signs in at the school with GitHub, as she does at the shop.")
            await self._grace.sign_in_with_github(sample.GRACE_AT_GITHUB)
            await self._look("Grace", self._grace, OPEN)

            self._story.chapter("Ada gets her money back.")
            await self._hear("Ada", load("charge.refunded"))
            await self._look("Ada", self._ada, LOCKED)

            self._story.chapter("So does Grace.")
            charge, payment = "ch_3SPy2aLm4Rk9Tq2Z1pQwErTy", "pi_3SPy2aLm4Rk9Tq2Z1uIoPaSd"
            await self._hear("Grace", load("charge.refunded", id=charge, payment_intent=payment))
            await self._look("Grace", self._grace, LOCKED)

    async def _hear(self, buyer: str, event: dict[str, object]) -> None:
        response = await self._both.stripe(event)
        self._story.crossing("Stripe", SHOP, str(event["type"]), f"answered with {response.status_code}")
        self._purchases[buyer] = str(response.json().get("purchase"))

    async def _look(self, name: str, person: Person, wanted: Wanted) -> None:
        await self._both.local.asettle()
        self._tell_crossings(SHOP, SCHOOL, self._both.school.inngest)
        self._tell_crossings(SCHOOL, SHOP, self._both.shop.inngest)
        self._tell_links()
        self._tell_ledger()
        self._tell_entitlements()
        bought = self._purchases[name]
        ledger = [row.status for row in self._ledger() if row.purchase_id == bought]
        held = [str(row.status) for row in self._entitlements() if row.source_purchase_id == bought]
        self._story.expect(f"{name}’s row in the ledger is", wanted.ledger, " and ".join(ledger) or "missing")
        self._story.expect(f"{name}’s entitlement is", wanted.entitlement, " and ".join(held) or "missing")
        self._story.expect(f"{name} opens the course, and gets", wanted.page, await person.open(COURSE))

    def _tell_crossings(self, source: str, target: str, inngest: Environment) -> None:
        received = inngest.log.received
        for event in received[self._seen[target] :]:
            if event.name in EVENTS and event.data.get("sourceApp") == source:
                self._story.crossing(source, target, event.name, _described(event))
        self._seen[target] = len(received)
        for run in inngest.log.failures:
            if run.id not in self._failed:
                self._failed.add(run.id)
                self._story.problem(f"{run.function_id} of {target} failed: {run.error and run.error.message}")

    def _tell_links(self) -> None:
        with Session(self._school) as session:
            rows = session.exec(select(AccountLink).order_by(col(AccountLink.version))).all()
        if len(rows) > self._links:
            self._links = len(rows)
            content = [
                (f"user {self._short(row.user_id)}", f"is {row.linked_user_id} there", row.link_method, row.version)
                for row in rows
            ]
            self._story.holds(SCHOOL, "AccountLink", content)

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
                f"user {self._short(row.user_id)}" if row.user_id else f"for {masked(row.pending_for_email or '')}",
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
        return next((f"{buyer}’s" for buyer, bought in self._purchases.items() if bought == purchase_id), "somebody’s")

    def _short(self, id_: str) -> str:
        return id_ if len(id_) <= _SHORT else f"{id_[:_SHORT]}…"


async def play(story: Story, *, shop: OnPort | None = None, school: OnPort | None = None) -> bool:
    """
    Play all acts; True if everything came as it should.

    Args:
        story: Where it is told.
        shop: What the shop is made of; FastAPI if None.
        school: What the school is made of; FastAPI if None.
    """
    story.title("One app sells a bundle, every app in the bundle unlocks.")
    with TemporaryDirectory() as folder, _opened(folder, "shop") as sold, _opened(folder, "school") as granted:
        try:
            async with served((sold.url, granted.url), shop=shop, school=school) as sites:
                story.setting(
                    f"{SHOP} is {sites.both.shop.site.made_of}, {SCHOOL} is {sites.both.school.site.made_of}."
                )
                await Stage(sites, story, sold, granted).play()
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
        description="Plays sales, links and refunds between the example apps, and tells what crossed the bridge.",
    )
    parser.add_argument("--flask", action="store_true", help="the shop is the Flask app, with a sync engine")
    shop = _flask_shop() if parser.parse_args(arguments).flask else None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where it isn't UTF-8
    os.environ["no_proxy"] = "*"  # everything is on this machine
    logging.disable()  # what goes wrong is told by the story
    return 0 if asyncio.run(play(Story(sys.stdout, colour=wants_colour(sys.stdout)), shop=shop)) else 1


def _flask_shop() -> OnPort:
    from examples.flask_seller.stack import shop_on  # only this needs Flask

    return shop_on


if __name__ == "__main__":
    sys.exit(main())
