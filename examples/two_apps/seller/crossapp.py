"""
The bridge: what makes the shop a seller.
"""

from __future__ import annotations

from collections.abc import Mapping

import inngest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

import crossapp_tt as tt
from crossapp_core import Settings
from examples.two_apps.seller.config import APP_ID
from examples.two_apps.seller.models import Account, Product, Purchase, PurchaseStatus, User

OWNED = (PurchaseStatus.VALID, PurchaseStatus.RESTRICTED)


def make_bridge(
    client: inngest.Inngest, engine: Engine | AsyncEngine, environ: Mapping[str, str], *, dev: bool
) -> tt.Bridge:
    """
    The bridge to the school. An async engine makes its functions async, a sync one sync; nothing else differs.
    """
    return tt.Bridge(
        client,
        engine,
        settings=Settings.from_env(APP_ID, peers={"ai-hero": "AI_HERO"}, dev=dev, environ=environ),
        purchases=tt.TablePurchases(
            Purchase, owned=col(Purchase.status).in_(OWNED), bundle_products=Purchase.product_metadata
        ),
        bundles=tt.StripeMetadata(Product.stripe_metadata),
        users=tt.TableUsers(User),
        accounts=tt.TableAccounts(Account),
    )
