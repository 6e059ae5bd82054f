"""
What a granter knows and answers, in memory.

Written by itself, from the contract and not from the adapter's code: so it shows when the two don't agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
)

Request: TypeAlias = BundlePurchased | EntitlementRevoke
Answer: TypeAlias = EntitlementGranted | EntitlementRevoked | EntitlementFailed


@dataclass(frozen=True)
class Entitlement:
    """
    What a counterpart holds for one purchase and product.
    """

    id: str
    source_app: str
    purchase_id: str
    product_id: str
    status: Literal["active", "pending", "revoked"]
    version: int
    user_id: str | None = None
    """Who holds it, by the id at the counterpart."""
    buyer_user_id: str | None = None
    """Who bought it, by the id at the seller."""
    buyer_email: str | None = field(default=None, repr=False)


class Granter:
    """
    Entitlements by their source, under the version rule.
    """

    def __init__(self) -> None:
        self.products: set[str] | None = None
        self._rows: dict[tuple[str, str, str], Entitlement] = {}
        self._links: dict[tuple[str, str], str] = {}

    @property
    def rows(self) -> list[Entitlement]:
        """
        All of them, in the order in which their purchases were first heard of.
        """
        return list(self._rows.values())

    def receive(self, request: Request) -> Answer:
        """
        Do what a seller wants if it is newer than what is stored, and answer with what is stored then.
        """
        key = _key(request)
        row = self._rows.get(key)
        if row is None or request.version > row.version:
            if isinstance(request, BundlePurchased) and not self._teaches(request.product_id):
                return _unknown(request)
            # a revoke of what was never granted leaves a row too: the grant may be late
            row = self._rows[key] = self._next(row, request)
        return _answer(row)

    def link(self, source_app: str, buyer_user_id: str, user_id: str) -> list[EntitlementGranted]:
        """
        Know from now on who a buyer is here, and say what that unlocks.
        """
        self._links[source_app, buyer_user_id] = user_id
        claimed = [
            replace(row, status="active", user_id=user_id)
            for row in self.rows
            if (row.status, row.source_app, row.buyer_user_id) == ("pending", source_app, buyer_user_id)
        ]
        self._rows |= {(row.source_app, row.purchase_id, row.product_id): row for row in claimed}
        return [_granted(row) for row in claimed]

    def unlink(self, source_app: str, buyer_user_id: str) -> None:
        """
        Forget who a buyer is here; what is unlocked stays so.
        """
        self._links.pop((source_app, buyer_user_id), None)

    def _teaches(self, product_id: str) -> bool:
        return self.products is None or product_id in self.products

    def _next(self, row: Entitlement | None, request: Request) -> Entitlement:
        if row is None:
            source_app, purchase_id, product_id = _key(request)
            row = Entitlement(f"ent_{len(self._rows) + 1}", source_app, purchase_id, product_id, "revoked", 0)
        if isinstance(request, EntitlementRevoke):
            return replace(row, status="revoked", version=request.version)
        # no transfer: who has it keeps it, also if the link is gone since
        keeps = row.status == "active" and row.buyer_user_id == request.buyer_user_id
        holder = row.user_id if keeps else self._links.get((row.source_app, request.buyer_user_id or ""))
        return replace(
            row,
            status="pending" if holder is None else "active",
            version=request.version,
            user_id=holder,
            buyer_user_id=request.buyer_user_id,
            buyer_email=request.buyer_email,
        )


def _key(request: Request) -> tuple[str, str, str]:
    return request.source_app or "", request.purchase_id, request.product_id or ""


def _unknown(request: BundlePurchased) -> EntitlementFailed:
    return EntitlementFailed(
        source_purchase_id=request.purchase_id,
        product_id=request.product_id,
        code="unknown-product",
        message=f"There is no product {request.product_id:.100} here.",
        version=request.version,
    )


def _answer(row: Entitlement) -> Answer:
    if row.status != "revoked":
        return _granted(row)
    return EntitlementRevoked(
        source_purchase_id=row.purchase_id, product_id=row.product_id, entitlement_id=row.id, version=row.version
    )


def _granted(row: Entitlement) -> EntitlementGranted:
    return EntitlementGranted(
        source_purchase_id=row.purchase_id,
        product_id=row.product_id,
        entitlement_id=row.id,
        user_id=row.user_id,
        status="active" if row.status == "active" else "pending",
        version=row.version,
    )
