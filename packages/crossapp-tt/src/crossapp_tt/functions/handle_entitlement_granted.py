"""
`handle-entitlement-granted`: the granter says that what was sold is unlocked, or waits for its buyer.
"""

from __future__ import annotations

import inngest

from crossapp_core.events import EntitlementGranted
from crossapp_core.runtime import Runtime
from crossapp_tt.functions.acknowledgements import apply_answer
from crossapp_tt.ports import Seller


def handle_entitlement_granted(seller: Runtime[Seller]) -> inngest.Function[list[str]]:
    """
    Write it into the ledger.
    """
    return apply_answer(seller, EntitlementGranted, fn_id="handle-entitlement-granted")
