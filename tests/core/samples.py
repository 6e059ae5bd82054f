"""
One event of each kind, at its fullest, as the contract has it on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from crossapp_core.events import (
    AccountLinked,
    AccountLinkState,
    AccountUnlinked,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
    UserOAuthLogin,
)

V = 1_789_000_000_000
NOON = "2026-01-31T12:00:00.000Z"

# What each event holds at its fullest; the keys with ? may be absent or null.
WIRE: Mapping[type[Event], dict[str, Any]] = {
    BundlePurchased: {
        "purchaseId": "pur_1",
        "productId": "prod_9",
        "buyerEmail?": "ada@example.com",
        "buyerUserId?": "u1",
        "linkedUserId?": "u2",
        "bundleProductId?": "prod_1",
        "purchasedAt?": NOON,
        "quiet?": True,
        "version": V,
    },
    EntitlementGranted: {
        "sourcePurchaseId": "pur_1",
        "productId": "prod_9",
        "entitlementId": "ent_1",
        "userId?": "u2",
        "status": "active",
        "version": V,
    },
    EntitlementRevoke: {"purchaseId": "pur_1", "productId?": "prod_9", "reason": "refunded", "version": V},
    EntitlementRevoked: {"sourcePurchaseId": "pur_1", "productId?": "prod_9", "entitlementId?": "ent_1", "version": V},
    EntitlementFailed: {
        "sourcePurchaseId": "pur_1",
        "productId": "prod_9",
        "code": "unknown-product",
        "message": "There is no such product.",
        "version": V,
    },
    AccountLinked: {
        "userId": "u1",
        "email?": "ada@example.com",
        "linkedApp": "ai-hero",
        "linkedUserId": "u2",
        "linkedEmail?": "ada@example.org",
        "linkMethod": "oauth-github",
        "linkedAt": NOON,
        "version": 1,
    },
    AccountUnlinked: {
        "userId": "u1",
        "linkedApp": "ai-hero",
        "linkedUserId": "u2",
        "unlinkedAt": NOON,
        "version": 2,
    },
    AccountLinkState: {
        "userId": "u1",
        "linkedApp": "ai-hero",
        "linkedUserId": "u2",
        "linkMethod": "explicit",
        "version": 3,
    },
    UserOAuthLogin: {
        "userId": "u1",
        "email?": "ada@example.com",
        "provider": "github",
        "providerAccountId": "1234",
        "loggedInAt": NOON,
    },
}
NAMES = {
    "bundle/purchased": BundlePurchased,
    "entitlement/granted": EntitlementGranted,
    "entitlement/revoke": EntitlementRevoke,
    "entitlement/revoked": EntitlementRevoked,
    "entitlement/failed": EntitlementFailed,
    "account/linked": AccountLinked,
    "account/unlinked": AccountUnlinked,
    "account/link-state": AccountLinkState,
    "user/oauth-login": UserOAuthLogin,
}
every_kind = pytest.mark.parametrize("kind", WIRE, ids=lambda kind: kind.__name__)


def full(kind: type[Event]) -> dict[str, Any]:
    """
    The data of an event that leaves nothing out.
    """
    data = {key.rstrip("?"): value for key, value in WIRE[kind].items()}
    return {"sourceApp": "total-typescript", **data}


def purchased(**fields: Any) -> BundlePurchased:
    """
    A sale, with these fields besides what it needs.
    """
    return BundlePurchased(**{"purchase_id": "pur_1", "product_id": "prod_9", "version": V, **fields})


def linked(**fields: Any) -> AccountLinked:
    """
    A link, with these fields besides what it needs.
    """
    known = {"user_id": "u1", "linked_app": "ai-hero", "linked_user_id": "u2", "link_method": "explicit", "version": 3}
    return AccountLinked(**{**known, "linked_at": datetime(2026, 1, 31, 12, tzinfo=UTC), **fields})
