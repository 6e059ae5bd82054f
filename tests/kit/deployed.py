"""
A shop and a school in this process, made as in production, on databases of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastapi
import inngest
import inngest.fast_api
from sqlmodel import select

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_core import Peer, Settings
from crossapp_core.runtime import Runtime
from crossapp_tt.models import CrossAppSync
from tests.databases import Database
from tests.hosts import SECRET, SchoolProduct, ShopProduct, ShopPurchase, shop_purchases

SHOP, SCHOOL = "total-typescript", "ai-hero"


def settings_of(app_id: str, *peers: str, sketch: bool = False, secret: str = SECRET) -> Settings:
    """
    The settings of production: all peers are in Inngest's cloud.
    """
    secret = "" if sketch else secret
    return Settings(
        app_id, [Peer(app_id=peer, event_key=f"live-key-of-{peer}", secret=secret, sketch=sketch) for peer in peers]
    )


def client_of(app_id: str) -> inngest.Inngest:
    """
    A client of production.
    """
    return inngest.Inngest(app_id=app_id, is_production=True, event_key="live", signing_key="signkey-prod-0a1b2c3d")


def served(client: inngest.Inngest, functions: Sequence[inngest.Function[Any]]) -> fastapi.FastAPI:
    """
    An app that serves those functions.
    """
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, [*functions])
    return app


@dataclass
class Deployed:
    """
    An app, its bridge and its database.
    """

    database: Database
    bridge: Runtime[Any]
    app: fastapi.FastAPI


class Shop(Deployed):
    """
    The seller.
    """

    def buy(self, purchase_id: str = "p1", *, email: str = "ada@example.com", user_id: str | None = None) -> str:
        """
        Sell the bundle.
        """
        with self.database.session() as session:
            session.add(ShopPurchase(id=purchase_id, email=email, user_id=user_id, product_id="bundle"))
        return purchase_id

    def refund(self, purchase_id: str = "p1") -> str:
        """
        Give the money back.
        """
        with self.database.session() as session:
            session.get_one(ShopPurchase, purchase_id).status = "Refunded"
        return purchase_id

    @property
    def row(self) -> CrossAppSync:
        """
        The only row of the ledger.
        """
        with self.database.session() as session:
            return session.exec(select(CrossAppSync)).one()


class School(Deployed):
    """
    The granter.
    """

    @property
    def entitlements(self) -> list[Entitlement]:
        """
        All rows.
        """
        with self.database.session() as session:
            return list(session.exec(select(Entitlement)))


def open_shop(database: Database, *, sketch: bool = False) -> Shop:
    """
    A shop that sells a bundle with one course of the school.
    """
    with database.session() as session:
        components = json.dumps([{"app": SCHOOL, "productId": "course"}])
        session.add(ShopProduct(id="bundle", stripe_metadata=json.dumps({"bundleProducts": components})))
    client = client_of(SHOP)
    bridge = tt.Bridge(
        client,
        database.engine,
        settings=settings_of(SHOP, SCHOOL, sketch=sketch),
        purchases=shop_purchases(),
        bundles=tt.StripeMetadata(ShopProduct.stripe_metadata),
    )
    return Shop(database, bridge, served(client, bridge.functions))


def open_school(database: Database, *, app_id: str = SCHOOL, sketch: bool = False, secret: str = SECRET) -> School:
    """
    A school with one course.
    """
    with database.session() as session:
        session.add(SchoolProduct(id="course"))
    client = client_of(app_id)
    bridge = ah.Bridge(
        client,
        database.engine,
        settings=settings_of(app_id, SHOP, sketch=sketch, secret=secret),
        products=ah.TableProducts(SchoolProduct),
    )
    return School(database, bridge, served(client, bridge.functions))
