"""
The granter: what was bought in another app unlocks here.
"""

from __future__ import annotations

from crossapp_ah.bridge import Bridge
from crossapp_ah.operations.entitlements import has_access
from crossapp_ah.ports import FixedProducts, Products, TableProducts, TableUsers, Users
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase, EntitlementStatus

__all__ = [
    "Bridge",
    "CrossAppEntitlementMixin",
    "EntitlementBase",
    "EntitlementStatus",
    "FixedProducts",
    "Products",
    "TableProducts",
    "TableUsers",
    "Users",
    "has_access",
]
