"""
What a school answers.
"""

from __future__ import annotations

from typing import Literal

from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from tests.ah.school import COURSE, ID


def granted(
    status: Literal["active", "pending"], version: int = 1, *, user_id: str | None = None, source_app: str | None = None
) -> EntitlementGranted:
    """
    The answer to a sale; with *source_app* as it arrives at the shop.
    """
    return EntitlementGranted(
        source_app=source_app,
        source_purchase_id="pur_1",
        product_id=COURSE,
        entitlement_id=ID,
        user_id=user_id,
        status=status,
        version=version,
    )


def revoked(version: int = 2, *, source_app: str | None = None) -> EntitlementRevoked:
    """
    The answer to a refund; with *source_app* as it arrives at the shop.
    """
    return EntitlementRevoked(
        source_app=source_app, source_purchase_id="pur_1", product_id=COURSE, entitlement_id=ID, version=version
    )


def unknown(version: int = 1, product_id: str = "prod_404") -> EntitlementFailed:
    """
    The answer to a sale of what the school hasn't.
    """
    return EntitlementFailed(
        source_purchase_id="pur_1",
        product_id=product_id,
        code="unknown-product",
        message="There is no such product here: correct the bundle at the seller, or create the product.",
        version=version,
    )
