"""
A seller for the simulator, `crossapp_core.testing.simulation`: what it can't know of one, and a ready shop.

    class Histories(simulation.Histories):
        seller, granter = make_shop, make_school
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, Session, col, delete

from crossapp_core.columns import UtcDateTime
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.testing.simulation.places import LedgerRow, Place, Sale
from crossapp_core.testing.simulation.rows import Rows
from crossapp_core.testing.simulation.tables import (
    METADATA,
    AccountLink,
    AccountLinkToken,
    Apart,
    CrossAppCursor,
    Human,
    PeopleInTables,
    SignIn,
)
from crossapp_tt.bridge import Bridge
from crossapp_tt.table_ports import StripeMetadata, TablePurchases
from crossapp_tt.tables import CrossAppSyncBase

__all__ = ["Shop", "SimulatedSeller", "make_shop"]

_LEDGER = (
    *("id", "purchase_id", "target_app", "target_product_id", "status", "desired", "version", "buyer_user_id"),
    *("target_user_id", "reason", "bundle_product_id", "next_attempt_at", "error_code"),
)


class SimulatedSeller:
    """
    Base of a seller in the simulator: what can be read off any bridge. The rest is said by `SellerHost`.
    """

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.ledger: Rows[LedgerRow] = Rows(bridge.host.ledger, _LEDGER, LedgerRow)

    def event_data(self, purchase_id: str) -> dict[str, Any]:
        """
        The data of the app's own events of a purchase, where the bridge looks for its id at the usual place.
        """
        return {"purchaseId": purchase_id}


class ShopProduct(Apart, table=True):
    """
    What the shop sells.
    """

    __tablename__ = "shop_product"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True)
    bundle: Any = Field(default=None, sa_type=JSON)


class ShopPurchase(Apart, table=True):
    """
    A sale.
    """

    __tablename__ = "shop_purchase"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True)
    user_id: str | None = None
    email: str | None = Field(default=None, repr=False)
    product_id: str
    bundle_products: Any = Field(default=None, sa_type=JSON)
    status: str
    purchased_at: datetime | None = Field(default=None, sa_type=UtcDateTime, nullable=True)


class CrossAppSync(CrossAppSyncBase, Apart, table=True):
    """
    The shop's ledger.
    """

    __tablename__ = "CrossAppSync"  # pyright: ignore[reportAssignmentType]


class Shop(PeopleInTables, SimulatedSeller):
    """
    A shop on plain tables.
    """

    def __init__(self, bridge: Bridge) -> None:
        super().__init__(bridge)
        self.app_id = bridge.settings.app_id

    def offer(self, session: Session, name: str, bundle: Sequence[Mapping[str, str]]) -> str:
        """
        Offer a bundle; its product's id.
        """
        session.merge(ShopProduct(id=name, bundle=list(bundle)))
        return name

    def put(self, session: Session, purchase_id: str, sale: Sale) -> None:
        """
        Write down a purchase as it is now.
        """
        purchase = ShopPurchase(
            id=purchase_id,
            user_id=sale.user_id,
            email=sale.email,
            product_id=sale.product_id,
            bundle_products=list(sale.bundle),
            status=sale.status,
            purchased_at=sale.sold_at,
        )
        session.merge(purchase)

    def remove(self, session: Session, purchase_id: str) -> None:
        """
        Delete a purchase, if there is one.
        """
        session.exec(delete(ShopPurchase).where(col(ShopPurchase.id) == purchase_id))


def make_shop(place: Place) -> Shop:
    """
    A shop that sells bundles, with its database in memory.
    """
    METADATA.create_all(place.engine)
    bridge = Bridge(
        place.client,
        place.engine,
        settings=place.settings,
        purchases=TablePurchases(
            ShopPurchase,
            owned=col(ShopPurchase.status).in_(["Valid", "PartiallyRefunded"]),
            disputed=col(ShopPurchase.status) == "Disputed",
            partially_refunded=col(ShopPurchase.status) == "PartiallyRefunded",
        ),
        bundles=StripeMetadata(ShopProduct.bundle),
        users=TableUsers(Human),
        accounts=TableAccounts(SignIn),
        ledger=CrossAppSync,
        links=AccountLink,
        link_tokens=AccountLinkToken,
        cursors=CrossAppCursor,
    )
    return Shop(bridge)
