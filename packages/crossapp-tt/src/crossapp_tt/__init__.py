"""
The seller: a bundle bought here unlocks in the other apps.
"""

from __future__ import annotations

from crossapp_tt.bridge import Bridge
from crossapp_tt.catalog import Component
from crossapp_tt.ports import Bundles, HostEvent, Purchase, Purchases
from crossapp_tt.table_ports import FixedBundles, StripeMetadata, TablePurchases
from crossapp_tt.tables import CrossAppCursorBase, CrossAppSyncBase, Desired, SyncStatus

__all__ = [
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
    "StripeMetadata",
    "SyncStatus",
    "TablePurchases",
]
