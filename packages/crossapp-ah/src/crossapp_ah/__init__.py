"""
The granter: what was bought in another app unlocks here.
"""

from __future__ import annotations

from crossapp_ah.bridge import Bridge
from crossapp_ah.operations.entitlements import has_access
from crossapp_ah.ports import Access, Claimed, FixedProducts, Products, TableProducts
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase, EntitlementStatus
from crossapp_core.ports import Account, Accounts, Problem, SignInEvent, User, Users
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.tables import CrossAppCursorBase

__all__ = [
    "Access",
    "Account",
    "Accounts",
    "Bridge",
    "Claimed",
    "CrossAppCursorBase",
    "CrossAppEntitlementMixin",
    "EntitlementBase",
    "EntitlementStatus",
    "FixedProducts",
    "Problem",
    "Products",
    "SignInEvent",
    "TableAccounts",
    "TableProducts",
    "TableUsers",
    "User",
    "Users",
    "has_access",
]
