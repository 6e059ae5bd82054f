"""
A shop whose sales have a time and a copy of what was sold, and a bridge that sweeps them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import inngest
from sqlmodel import Field, SQLModel, col, update

import crossapp_tt as tt
from crossapp_core.columns import UtcDateTime
from crossapp_core.flavours import run_sync
from crossapp_core.models import CrossAppCursor
from crossapp_core.ports import Problem
from crossapp_core.table_ports import TableUsers
from crossapp_tt.functions import sweeping
from crossapp_tt.ports import Guard, PartialRefunds, Seller
from crossapp_tt.upkeep import Upkeep
from tests.hosts import NOW, shop_settings
from tests.tt.shop import BUNDLE, PURCHASE, Shop, entry

CLIENT = inngest.Inngest(app_id="market", is_production=False)
"""One for all: each loads the system's certificates."""
DAY = timedelta(days=1)


class MarketUser(SQLModel, table=True):
    """
    Somebody with an account.
    """

    __tablename__ = "market_user"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = True


class MarketSale(SQLModel, table=True):
    """
    A sale.
    """

    __tablename__ = "swept_sale"

    id: str = Field(primary_key=True, max_length=64)
    user_id: str | None = Field(default=None, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    product_id: str = Field(default=BUNDLE, max_length=64)
    status: str = Field(default="Valid", max_length=32)
    made_at: datetime | None = Field(default=None, sa_type=UtcDateTime, nullable=True)
    kept: str | None = None
    """What was sold, as JSON."""


def market_sales() -> tt.TablePurchases:
    """
    The sales, as we see them.
    """
    status = col(MarketSale.status)
    return tt.TablePurchases(
        MarketSale,
        owned=status.in_(["Valid", "Partial"]),
        disputed=status == "Disputed",
        partially_refunded=status == "Partial",
        purchased_at=MarketSale.made_at,
        bundle_products=MarketSale.kept,
    )


def kept(*products: str) -> str:
    """
    A copy of a bundle that held those.
    """
    return json.dumps([entry(product) for product in products])


@dataclass
class Market(Shop):
    """
    The shop, on one of the databases.
    """

    purchases: Any = field(default_factory=market_sales)
    partial_refunds: PartialRefunds = "keep"
    guard: Guard = field(default_factory=Guard)
    now: datetime = NOW
    problems: list[Problem] = field(default_factory=list)

    @property
    def seller(self) -> Seller:
        """
        The shop, as the operations know it.
        """
        return replace(
            super().seller,
            users=TableUsers(MarketUser),
            cursors=CrossAppCursor,
            partial_refunds=self.partial_refunds,
            guard=self.guard,
        )

    @property
    def bridge(self) -> Upkeep:
        """
        As much of a bridge as a sweep needs; all functions with it would take as long as the test.
        """
        bridge = Upkeep(
            CLIENT,
            self.database.engine,
            settings=shop_settings(),
            on_problem=self.problems.append,
            clock=lambda: self.now,
        )
        bridge.host = self.seller
        return bridge

    def buy(self, purchase_id: str = PURCHASE, **values: Any) -> None:
        """
        Write a sale; Ada's of now unless told otherwise.
        """
        usual: dict[str, Any] = {"user_id": "ada", "email": "ada@example.com", "made_at": NOW}
        self.add(MarketSale(id=purchase_id, **(usual | values)))

    def change(self, purchase_id: str = PURCHASE, **values: Any) -> None:
        """
        Change a sale, as somebody with a database client does.
        """
        with self.database.session() as session:
            session.execute(update(MarketSale).where(col(MarketSale.id) == purchase_id).values(**values))

    def delete(self, purchase_id: str = PURCHASE) -> None:
        """
        Delete a sale.
        """
        with self.database.session() as session:
            session.delete(session.get_one(MarketSale, purchase_id))

    def sweep(self) -> None:
        """
        Go through a whole pass.
        """
        bridge = self.bridge
        run_sync(sweeping.begin(bridge))
        while not run_sync(sweeping.go_on(bridge)):
            pass

    def plan(self) -> dict[str, int]:
        """
        How many findings of each kind a sweep would have.
        """
        return self.bridge.plan_sweep_sync().counts

    def wanted(self) -> dict[str, str]:
        """
        What the ledger wants, by purchase and product.
        """
        return {f"{row.purchase_id}/{row.target_product_id}": row.desired for row in self.rows()}

    def versions(self) -> dict[str, int]:
        """
        The version of each row.
        """
        return {row.id: row.version for row in self.rows()}
