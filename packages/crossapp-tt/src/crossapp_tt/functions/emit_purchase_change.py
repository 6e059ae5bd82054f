"""
`emit-purchase-change`: a dispute, a transfer, or whatever else changes a purchase in this app, is told to the granters.
"""

from __future__ import annotations

from collections.abc import Sequence

import inngest

from crossapp_core.runtime import Runtime
from crossapp_tt.functions.host_events import record_and_send
from crossapp_tt.operations import purchases
from crossapp_tt.ports import HostEvent, Seller


def emit_purchase_change(seller: Runtime[Seller], triggers: Sequence[HostEvent]) -> inngest.Function[list[str]]:
    """
    Record what a purchase now is, and send `bundle/purchased` or `entitlement/revoke` for what has changed.
    """
    return record_and_send(seller, triggers, purchases.record_change, fn_id="emit-purchase-change")
