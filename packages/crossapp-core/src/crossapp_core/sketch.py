"""
What a sketch peer may leave out of an event: one that was written from the original sketch, without this library.

It numbers nothing. So a grant counts as 1 and a revoke as 2, and a revoke is final; a link counts as 1 or, if a person
confirmed it, as 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import AccountLinked, BundlePurchased, EntitlementRevoke, Event, UserOAuthLogin

_SENT = (BundlePurchased, EntitlementRevoke, AccountLinked, UserOAuthLogin)
_REASONS = ("refunded", "disputed", "transferred", "manual")
_LONG_AGO = "1970-01-01T00:00:00.000Z"  # it isn't stored: the time that counts is the receiver's own


def completed(kind: type[Event], data: Mapping[str, object], *, source: str, target: str) -> dict[str, object]:
    """
    The data of an event of a sketch peer, with what our own peers send besides.

    Args:
        kind: What it is.
        data: What came.
        source: The peer.
        target: The app that it came to.

    Raises:
        EventRejectedError: It is none that such a peer sends (`event`), or doesn't say what was bought (`schema`).
    """
    if kind not in _SENT:
        raise EventRejectedError("event", f"{kind.name} came from {source}, a sketch peer, which sends none")
    if kind is BundlePurchased and not data.get("productId"):
        detail = f"bundle/purchased of {source} has no productId: it must name the product of this app that was bought"
        raise EventRejectedError("schema", detail)
    return {**data, "sourceApp": source, **_missing(kind, data, target)}


def _missing(kind: type[Event], data: Mapping[str, object], target: str) -> dict[str, object]:
    if kind is BundlePurchased:
        return {"version": 1}
    if kind is EntitlementRevoke:
        # said in other words; a refund must not fail because of that
        reason = data.get("reason")
        return {"version": 2, "reason": reason if reason in _REASONS else "manual"}
    if kind is AccountLinked:
        return {
            "version": 3 if data.get("linkMethod") == "explicit" else 1,
            "linkedApp": data.get("linkedApp") or target,
            "linkedAt": data.get("linkedAt") or _LONG_AGO,
        }
    return {"loggedInAt": data.get("loggedInAt") or _LONG_AGO}
