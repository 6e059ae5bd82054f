"""
The tables of a small shop.
"""

import json

from sqlmodel import Field, SQLModel, col

import crossapp_tt as tt


class Product(SQLModel, table=True):
    """
    What it sells.
    """

    __tablename__ = "kit_product"

    id: str = Field(primary_key=True)
    stripe_metadata: str | None = None


class Purchase(SQLModel, table=True):
    """
    A sale.
    """

    __tablename__ = "kit_purchase"

    id: str = Field(primary_key=True)
    user_id: str | None = None
    email: str | None = None
    product_id: str
    status: str = "Valid"


def bundle() -> Product:
    """
    A bundle with one course of the school.
    """
    components = json.dumps([{"app": "ai-hero", "productId": "course"}])
    return Product(id="bundle", stripe_metadata=json.dumps({"bundleProducts": components}))


def purchases() -> tt.TablePurchases:
    """
    The sales, as the bridge sees them.
    """
    return tt.TablePurchases(Purchase, owned=col(Purchase.status) == "Valid")
