"""
What a sketch peer may leave out of an event: one that was written from the original sketch, without this library.

It numbers nothing. So a grant counts as 1 and a revoke as 2, and a revoke is final.
"""

from __future__ import annotations

from collections.abc import Mapping

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import BundlePurchased, EntitlementRevoke, Event

_VERSIONS: Mapping[type[Event], int] = {BundlePurchased: 1, EntitlementRevoke: 2}
_REASONS = ("refunded", "disputed", "transferred", "manual")


def completed(kind: type[Event], data: Mapping[str, object], *, source: str) -> dict[str, object]:
    """
    The data of an event of a sketch peer, with what our own peers send besides.

    Raises:
        EventRejectedError: It is none that such a peer sends (`event`), or doesn't say what was bought (`schema`).
    """
    if kind not in _VERSIONS:
        raise EventRejectedError("event", f"{kind.name} came from {source}, a sketch peer, which sends none")
    if kind is BundlePurchased and not data.get("productId"):
        detail = f"bundle/purchased of {source} has no productId: it must name the product of this app that was bought"
        raise EventRejectedError("schema", detail)
    complete = {**data, "sourceApp": source, "version": _VERSIONS[kind]}
    if kind is EntitlementRevoke and data.get("reason") not in _REASONS:
        complete["reason"] = "manual"  # said in other words; a refund must not fail because of that
    return complete
