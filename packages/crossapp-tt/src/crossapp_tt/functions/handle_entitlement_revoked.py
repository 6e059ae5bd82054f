"""
`handle-entitlement-revoked`: the granter says that what was refunded is locked.
"""

from __future__ import annotations

import inngest

from crossapp_core.events import EntitlementRevoked
from crossapp_core.runtime import Runtime
from crossapp_tt.functions.acknowledgements import apply_answer
from crossapp_tt.ports import Seller


def handle_entitlement_revoked(seller: Runtime[Seller]) -> inngest.Function[list[str]]:
    """
    Write it into the ledger.
    """
    return apply_answer(seller, EntitlementRevoked, fn_id="handle-entitlement-revoked")
