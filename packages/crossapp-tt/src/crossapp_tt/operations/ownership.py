"""
Whether a purchase is owned: the one place where that is decided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from sqlmodel import Session

from crossapp_tt.ports import Purchase, Reason, Seller

_REASONS = frozenset(get_args(Reason))


def decided(session: Session, seller: Seller, purchase: Purchase) -> Purchase:
    """
    The purchase as it counts: one of which a part was paid back may not be owned any more.
    """
    if not (purchase.owned and purchase.partially_refunded) or _is_kept(session, seller, purchase):
        return purchase
    return replace(purchase, owned=False, reason=purchase.reason or "refunded")


def reason_of(purchase: Purchase | None) -> Reason:
    """
    Why a purchase isn't owned, or is gone.
    """
    # an app's own word for it would be refused by the event, and the refund would never arrive
    reason = purchase.reason if purchase is not None else None
    return reason if reason is not None and reason in _REASONS else "refunded"


def _is_kept(session: Session, seller: Seller, purchase: Purchase) -> bool:
    match seller.partial_refunds:
        case "keep":
            return True
        case "revoke":
            return False
        case decide:
            return decide(session, purchase)
