"""
`handle-entitlement-failed`: the granter says that what was sold can't be unlocked.
"""

from __future__ import annotations

import inngest

from crossapp_core.events import EntitlementFailed
from crossapp_core.runtime import Runtime
from crossapp_tt.functions.acknowledgements import apply_answer
from crossapp_tt.ports import Seller


def handle_entitlement_failed(seller: Runtime[Seller]) -> inngest.Function[list[str]]:
    """
    Write it into the ledger.
    """
    return apply_answer(seller, EntitlementFailed, fn_id="handle-entitlement-failed")
