"""
The bridge: what makes the shop a seller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

import inngest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

import crossapp_tt as tt
from crossapp_core import Settings
from examples.two_apps.seller.config import APP_ID
from examples.two_apps.seller.models import Account, Product, Purchase, PurchaseStatus, User

log = logging.getLogger(__name__)

DISPUTE = "purchase/disputed"
"""The shop's own event of a dispute that was opened, won or lost."""
OWNED = (PurchaseStatus.VALID, PurchaseStatus.RESTRICTED)


def make_bridge(
    client: inngest.Inngest,
    engine: Engine | AsyncEngine,
    environ: Mapping[str, str],
    *,
    dev: bool,
    clock: Callable[[], datetime] | None = None,
) -> tt.Bridge:
    """
    The bridge to the school. An async engine makes its functions async, a sync one sync; nothing else differs.
    """
    return tt.Bridge(
        client,
        engine,
        settings=Settings.from_env(APP_ID, peers={"ai-hero": "AI_HERO"}, dev=dev, environ=environ),
        purchases=tt.TablePurchases(
            Purchase,
            owned=col(Purchase.status).in_(OWNED),
            disputed=col(Purchase.status) == PurchaseStatus.DISPUTED,
            bundle_products=Purchase.product_metadata,
        ),
        bundles=tt.StripeMetadata(Product.stripe_metadata),
        purchase_changed=[tt.HostEvent(DISPUTE)],
        users=tt.TableUsers(User),
        accounts=tt.TableAccounts(Account),
        on_problem=alert,
        clock=clock,
    )


def alert(problem: tt.Problem) -> None:
    """
    Tell whoever looks after the shop of what the bridge can't put right alone; a real app pages somebody.
    """
    log.error("%s: %s %s", problem.code, problem.message, ", ".join(problem.ids))
