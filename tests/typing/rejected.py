"""
What people get wrong: both type checkers refuse each line that is marked, and mypy for the reason that it names.
"""

from __future__ import annotations

from datetime import UTC, datetime

from crossapp_core import Peer, Settings
from crossapp_core.events import AccountLinked, BundlePurchased, EntitlementGranted, EntitlementRevoke, UserOAuthLogin
from crossapp_core.events import EntitlementFailed as Failed
from crossapp_core.outcomes import Message, Outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def missing() -> None:
    """
    A field that must be there isn't.
    """
    BundlePurchased(purchase_id="pur_1", product_id="prod_9")  # type: ignore[call-arg]
    BundlePurchased(product_id="prod_9", version=1)  # type: ignore[call-arg]
    EntitlementRevoke(purchase_id="pur_1", product_id="prod_9", version=1)  # type: ignore[call-arg]
    UserOAuthLogin(user_id="u1", provider="github", logged_in_at=NOW)  # type: ignore[call-arg]
    Peer()  # type: ignore[call-arg]


def unknown() -> None:
    """
    A field isn't one of the event.
    """
    BundlePurchased(purchase_id="p", product_id="q", version=1, amount=1)  # type: ignore[call-arg]
    BundlePurchased(purchaseId="p", product_id="q", version=1)  # type: ignore[call-arg]
    BundlePurchased("p", "q", version=1)  # type: ignore[call-arg]
    Failed(source_purchase_id="p", product_id="q", code="c", reason="r", version=1)  # type: ignore[call-arg]
    Peer(app_id="ai-hero", key="k")  # type: ignore[call-arg]


def wrong(id_: str | None, ms: float) -> None:
    """
    A field has another type.
    """
    BundlePurchased(purchase_id=1, product_id="q", version=1)  # type: ignore[arg-type]
    BundlePurchased(purchase_id="p", product_id="q", version="1")  # type: ignore[arg-type]
    BundlePurchased(purchase_id="p", product_id="q", version=ms)  # type: ignore[arg-type]
    BundlePurchased(purchase_id="p", product_id="q", version=1, purchased_at="2026-01-01")  # type: ignore[arg-type]
    BundlePurchased(purchase_id="p", product_id="q", version=1, quiet="yes")  # type: ignore[arg-type]
    BundlePurchased(purchase_id=id_, product_id="q", version=1)  # type: ignore[arg-type]
    EntitlementRevoke(purchase_id="p", product_id="q", reason="refund", version=1)  # type: ignore[arg-type]
    Settings("total-typescript", ["ai-hero"])  # type: ignore[list-item]
    Settings.from_env("total-typescript", peers=["ai-hero"])  # type: ignore[arg-type]
    Message("ai-hero", "bundle/purchased")  # type: ignore[arg-type]
    Outcome(messages=(BundlePurchased(purchase_id="p", product_id="q", version=1),))  # type: ignore[arg-type]


def read(granted: EntitlementGranted, linked: AccountLinked, settings: Settings) -> None:
    """
    What is read isn't there, may be None, or never changes.
    """
    print(granted.purchase_id)  # type: ignore[attr-defined]  # noqa: T201
    print(granted.user_id.upper())  # type: ignore[union-attr]  # noqa: T201
    print(linked.linked_email.lower())  # type: ignore[union-attr]  # noqa: T201
    settings.dev = True  # type: ignore[misc]
    settings.peers["c"] = Peer(app_id="c")  # type: ignore[index]
