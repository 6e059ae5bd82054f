"""
A deployed shop whose granters are no more than their Inngest environments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from crossapp_core import Settings
from crossapp_core.testing import Environment, LocalInngest
from tests.databases import Database, open_database
from tests.together.apps import (
    GRANTER,
    OTHER,
    OTHER_KEY,
    OTHER_SECRET,
    SCHOOL_KEY,
    SELLER,
    SHOP_KEY,
    Shop,
    metadata,
    peer,
)

ADA = {"user_id": "ada", "email": "Ada@Example.com"}
BUNDLE = metadata("course", (OTHER, "workshop"))


class Seller:
    """
    A shop with two granters, of which there is no more than the Inngest environments.
    """

    def __init__(self, local: LocalInngest, database: Database) -> None:
        self.local = local
        self.school = local.environment("school", keys=[SCHOOL_KEY])
        self.other = local.environment("other", keys=[OTHER_KEY])
        self.shop = Shop(local.environment("shop", keys=[SHOP_KEY]), database, local.clock)
        granters = [
            peer(GRANTER, self.school.url, SCHOOL_KEY),
            peer(OTHER, self.other.url, OTHER_KEY, OTHER_SECRET),
        ]
        self.settings = Settings(SELLER, granters, dev=True)
        self.school_settings = Settings(GRANTER, [peer(SELLER, self.shop.environment.url, SHOP_KEY)], dev=True)

    async def settle(self, within: timedelta = timedelta(days=7)) -> None:
        """
        Let happen what is to happen.
        """
        await self.local.asettle(within=within)

    async def sale(self, stripe_metadata: str | None = BUNDLE) -> None:
        """
        Sell a bundle.
        """
        self.shop.offer("bundle", stripe_metadata)
        self.shop.sell("p1", **ADA)
        self.shop.created("p1")
        await self.settle()

    def answer(self, kind: type[Any], **fields: Any) -> None:
        """
        Let the school answer for the course, at the ledger's version if no other is given.
        """
        [row] = [row for row in self.shop.ledger() if row.target_app == GRANTER]
        known = {"source_purchase_id": "p1", "product_id": "course", "version": row.version}
        event = kind(source_app=GRANTER, **{**known, **fields})
        self.shop.receive(event, id=event.event_id(), settings=self.school_settings, target=SELLER)


@asynccontextmanager
async def opened(name: str, folder: Path) -> AsyncIterator[Seller]:
    with LocalInngest() as local, open_database(name, folder) as database:
        seller = Seller(local, database)
        await seller.shop.open(seller.settings)
        yield seller
        await seller.shop.bridge.client.aclose()


def names(environment: Environment) -> list[str]:
    return [event.name for event in environment.log.received]
