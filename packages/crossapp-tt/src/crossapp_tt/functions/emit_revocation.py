"""
`emit-revocation`: a refund in this app is told to the granters.
"""

from __future__ import annotations

import inngest

from crossapp_core.runtime import Runtime
from crossapp_tt.functions.host_events import record_and_send
from crossapp_tt.operations import purchases
from crossapp_tt.ports import HostEvent, Seller


def emit_revocation(seller: Runtime[Seller], trigger: HostEvent) -> inngest.Function[list[str]]:
    """
    Record a refund and send `entitlement/revoke` for each component of its bundle.
    """
    return record_and_send(seller, [trigger], purchases.record_refund, fn_id="emit-revocation")
