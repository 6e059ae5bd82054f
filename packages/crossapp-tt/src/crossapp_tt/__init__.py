"""
The seller: a bundle bought here unlocks in the other apps.
"""

from __future__ import annotations

from crossapp_core.ports import Account, Accounts, Problem, SignInEvent, User, Users
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.tables import CrossAppCursorBase
from crossapp_tt.bridge import Bridge
from crossapp_tt.catalog import Component
from crossapp_tt.functions.backfilling import Backfilled
from crossapp_tt.functions.sweeping import SweepPlan
from crossapp_tt.operations.backfills import PastSale
from crossapp_tt.operations.findings import Finding, FindingKind
from crossapp_tt.ports import Bundles, Guard, HostEvent, Purchase, Purchases
from crossapp_tt.table_ports import FixedBundles, StripeMetadata, TablePurchases
from crossapp_tt.tables import CrossAppSyncBase, Desired, SyncStatus

__all__ = [
    "Account",
    "Accounts",
    "Backfilled",
    "Bridge",
    "Bundles",
    "Component",
    "CrossAppCursorBase",
    "CrossAppSyncBase",
    "Desired",
    "Finding",
    "FindingKind",
    "FixedBundles",
    "Guard",
    "HostEvent",
    "PastSale",
    "Problem",
    "Purchase",
    "Purchases",
    "SignInEvent",
    "StripeMetadata",
    "SweepPlan",
    "SyncStatus",
    "TableAccounts",
    "TablePurchases",
    "TableUsers",
    "User",
    "Users",
]
