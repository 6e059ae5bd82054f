"""
The granter: what was bought in another app unlocks here.
"""

from __future__ import annotations

from crossapp_ah.bridge import Bridge
from crossapp_ah.operations.entitlements import has_access
from crossapp_ah.ports import Claimed, FixedProducts, Products, TableProducts
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase, EntitlementStatus
from crossapp_core.ports import Account, Accounts, SignInEvent, User, Users
from crossapp_core.table_ports import TableAccounts, TableUsers

__all__ = [
    "Account",
    "Accounts",
    "Bridge",
    "Claimed",
    "CrossAppEntitlementMixin",
    "EntitlementBase",
    "EntitlementStatus",
    "FixedProducts",
    "Products",
    "SignInEvent",
    "TableAccounts",
    "TableProducts",
    "TableUsers",
    "User",
    "Users",
    "has_access",
]
