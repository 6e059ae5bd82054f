"""
A seller and a granter in one process: real apps, each with a database and an Inngest environment of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from crossapp_ah.models import Entitlement
from crossapp_core import Settings
from crossapp_core.events import Event
from crossapp_core.testing import LocalInngest
from crossapp_tt.models import CrossAppSync
from tests.databases import Database
from tests.together.apps import GRANTER, SCHOOL_KEY, SELLER, SHOP_KEY, App, School, Shop, metadata, peer

ADA = {"user_id": "ada", "email": "ada@example.com"}
"""A buyer whom the school knows."""
BOB = {"user_id": "bob", "email": "bob@example.com"}
"""One whom it doesn't know."""


class World:
    """
    Both apps, each the other's only peer.
    """

    def __init__(self, local: LocalInngest, shop: Shop, school: School) -> None:
        self.local = local
        self.clock = local.clock
        self.shop = shop
        self.school = school
        self.shop_settings = Settings(SELLER, [peer(GRANTER, school.environment.url, SCHOOL_KEY)], dev=True)
        self.school_settings = Settings(GRANTER, [peer(SELLER, shop.environment.url, SHOP_KEY)], dev=True)

    @classmethod
    async def open(cls, local: LocalInngest, shop: Database, school: Database, *, is_async: bool = True) -> World:
        """
        Deploy both: the shop sells one course of the school, which knows one of the shop's users.
        """
        environments = local.environment("shop", keys=[SHOP_KEY]), local.environment("school", keys=[SCHOOL_KEY])
        world = cls(local, Shop(environments[0], shop, local.clock), School(environments[1], school, local.clock))
        await world.shop.open(world.shop_settings, engine=None if is_async else shop.engine)
        await world.school.open(world.school_settings, engine=None if is_async else school.engine)
        world.shop.offer("bundle", metadata("course"))
        world.school.teach("course")
        world.school.link("ada-at-school", "ada")
        return world

    def app(self, name: str) -> App:
        """
        The app that is called so.
        """
        return self.shop if name == "shop" else self.school

    async def settle(self, within: timedelta = timedelta(days=7)) -> None:
        """
        Let happen what is to happen.
        """
        await self.local.asettle(within=within)

    async def live(self, time: timedelta, *, every: timedelta = timedelta(minutes=1)) -> None:
        """
        Let time pass, and what both apps do each minute happen so often.
        """
        ends = self.clock() + time
        while self.clock() < ends:
            self.clock.advance(min(every, ends - self.clock()))
            for app in (self.shop, self.school):
                app.environment.run_cron("reconcile-cross-app")
            await self.settle(timedelta(0))

    async def sale(self, purchase: str, **buyer: Any) -> None:
        """
        Sell the bundle, and let happen what then happens.
        """
        self.shop.sell(purchase, **buyer)
        self.shop.created(purchase)
        await self.settle()

    async def refund(self, purchase: str) -> None:
        """
        Refund it.
        """
        self.shop.change(purchase, status="Refunded")
        self.shop.refunded(purchase)
        await self.settle()

    def send_to_school(self, event: Event, *, id: str) -> None:  # noqa: A002
        """
        Let an event arrive at the school that the shop has signed.
        """
        self.school.receive(event, id=id, settings=self.shop_settings, target=GRANTER)

    def send_to_shop(self, event: Event, *, id: str) -> None:  # noqa: A002
        """
        Let an event arrive at the shop that the school has signed.
        """
        self.shop.receive(event, id=id, settings=self.school_settings, target=SELLER)

    def rows(self) -> list[dict[str, object]]:
        """
        All that both databases hold of us, to be compared later.
        """
        return [row.model_dump() for row in [*self.shop.ledger(), *self.school.entitlements()]]

    def crossed(self) -> Mapping[str, int]:
        """
        How many events of each name went from one app to the other, repetitions left out.
        """
        received = [*self.shop.environment.log.received, *self.school.environment.log.received]
        return Counter(event.name for event in received if event.key is not None and not event.duplicate)

    def assert_agreement(self) -> None:
        """
        Check that both databases say the same, and that nobody owes anything.
        """
        ledger = {(row.purchase_id, row.target_product_id): _wanted(row) for row in self.shop.ledger()}
        held = {(row.source_purchase_id, row.product_id): _held(row) for row in self.school.entitlements()}
        assert ledger == held
        assert [row.id for row in self.shop.ledger() if row.next_attempt_at] == []

    async def close(self) -> None:
        """
        Close the connections between them.
        """
        for app in (self.shop, self.school):
            await app.bridge.client.aclose()


def _wanted(row: CrossAppSync) -> object:
    # of what is revoked, the granter doesn't say who held it
    return row.status, row.target_entitlement_id, row.version, row.status == "synced" and row.target_user_id


def _held(row: Entitlement) -> object:
    status = "revoked" if row.status == "revoked" else "synced"
    return status, row.id, row.source_version, status == "synced" and row.user_id
