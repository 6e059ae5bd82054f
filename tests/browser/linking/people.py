"""
Buyers with an account at each of the example apps, what they do there in a browser, and what the databases then hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import uuid4

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Engine, create_engine, make_url
from sqlmodel import Session, col, select

from crossapp_core import Settings, tokens
from crossapp_core.models import AccountLink, AccountLinkToken
from examples.two_apps.granter import models as school
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.seller import models as shop
from examples.two_apps.serving import Served
from examples.two_apps.stripe_events import load
from examples.two_apps.together import Running

TOTAL_TYPESCRIPT, AI_HERO = "total-typescript", "ai-hero"
COURSE = "/courses/course_evals"
"""What the school opens to those who bought the shop's bundle."""
_PEERS = {TOTAL_TYPESCRIPT: {AI_HERO: "AI_HERO"}, AI_HERO: {TOTAL_TYPESCRIPT: "TT"}}


@dataclass(frozen=True)
class App:
    """
    One of the two apps, as its people see it.
    """

    id: str
    name: str
    url: str
    engine: Engine = field(repr=False)
    running: Running = field(repr=False)

    @property
    def cookie(self) -> str:
        """
        The name of the cookie that holds the link that somebody is asked to confirm here.
        """
        return f"crossapp-link-{self.id}"

    def links(self, user_id: str) -> list[str]:
        """
        Those in the other app with whom a user of this one is linked.
        """
        query = select(AccountLink).where(col(AccountLink.user_id) == user_id, col(AccountLink.active) == 1)
        with Session(self.engine) as session:
            return [row.linked_user_id for row in session.exec(query)]

    def used(self) -> int:
        """
        How many tokens were used here.
        """
        with Session(self.engine) as session:
            return len(session.exec(select(AccountLinkToken)).all())


@dataclass(frozen=True)
class Buyer:
    """
    Somebody with an account at both, each with another id.
    """

    shop_id: str
    school_id: str
    shop_email: str
    school_email: str

    def id_at(self, app: App) -> str:
        """
        Their id in one of the apps.
        """
        return self.shop_id if app.id == TOTAL_TYPESCRIPT else self.school_id

    def email_at(self, app: App) -> str:
        """
        Their address in one of the apps.
        """
        return self.shop_email if app.id == TOTAL_TYPESCRIPT else self.school_email


class World:
    """
    Both apps and their people. It is shared by the tests, so each has people of its own.
    """

    def __init__(self, sites: Served, engines: Sequence[Engine]) -> None:
        self.sites = sites
        self.shop = App(TOTAL_TYPESCRIPT, "Total TypeScript", sites.shop_url, engines[0], sites.both.shop)
        self.school = App(AI_HERO, "AI Hero", sites.school_url, engines[1], sites.both.school)
        self._numbers = count(1)
        cheap = PasswordHash([Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)])  # people sign in often here
        self._password_hash = cheap.hash(PASSWORD)

    def other(self, app: App) -> App:
        """
        The school for the shop, the shop for the school.
        """
        return self.school if app is self.shop else self.shop

    def buyer(self, name: str = "ada", *, one_address: bool = False) -> Buyer:
        """
        Give somebody two accounts, with two addresses or with one.
        """
        local = f"{name}{next(self._numbers)}"
        home, work = f"{local}@example.com", f"{local}@work.example"
        buyer = Buyer(f"usr_{local}", f"member_{local}", home, home if one_address else work)
        for app, model in ((self.shop, shop.User), (self.school, school.User)):
            user = model(id=buyer.id_at(app), name=name.title(), email=buyer.email_at(app), email_verified=True)
            user.password_hash = self._password_hash
            with Session(app.engine) as session, session.begin():
                session.add(user)
        return buyer

    async def buy(self, buyer: Buyer) -> None:
        """
        Have Stripe tell the shop that somebody, who was signed in there, has paid for the bundle.
        """
        number = uuid4().hex
        sale = load(
            "checkout.session.completed",
            id=f"cs_test_{number}",
            payment_intent=f"pi_{number}",
            client_reference_id=buyer.shop_id,
            customer_details={"email": buyer.shop_email},
        )
        assert (await self.sites.both.stripe(sale)).status_code == 200
        await self.settle()

    async def settle(self) -> None:
        """
        Let both Inngests do all that is to be done.
        """
        await self.sites.local.asettle()

    def are_linked(self, buyer: Buyer) -> bool:
        """
        Whether somebody's accounts are linked with one another, and with no others, in both apps alike.
        """
        ours, theirs = self.shop.links(buyer.shop_id), self.school.links(buyer.school_id)
        assert (ours, theirs) in (([], []), ([buyer.school_id], [buyer.shop_id]))
        return bool(ours)

    def token(self, buyer: Buyer, start: App, *, age: timedelta = timedelta()) -> str:
        """
        The token that one of the apps made some time ago.
        """
        settings = Settings.from_env(start.id, peers=_PEERS[start.id], dev=True, environ=start.running.environ)
        return tokens.issue(
            settings,
            self.other(start).id,
            user_id=buyer.id_at(start),
            email=buyer.email_at(start),
            return_to="/account-link",
            id=uuid4().hex,
            now=self.sites.local.clock() - age,
        )


@contextmanager
def world_of(sites: Served) -> Iterator[World]:
    """
    The two apps of *sites*, with connections of our own to their databases.
    """
    urls = [make_url(running.environ["DATABASE_URL"]) for running in (sites.both.shop, sites.both.school)]
    engines = [create_engine(url.set(drivername="sqlite")) for url in urls]
    yield World(sites, engines)
    for engine in engines:
        engine.dispose()
