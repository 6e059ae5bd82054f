"""
The granter's Inngest functions, one module for each.

    bundle/purchased    handle-bundle-purchase
    entitlement/revoke  handle-revocation
"""

from __future__ import annotations

from typing import Any

import inngest

from crossapp_ah.functions.handle_bundle_purchase import handle_bundle_purchase
from crossapp_ah.functions.handle_revocation import handle_revocation
from crossapp_ah.ports import Granter
from crossapp_core.runtime import Runtime


def all_of(granter: Runtime[Granter]) -> list[inngest.Function[Any]]:
    """
    All functions of a granter.
    """
    return [handle_bundle_purchase(granter), handle_revocation(granter)]
