"""
The granter's Inngest functions, one module for each.

    bundle/purchased    handle-bundle-purchase
    entitlement/revoke  handle-revocation
    account/linked      claim-pending-entitlements

Those on links, which a seller has too, are in `crossapp_core.functions`.
"""

from __future__ import annotations

from typing import Any

import inngest

from crossapp_ah.functions.claim_pending_entitlements import claim_pending_entitlements
from crossapp_ah.functions.handle_bundle_purchase import handle_bundle_purchase
from crossapp_ah.functions.handle_revocation import handle_revocation
from crossapp_ah.ports import Granter
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.runtime import Runtime


def all_of(granter: Runtime[Granter], linking: LinkRuntime) -> list[inngest.Function[Any]]:
    """
    All functions of a granter alone.
    """
    return [
        handle_bundle_purchase(granter),
        handle_revocation(granter),
        claim_pending_entitlements(granter, linking),
    ]
