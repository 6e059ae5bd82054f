"""
Something to sell and somebody to buy it, for those who try the shop out.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from examples.two_apps.seller.models import Account, Product, User
from examples.two_apps.sign_in.passwords import hash_once

PASSWORD = "correct horse battery staple"  # noqa: S105 (in development only)
"""That of everybody here, in development."""
GRACE_AT_GITHUB = "1906"
_PEOPLE = (
    ("usr_ada", "Ada Lovelace", "ada@example.com"),
    ("usr_grace", "Grace Hopper", "grace@example.com"),
)


def fill(session: Session, *, dev: bool) -> None:
    """
    Write it, unless it is there already.

    Args:
        session: The caller's transaction.
        dev: Whether the people have a password, which everybody can read in `PASSWORD`.
    """
    password_hash = hash_once(PASSWORD) if dev else None
    if session.get(User, "usr_ada") is not None:
        return
    for user_id, name, address in _PEOPLE:
        session.add(User(id=user_id, name=name, email=address, email_verified=True, password_hash=password_hash))
    # Grace has connected her account at GitHub, Ada none
    session.flush()
    session.add(Account(provider="github", provider_account_id=GRACE_AT_GITHUB, user_id="usr_grace"))
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
