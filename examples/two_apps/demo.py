"""
Plays sales, links and refunds between the example apps, then an outage and what happens in it, and tells what crossed
the bridge and what both databases hold:

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
from datetime import timedelta
from tempfile import TemporaryDirectory

from sqlalchemy import Engine
from sqlmodel import create_engine

from examples.two_apps.seller import sample
from examples.two_apps.serving import OnPort, served
from examples.two_apps.stage import LOCKED, OPEN, SCHOOL, SHOP, WAITS, Stage
from examples.two_apps.story import Story, wants_colour
from examples.two_apps.stripe_events import load

ADA_AT_SCHOOL = "countess@lovelace.example"
SALE, GUEST_SALE, REFUND = "checkout.session.completed", "checkout.session.completed.expanded", "charge.refunded"
HOUR = timedelta(hours=1)


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
                stage = Stage(sites, story, sold, granted)
                async with stage.ada, stage.grace:
                    for act in (_sales_and_links, _refunds, _outage, _silent_change):
                        await act(stage)
        except Exception as error:  # noqa: BLE001 (whatever it is, a sentence says more than a traceback here)
            story.problem(f"It can’t go on: {type(error).__name__}: {error}")
    return story.end()


async def _sales_and_links(stage: Stage) -> None:
    story, ada, grace = stage.story, stage.ada, stage.grace
    story.chapter("Ada buys the bundle. At the school nobody knows her.")
    await stage.hear("Ada’s", load(SALE))
    await stage.look("Ada’s", WAITS)

    story.chapter("She makes an account there, with another address, and links it from the shop.")
    await ada.register(ADA_AT_SCHOOL)
    await ada.sign_in(stage.sites.shop_url, "ada@example.com")
    told = await ada.link_from_shop()
    story.expect("Back at the shop she reads", "The accounts are linked now.", told)
    await stage.look("Ada’s", OPEN)

    story.chapter("Grace buys it as a guest. Only the shop knows whose address that is.")
    await stage.hear("Grace’s", load(GUEST_SALE))
    await stage.look("Grace’s", WAITS)

    story.chapter("She signs in at the school with GitHub, as she does at the shop.")
    await grace.sign_in_with_github(sample.GRACE_AT_GITHUB)
    await stage.look("Grace’s", OPEN)


async def _refunds(stage: Stage) -> None:
    stage.story.chapter("Ada gets her money back.")
    await stage.hear("Ada’s", load(REFUND))
    await stage.look("Ada’s", LOCKED)

    stage.story.chapter("So does Grace.")
    charge, payment = "ch_3SPy2aLm4Rk9Tq2Z1pQwErTy", "pi_3SPy2aLm4Rk9Tq2Z1uIoPaSd"
    await stage.hear("Grace’s", load(REFUND, id=charge, payment_intent=payment))
    await stage.look("Grace’s", LOCKED)


async def _outage(stage: Stage) -> None:
    stage.story.chapter("The school is switched off. Ada and Grace buy again, and Alan, who gets his money back.")
    stage.switch_off_school()
    await stage.hear("Ada’s new", _sale("ada", buyer="usr_ada"))
    await stage.hear("Grace’s new", _sale("grace", buyer="usr_grace"))
    await stage.hear("Alan’s", _sale("alan", buyer=None))
    await stage.hear("Alan’s", load(REFUND, id="ch_alan", payment_intent="pi_alan"))
    await stage.settle()
    # what is owed is looked for each minute, yet a peer that is down is asked ever more rarely
    await stage.run("reconcile-cross-app", after=HOUR)
    stage.tell_ledger()
    stage.check_waiting("Ada’s new", "Grace’s new", "Alan’s")

    stage.story.chapter("Support gives Grace her money back, by SQL: no event tells of that.")
    stage.refund_by_sql("Grace’s new")

    stage.story.chapter("An hour later the school is back. It gets what it is owed, refunds first.")
    stage.switch_on_school()
    await stage.run("reconcile-cross-app", after=HOUR)
    stage.check_order("entitlement/revoke", "bundle/purchased", "bundle/purchased")
    stage.tell()
    await stage.check("Alan’s", LOCKED)
    await stage.check("Ada’s new", OPEN)
    await stage.check("Grace’s new", OPEN)


async def _silent_change(stage: Stage) -> None:
    stage.story.chapter("Each hour the shop compares all purchases with its ledger, and finds what support did.")
    await stage.run("sweep-purchases")
    await stage.run("reconcile-cross-app")
    await stage.look("Grace’s new", LOCKED)
    stage.check_agreement()


def _sale(name: str, *, buyer: str | None) -> dict[str, object]:
    details = {"email": f"{name}@example.com"}
    payment = f"pi_{name}"
    return load(SALE, id=f"cs_{name}", payment_intent=payment, client_reference_id=buyer, customer_details=details)


@contextmanager
def _opened(folder: str, name: str) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{folder}/{name}.db")
    yield engine
    engine.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Play on this terminal; the exit code.

    Args:
        arguments: Those of the command line if None.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.two_apps.demo",
        description="Plays sales, links, refunds and an outage between the example apps, and tells what crosses the "
        "bridge.",
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
