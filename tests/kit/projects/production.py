"""
What the apps have in common: made once, on import, and with the settings of production.
"""

import inngest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

import crossapp_tt as tt
from crossapp_core import Peer, Settings
from tests.kit.projects.tables import Product, purchases

SECRET = "the secret that both apps were given"

SETTINGS = Settings("total-typescript", [Peer(app_id="ai-hero", event_key="live-key-of-ai-hero", secret=SECRET)])


def production_client() -> inngest.Inngest:
    """
    The app's own client: it would send to Inngest's cloud, and takes signed requests alone.
    """
    return inngest.Inngest(
        app_id="shop", is_production=True, event_key="live-key-of-the-shop", signing_key="signkey-prod-0a1b2c3d"
    )


def shop_bridge(client: inngest.Inngest, engine: Engine | AsyncEngine, *, sold: str = "purchase/created") -> tt.Bridge:
    """
    The shop's bridge, started by its event *sold*.
    """
    return tt.Bridge(
        client,
        engine,
        settings=SETTINGS,
        purchases=purchases(),
        bundles=tt.StripeMetadata(Product.stripe_metadata),
        purchase_created=tt.HostEvent(sold),
    )
