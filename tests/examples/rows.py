"""
What the example apps' databases hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlmodel import Session, col, delete, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_tt.models import CrossAppSync
from examples.two_apps.seller.models import Account, Purchase


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


def link_ada(shop: Engine, school: Engine) -> None:
    """
    Write down in both databases that Ada has confirmed that both accounts are hers.
    """
    for engine, mine, app, theirs in (
        (shop, "usr_ada", "ai-hero", "member_ada"),
        (school, "member_ada", "total-typescript", "usr_ada"),
    ):
        row = AccountLink(id="link_ada", user_id=mine, linked_app=app, linked_user_id=theirs, version=3)  # type: ignore[call-arg]
        row.link_method, row.linked_at, row.acknowledged_version = "explicit", datetime.now(UTC), 3
        with Session(engine) as session, session.begin():
            session.add(row)


def forget_accounts(shop: Engine) -> None:
    """
    Forget with which accounts at GitHub people sign in to the shop.
    """
    with Session(shop) as session, session.begin():
        session.exec(delete(Account))


def entitlements(school: Engine) -> Sequence[Entitlement]:
    """
    What the school has unlocked, or will.
    """
    with Session(school) as session:
        return session.exec(select(Entitlement)).all()
