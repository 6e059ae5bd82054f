"""
The seller's Inngest functions, one module for each.

    purchase/created      emit-bundle-purchase
    purchase/refunded     emit-revocation
    (none by default)     emit-purchase-change
    entitlement/granted   handle-entitlement-granted
    entitlement/revoked   handle-entitlement-revoked
    entitlement/failed    handle-entitlement-failed
    each hour             sweep-purchases

The first three are the app's own events, and have its own names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import inngest

from crossapp_core.runtime import Runtime
from crossapp_tt.functions.emit_bundle_purchase import emit_bundle_purchase
from crossapp_tt.functions.emit_purchase_change import emit_purchase_change
from crossapp_tt.functions.emit_revocation import emit_revocation
from crossapp_tt.functions.handle_entitlement_failed import handle_entitlement_failed
from crossapp_tt.functions.handle_entitlement_granted import handle_entitlement_granted
from crossapp_tt.functions.handle_entitlement_revoked import handle_entitlement_revoked
from crossapp_tt.functions.sweep_purchases import sweep_purchases
from crossapp_tt.ports import HostEvent, Seller


def all_of(
    seller: Runtime[Seller],
    *,
    purchase_created: HostEvent,
    purchase_refunded: HostEvent,
    purchase_changed: Sequence[HostEvent],
) -> list[inngest.Function[Any]]:
    """
    All functions of a seller.
    """
    return [
        emit_bundle_purchase(seller, purchase_created),
        emit_revocation(seller, purchase_refunded),
        *([emit_purchase_change(seller, purchase_changed)] if purchase_changed else []),
        handle_entitlement_granted(seller),
        handle_entitlement_revoked(seller),
        handle_entitlement_failed(seller),
        sweep_purchases(seller),
    ]
