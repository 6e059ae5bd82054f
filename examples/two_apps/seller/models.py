"""
The shop's own tables. Those of the bridge stand beside them in the same database.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, Connection, DateTime
from sqlmodel import Field, SQLModel

import crossapp_tt.models as crossapp
from examples.two_apps.sign_in.people import People
from examples.two_apps.sign_in.tables import AccountBase, UserBase


class User(UserBase, table=True):
    """
    Somebody with an account.
    """

    __tablename__ = "seller_user"  # pyright: ignore[reportAssignmentType]


class Account(AccountBase, table=True):
    """
    An account at an OAuth provider that a user signs in with.
    """

    __tablename__ = "seller_account"  # pyright: ignore[reportAssignmentType]

    user_id: str = Field(foreign_key="seller_user.id", index=True, max_length=64)


class Product(SQLModel, table=True):
    """
    What is for sale: a copy of the product in Stripe.
    """

    __tablename__ = "seller_product"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200)
    price: int
    """In cents."""
    stripe_metadata: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    """`bundleProducts` in it makes the product a bundle."""


class PurchaseStatus(StrEnum):
    """
    What became of a purchase.
    """

    VALID = "Valid"
    RESTRICTED = "Restricted"
    """Paid for at a regional price: valid in the buyer's country."""
    REFUNDED = "Refunded"
    DISPUTED = "Disputed"
    """The buyer's bank wants the money back; who gets it is not decided yet."""


class Purchase(SQLModel, table=True):
    """
    One paid checkout.
    """

    __tablename__ = "seller_purchase"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=64)
    user_id: str | None = Field(default=None, foreign_key="seller_user.id", max_length=64)
    """The buyer; None for a guest."""
    email: str | None = Field(default=None, max_length=254, repr=False)
    """The address that the buyer gave Stripe."""
    product_id: str = Field(foreign_key="seller_product.id", max_length=64)
    status: str = Field(default=PurchaseStatus.VALID, max_length=32)
    checkout_session_id: str = Field(unique=True, max_length=255)
    """Stripe tells of a checkout more than once: it is one purchase."""
    payment_intent_id: str | None = Field(default=None, index=True, max_length=255)
    charge_id: str | None = Field(default=None, index=True, max_length=255)
    closed_dispute_id: str | None = Field(default=None, max_length=255)
    """The dispute that was won or lost: Stripe's events come in any order."""
    amount: int
    """What was paid, in cents."""
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    product_metadata: dict[str, str] | None = Field(default=None, sa_type=JSON)
    """The product's metadata when it was sold: the buyer gets what the bundle held then, whatever it holds later."""


PEOPLE = People(User, Account, prefix="usr")

_MODELS: list[type[SQLModel]] = [
    *(User, Account, Product, Purchase),
    *(crossapp.CrossAppSync, crossapp.CrossAppCursor, crossapp.AccountLink, crossapp.AccountLinkToken),
]


def create_tables(connection: Connection) -> None:
    """
    Make the tables that aren't there yet; a real app has migrations instead.
    """
    # only ours: in the demo, another app's tables are in the same process
    tables = [SQLModel.metadata.tables[str(model.__tablename__)] for model in _MODELS]
    SQLModel.metadata.create_all(connection, tables=tables)
