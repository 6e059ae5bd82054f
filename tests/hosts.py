"""
The tables of two apps that use us: a shop that sells and a school that gives access.
"""

from datetime import UTC, datetime

from pydantic import SecretStr
from sqlmodel import Field, SQLModel, col

import crossapp_tt as tt
from crossapp_core.apps import Peer, Settings

SECRET = "a secret of the two apps, for tests alone"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class ShopProduct(SQLModel, table=True):
    """
    What the shop sells.
    """

    __tablename__ = "shop_product"

    id: str = Field(primary_key=True, max_length=64)
    stripe_metadata: str | None = None


class ShopPurchase(SQLModel, table=True):
    """
    A sale.
    """

    __tablename__ = "shop_purchase"

    id: str = Field(primary_key=True, max_length=64)
    user_id: str | None = Field(default=None, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    product_id: str = Field(max_length=64)
    status: str = Field(default="Valid", max_length=32)
    charge_id: str | None = Field(default=None, max_length=64)


class SchoolProduct(SQLModel, table=True):
    """
    A course of the school.
    """

    __tablename__ = "school_product"

    id: str = Field(primary_key=True, max_length=64)


def shop_purchases() -> tt.TablePurchases:
    """
    The shop's sales, as we see them.
    """
    return tt.TablePurchases(ShopPurchase, owned=col(ShopPurchase.status).in_(["Valid", "Restricted"]))


def shop_settings(event_key: str = "school-key", base_url: str = "http://127.0.0.1:1") -> Settings:
    """
    The settings of the shop, whose only peer is the school.
    """
    peer = Peer(app_id="ai-hero", event_key=SecretStr(event_key), secret=SecretStr(SECRET), base_url=base_url)
    return Settings("total-typescript", [peer], dev=True)


def school_settings(event_key: str = "shop-key", base_url: str = "http://127.0.0.1:1") -> Settings:
    """
    The settings of the school, whose only peer is the shop.
    """
    peer = Peer(app_id="total-typescript", event_key=SecretStr(event_key), secret=SecretStr(SECRET), base_url=base_url)
    return Settings("ai-hero", [peer], dev=True)
