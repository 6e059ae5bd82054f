"""
The seller: a bundle bought here unlocks in the other apps.
"""

from __future__ import annotations

from crossapp_core.ports import Account, Accounts, SignInEvent, User, Users
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_tt.bridge import Bridge
from crossapp_tt.catalog import Component
from crossapp_tt.ports import Bundles, HostEvent, Purchase, Purchases
from crossapp_tt.table_ports import FixedBundles, StripeMetadata, TablePurchases
from crossapp_tt.tables import CrossAppCursorBase, CrossAppSyncBase, Desired, SyncStatus

__all__ = [
    "Account",
    "Accounts",
    "Bridge",
    "Bundles",
    "Component",
    "CrossAppCursorBase",
    "CrossAppSyncBase",
    "Desired",
    "FixedBundles",
    "HostEvent",
    "Purchase",
    "Purchases",
    "SignInEvent",
    "StripeMetadata",
    "SyncStatus",
    "TableAccounts",
    "TablePurchases",
    "TableUsers",
    "User",
    "Users",
]
