"""
What a seller wants and hears, in memory.

Written by itself, from the contract and not from the adapter's code: so it shows when the two don't agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
)
from crossapp_core.outcomes import Message
from crossapp_core.testing.peers.granting import Answer

Reason: TypeAlias = Literal["refunded", "disputed", "transferred", "manual"]


@dataclass(frozen=True)
class LedgerRow:
    """
    What a counterpart has sold for one product, and what it has heard of that.
    """

    target_app: str
    purchase_id: str
    product_id: str
    desired: Literal["granted", "revoked"]
    version: int
    status: Literal["pending", "synced", "failed", "revoked"] = "pending"
    buyer_user_id: str | None = None
    buyer_email: str | None = field(default=None, repr=False)
    reason: Reason | None = None
    entitlement_id: str | None = None
    user_id: str | None = None
    """Who holds it at the granter, by the id there."""
    error_code: str | None = None
    attempt: int = 0

    @property
    def message(self) -> Message:
        """
        The event that says what is wanted.
        """
        if self.desired == "granted":
            event: BundlePurchased | EntitlementRevoke = BundlePurchased(
                purchase_id=self.purchase_id,
                product_id=self.product_id,
                buyer_email=self.buyer_email,
                buyer_user_id=self.buyer_user_id,
                version=self.version,
            )
        else:
            event = EntitlementRevoke(
                purchase_id=self.purchase_id,
                product_id=self.product_id,
                reason=self.reason or "manual",
                version=self.version,
            )
        return Message(self.target_app, event, self.attempt)


class Seller:
    """
    The ledger. Whatever changes in it is numbered anew: above the last number, and not below the time in ms.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], LedgerRow] = {}

    @property
    def rows(self) -> list[LedgerRow]:
        """
        All rows, in the order in which they were sold.
        """
        return list(self._rows.values())

    def sell(
        self, target: str, purchase_id: str, product_id: str, *, user_id: str | None, email: str | None, ms: int
    ) -> Message:
        """
        Sell a product of *target*; a purchase that was sold before goes to this buyer now.
        """
        row = self._row(target, purchase_id, product_id)
        sold = replace(row, buyer_user_id=user_id, buyer_email=email, reason=None)
        return self._number(sold, "granted", ms=ms)

    def refund(self, purchase_id: str, *, reason: Reason, ms: int) -> list[Message]:
        """
        Take back all that was sold by a purchase.
        """
        rows = [row for row in self.rows if row.purchase_id == purchase_id and row.desired == "granted"]
        return [self._number(replace(row, reason=reason), "revoked", ms=ms) for row in rows]

    def owed(self) -> list[Message]:
        """
        What isn't acknowledged, as another attempt.
        """
        rows = [replace(row, attempt=row.attempt + 1) for row in self.rows if row.status in ("pending", "failed")]
        return [self._put(row).message for row in rows]

    def receive(self, answer: Answer, *, ms: int) -> list[Message]:
        """
        Write down what a granter answers, and say what it is to be told then.

        Raises:
            EventRejectedError: It contradicts what was asked for at that version (`state`).
        """
        row = self._row(answer.source_app or "", answer.source_purchase_id, answer.product_id or "")
        if answer.version > row.version:
            # nobody else makes numbers: so this one was ours, and we have forgotten it
            return [self._number(replace(row, version=answer.version), row.desired, ms=ms)]
        if answer.version < row.version:
            return []
        if isinstance(answer, EntitlementFailed):
            return self._failed(row, answer, ms)
        granted = isinstance(answer, EntitlementGranted)
        if granted != (row.desired == "granted"):
            detail = f"{answer.name} answers version {answer.version}, which wants it {row.desired}"
            raise EventRejectedError("state", detail)
        user_id = (answer.user_id if isinstance(answer, EntitlementGranted) else None) or row.user_id
        done = replace(row, status="synced" if granted else "revoked", user_id=user_id, error_code=None)
        self._put(replace(done, entitlement_id=answer.entitlement_id or row.entitlement_id))
        return []

    def _failed(self, row: LedgerRow, answer: EntitlementFailed, ms: int) -> list[Message]:
        if answer.code == "user-gone" and row.desired == "granted":
            return [self._number(row, "granted", ms=ms)]
        if row.status in ("pending", "failed"):  # success beats failure
            self._put(replace(row, status="failed", error_code=answer.code))
        return []

    def _row(self, target: str, purchase_id: str, product_id: str) -> LedgerRow:
        # what was never sold is to be locked
        unsold = LedgerRow(target, purchase_id, product_id, "revoked", 0, reason="manual")
        return self._rows.get((target, purchase_id, product_id), unsold)

    def _number(self, row: LedgerRow, desired: Literal["granted", "revoked"], *, ms: int) -> Message:
        version = max(row.version + 1, ms)
        numbered = replace(row, desired=desired, version=version, status="pending", error_code=None, attempt=0)
        return self._put(numbered).message

    def _put(self, row: LedgerRow) -> LedgerRow:
        self._rows[row.target_app, row.purchase_id, row.product_id] = row
        return row
