"""
What people do in both apps, and what must come of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import SQLModel, col, update

from examples.two_apps.granter import models as school
from examples.two_apps.seller import models as shop
from examples.two_apps.stripe_events import load
from tests.crashes.world import World

COURSES = ("course_agents", "course_evals")
"""What the bundle holds, at the school."""
_BUNDLE = "prod_Everything"
_BUYERS = 12
_LOST = (
    *(("school", name) for name in ("bundle/purchased", "entitlement/revoke", "account/linked")),
    *(("shop", name) for name in ("entitlement/granted", "entitlement/revoked", "account/linked")),
)


@dataclass
class Buyer:
    """
    Somebody with an account in each app, and one at GitHub that opens both.
    """

    number: int
    linked: bool = False
    """Whether they have signed in to the shop with it, which links the two."""

    @property
    def user_id(self) -> str:
        """
        Their id at the shop.
        """
        return f"usr_{self.number}"

    @property
    def member_id(self) -> str:
        """
        Their id at the school.
        """
        return f"member_{self.number}"


@dataclass
class Sale:
    """
    A bundle that was sold.
    """

    number: int
    buyer: Buyer | None
    """None for a guest, whom neither app knows."""
    refunded: bool = False
    unheard: bool = False
    """Whether it was written into the database past the bridge."""

    @property
    def checkout(self) -> str:
        """
        Stripe's id of it.
        """
        return f"cs_{self.number}"

    @property
    def email(self) -> str:
        """
        The address that was typed in.
        """
        return f"{self.buyer.user_id if self.buyer else f'guest_{self.number}'}@example.com"

    @property
    def holder(self) -> str | None:
        """
        Who holds it at the school.
        """
        return self.buyer.member_id if self.buyer and self.buyer.linked else None


class Story:
    """
    Sales, refunds and sign-ins, chosen by chance.

    Args:
        world: Where it takes place.
        chance: What chooses.
    """

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.buyers = [Buyer(number) for number in range(_BUYERS)]
        self.sales: list[Sale] = []

    def begin(self) -> None:
        """
        Write into both databases who there is, and what is for sale.
        """
        bundle = ", ".join(f'{{"app": "ai-hero", "productId": "{course}"}}' for course in COURSES)
        metadata = {"bundleProducts": f"[{bundle}]"}
        with self.world.session("shop") as session:
            session.add(shop.Product(id=_BUNDLE, name="Everything", price=24_900, stripe_metadata=metadata))
            session.add_all(shop.User(id=each.user_id, email=_address(each)) for each in self.buyers)
            session.flush()
            session.add_all(_at_github(shop.Account, each.number, each.user_id) for each in self.buyers)
        with self.world.session("school") as session:
            session.add_all(school.User(id=each.member_id, email=_address(each)) for each in self.buyers)
            session.flush()
            session.add_all(_at_github(school.Account, each.number, each.member_id) for each in self.buyers)

    async def buy(self) -> None:
        """
        Somebody buys the bundle.
        """
        buyer = self.chance.choice([*self.buyers, None])
        sale = Sale(len(self.sales), buyer)
        self.sales.append(sale)
        await self.world.stripe(self._paid(sale))
        if self.chance.random() < 0.2:
            await self._pay_back(sale)

    async def refund(self) -> None:
        """
        Somebody gets the money back.
        """
        sale = self._any_owned()
        if sale is not None:
            await self._pay_back(sale)

    async def sign_in(self) -> None:
        """
        Somebody signs in to the shop by GitHub, as at the school.
        """
        buyer = self.chance.choice(self.buyers)
        buyer.linked = True
        self.world.shop.environment.emit("user/login", {"userId": buyer.user_id})

    async def buy_unheard(self) -> None:
        """
        Somebody buys the bundle, and support writes it into the database by hand.
        """
        sale = Sale(len(self.sales), self.chance.choice(self.buyers), unheard=True)
        self.sales.append(sale)
        self._write([sale], self.world.clock())

    async def refund_unheard(self) -> None:
        """
        Support gives somebody the money back, and writes only that.
        """
        sale = self._any_owned()
        if sale is not None:
            sale.refunded = True
            with self.world.session("shop") as session:
                this = col(shop.Purchase.checkout_session_id) == sale.checkout
                session.execute(update(shop.Purchase).where(this).values(status="Refunded"))

    async def lose(self) -> None:
        """
        An Inngest loses the next event of some kind.
        """
        app, name = self.chance.choice(_LOST)
        (self.world.shop if app == "shop" else self.world.school).environment.drop(name)

    async def do_something(self) -> None:
        """
        Any of these.
        """
        deeds = {
            self.buy: 8,
            self.refund: 3,
            self.sign_in: 3,
            self.buy_unheard: 1,
            self.refund_unheard: 1,
            self.lose: 2,
        }
        [deed] = self.chance.choices([*deeds], [*deeds.values()])
        await deed()

    def sell_before(self, count: int) -> None:
        """
        Have so many sales that are older than the bridge, some of them refunded.
        """
        past = [
            Sale(len(self.sales) + number, self.chance.choice([*self.buyers, None]), number % 5 == 0, unheard=True)
            for number in range(count)
        ]
        self.sales += past
        self._write(past, self.world.clock() - timedelta(days=90))

    def _write(self, sales: Sequence[Sale], at: datetime) -> None:
        with self.world.session("shop") as session:
            session.add_all(
                shop.Purchase(
                    id=f"pur_{sale.number}",
                    user_id=sale.buyer.user_id if sale.buyer else None,
                    email=sale.email,
                    product_id=_BUNDLE,
                    status="Refunded" if sale.refunded else "Valid",
                    checkout_session_id=sale.checkout,
                    payment_intent_id=f"pi_{sale.number}",
                    amount=24_900,
                    created_at=at,
                )
                for sale in sales
            )

    def _any_owned(self) -> Sale | None:
        owned = [sale for sale in self.sales if not sale.refunded]
        return self.chance.choice(owned) if owned else None

    def _paid(self, sale: Sale) -> dict[str, Any]:
        return load(
            "checkout.session.completed",
            id=sale.checkout,
            payment_intent=f"pi_{sale.number}",
            client_reference_id=sale.buyer.user_id if sale.buyer else None,
            customer_details={"email": sale.email},
            created=int(self.world.clock().timestamp()),
            metadata={"productId": _BUNDLE},
        )

    async def _pay_back(self, sale: Sale) -> None:
        sale.refunded = True
        await self.world.stripe(load("charge.refunded", id=f"ch_{sale.number}", payment_intent=f"pi_{sale.number}"))


def _address(buyer: Buyer) -> str:
    return f"{buyer.user_id}@example.com"


def _at_github(account: type[SQLModel], number: int, user_id: str) -> SQLModel:
    return account(provider="github", provider_account_id=f"github_{number}", user_id=user_id)
