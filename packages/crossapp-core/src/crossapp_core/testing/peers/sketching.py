"""
Both sides as somebody writes them from the original sketch, in another language and without this library: no source, no
versions, no proofs, and none of the events that are the library's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Sent: TypeAlias = tuple[str, dict[str, object]]
"""An event's name and data."""


@dataclass(frozen=True)
class SketchEntitlement:
    """
    What a sketch granter holds for one purchase, as it was named to it, and product.
    """

    id: str
    source_purchase_id: str
    product_id: str
    status: Literal["active", "pending", "revoked"]
    user_id: str | None = None
    pending_for_email: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SketchSale:
    """
    What a sketch seller has sold, and whether that was answered.
    """

    purchase_id: str
    product_id: str
    status: Literal["pending", "synced", "revoking", "revoked"] = "pending"
    entitlement_id: str | None = None


class SketchGranter:
    """
    It does what it is told, in the order in which it is told; what it has it doesn't make again.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], SketchEntitlement] = {}

    @property
    def rows(self) -> list[SketchEntitlement]:
        """
        All entitlements, in the order in which they were made.
        """
        return list(self._rows.values())

    def receive(self, name: str, data: Mapping[str, object]) -> list[Sent]:
        """
        Do it, and answer.
        """
        if name == "bundle/purchased":
            return [_answer("entitlement/granted", self._grant(data))]
        return [_answer("entitlement/revoked", row) for row in self._revoke(data)]

    def _grant(self, data: Mapping[str, object]) -> SketchEntitlement:
        key = (str(data["purchaseId"]), str(data["productId"]))
        user_id, email = data.get("linkedUserId"), data.get("buyerEmail")
        new = SketchEntitlement(
            f"ent_{len(self._rows) + 1}",
            *key,
            status="active" if user_id else "pending",
            user_id=None if user_id is None else str(user_id),
            pending_for_email=None if email is None else str(email),
        )
        return self._rows.setdefault(key, new)

    def _revoke(self, data: Mapping[str, object]) -> list[SketchEntitlement]:
        product = data.get("productId")
        revoked = {
            key: replace(row, status="revoked")
            for key, row in self._rows.items()
            if key[0] == data["purchaseId"] and product in (None, key[1])
        }
        self._rows |= revoked
        return list(revoked.values())


class SketchSeller:
    """
    It tells each sale and each refund once.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], SketchSale] = {}

    @property
    def rows(self) -> list[SketchSale]:
        """
        All sales, in their order.
        """
        return list(self._rows.values())

    def sell(self, purchase_id: str, product_id: str, *, email: str, linked_user_id: str | None) -> Sent:
        """
        Sell a product of the granter.
        """
        self._rows[purchase_id, product_id] = SketchSale(purchase_id, product_id)
        data: dict[str, object] = {"purchaseId": purchase_id, "productId": product_id, "buyerEmail": email}
        return "bundle/purchased", data if linked_user_id is None else data | {"linkedUserId": linked_user_id}

    def refund(self, purchase_id: str, *, product_id: str | None, reason: str) -> Sent:
        """
        Take back one product of a purchase, or all of it.
        """
        for key, row in self._rows.items():
            if key[0] == purchase_id and product_id in (None, key[1]):
                self._rows[key] = replace(row, status="revoking")
        data: dict[str, object] = {"purchaseId": purchase_id, "reason": reason}
        return "entitlement/revoke", data if product_id is None else data | {"productId": product_id}

    def receive(self, name: str, data: Mapping[str, object]) -> list[Sent]:
        """
        Write down what a granter answers.
        """
        product = data.get("productId")
        for key, row in self._rows.items():
            if key[0] == data["sourcePurchaseId"] and product in (None, key[1]):
                self._rows[key] = _answered(row, name, data)
        return []


def _answer(name: str, row: SketchEntitlement) -> Sent:
    return name, {"sourcePurchaseId": row.source_purchase_id, "entitlementId": row.id}


def _answered(row: SketchSale, name: str, data: Mapping[str, object]) -> SketchSale:
    if name == "entitlement/granted" and row.status == "pending":
        return replace(row, status="synced", entitlement_id=str(data["entitlementId"]))
    if name == "entitlement/revoked":
        return replace(row, status="revoked")
    return row
