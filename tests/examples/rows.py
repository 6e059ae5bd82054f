"""
What the example apps' databases hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from crossapp_ah.models import Entitlement
from crossapp_tt.models import CrossAppSync
from examples.two_apps.seller.models import Purchase


def purchases(shop: Engine) -> Sequence[Purchase]:
    """
    The shop's purchases, oldest first.
    """
    with Session(shop) as session:
        return session.exec(select(Purchase).order_by(col(Purchase.created_at))).all()


def ledger(shop: Engine) -> Sequence[CrossAppSync]:
    """
    What the shop knows of the school.
    """
    with Session(shop) as session:
        return session.exec(select(CrossAppSync)).all()


def entitlements(school: Engine) -> Sequence[Entitlement]:
    """
    What the school has unlocked, or will.
    """
    with Session(school) as session:
        return session.exec(select(Entitlement)).all()
