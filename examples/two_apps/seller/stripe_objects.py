"""
What the shop reads in Stripe's events. Wherever Stripe gives an id, it gives the whole object if that was asked for.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class Product(BaseModel):
    """
    A product, expanded.
    """

    id: str
    metadata: dict[str, str] | None = None
    """None if only the id is known."""


class Price(BaseModel):
    """
    What a line item was sold for.
    """

    product: Product | str


class LineItem(BaseModel):
    """
    One line of a checkout.
    """

    price: Price


class LineItems(BaseModel):
    """
    All lines of a checkout.
    """

    data: list[LineItem]


class Charge(BaseModel):
    """
    A payment that was made.
    """

    id: str
    payment_intent: str | None = None
    refunded: bool = False
    """Whether all of it was paid back; after a partial refund it is still false."""
    metadata: dict[str, str] = {}
    """A copy of the payment intent's, where the shop's checkout writes `productId`."""


class Dispute(BaseModel):
    """
    A payment that the buyer's bank wants back.
    """

    id: str
    charge: str
    payment_intent: str | None = None
    status: str
    """`won`, `lost` or `warning_closed` in the end; others while it is open."""


class PaymentIntent(BaseModel):
    """
    A payment, expanded.
    """

    id: str
    latest_charge: Charge | str | None = None


class CustomerDetails(BaseModel):
    """
    What the buyer typed into Stripe's page.
    """

    email: str | None = Field(default=None, repr=False)


class CheckoutSession(BaseModel):
    """
    A checkout. In webhooks its lines are missing, so the shop's checkout writes `productId` into the metadata.
    """

    id: str
    created: int
    """Unix time in s."""
    payment_status: str
    amount_total: int | None = None
    """In cents."""
    client_reference_id: str | None = None
    """Who was signed in at the shop when the checkout began."""
    customer_details: CustomerDetails | None = None
    metadata: dict[str, str] | None = None
    payment_intent: PaymentIntent | str | None = None
    line_items: LineItems | None = None

    @property
    def product(self) -> Product | None:
        """
        What was bought; None if it wasn't sold by the shop's own checkout.

        Raises:
            ValueError: There are several products, which the shop never sells at once.
        """
        lines = self.line_items.data if self.line_items else []
        if len(lines) > 1:
            msg = f"the checkout {self.id} has {len(lines)} products, the shop sells one at a time"
            raise ValueError(msg)
        found = lines[0].price.product if lines else (self.metadata or {}).get("productId")
        return Product(id=found) if isinstance(found, str) else found

    @property
    def email(self) -> str | None:
        """
        The buyer's address.
        """
        return self.customer_details.email if self.customer_details else None

    @property
    def payment_intent_id(self) -> str | None:
        """
        The payment's id.
        """
        return self.payment_intent.id if isinstance(self.payment_intent, PaymentIntent) else self.payment_intent

    @property
    def charge_id(self) -> str | None:
        """
        The charge's id, which only an expanded payment tells.
        """
        charge = self.payment_intent.latest_charge if isinstance(self.payment_intent, PaymentIntent) else None
        return charge.id if isinstance(charge, Charge) else charge
