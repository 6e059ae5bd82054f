"""
Something to sell, for those who try the shop out.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from crossapp_tt.models import AccountLink
from examples.two_apps.seller.models import Product, User


def fill(session: Session) -> None:
    """
    Write it, unless it is there already.
    """
    if session.get(User, "usr_ada") is not None:
        return
    session.add(User(id="usr_ada", email="ada@example.com"))
    bundle = '[{"app": "ai-hero", "productId": "course_evals"}]'
    session.add(Product(id="prod_TsAlone", name="Advanced Types", price=9_900))
    session.add(
        Product(
            id="prod_TsBundle",
            name="Advanced Types, and Evals at AI Hero",
            price=24_900,
            stripe_metadata={"slug": "types-and-evals", "bundleProducts": bundle},
        )
    )
    # as if Ada had confirmed that both accounts are hers; the school's database says the same
    session.add(
        AccountLink(
            id="link_ada",
            user_id="usr_ada",
            linked_app="ai-hero",
            linked_user_id="member_ada",
            link_method="explicit",
            linked_at=datetime.now(UTC),
            version=3,
            acknowledged_version=3,
        )
    )
