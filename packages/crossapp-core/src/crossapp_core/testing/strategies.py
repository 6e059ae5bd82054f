"""
Hypothesis strategies: whatever an event may hold, for tests of what must hold for any event.

    from crossapp_core.testing import strategies

    @given(strategies.event(BundlePurchased, product_id=st.just("course")))
    def test_any_sale(sale): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover (the tests have it)
    msg = "crossapp_core.testing.strategies needs Hypothesis: pip install 'crossapp-core[testing]'"
    raise ImportError(msg) from error

from crossapp_core.events import (
    LARGEST_INTEGER,
    AccountLinked,
    AccountLinkState,
    AccountUnlinked,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
    UserOAuthLogin,
)

__all__ = [
    "app_ids",
    "emails",
    "event",
    "events",
    "ids",
    "link_methods",
    "optional",
    "providers",
    "sentences",
    "times",
    "versions",
]

T = TypeVar("T")
E = TypeVar("E", bound=Event)

_CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_DOMAINS = st.sampled_from(["example.com", "EXAMPLE.com", "mail.example.co.uk", "bücher.example", "аpple.example"])
_LOCAL_PARTS = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"], exclude_characters="@"),
    min_size=1,
    max_size=20,
)
_ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))

app_ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True)
"""Ids of apps."""
ids = st.text(_CHARACTERS, min_size=1, max_size=191).filter(lambda text: text == text.strip())
"""Ids of users, purchases, products and entitlements."""
emails = st.builds("{}@{}".format, _LOCAL_PARTS, _DOMAINS)
"""E-mail addresses, not normalised yet."""
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC) | _ZONES)  # noqa: DTZ001
"""Aware times, in many time zones."""
versions = st.integers(1, LARGEST_INTEGER)
"""Versions of what a seller wants, or of a link."""
sentences = st.text(_CHARACTERS, min_size=1, max_size=500)
"""Texts for people."""
providers = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)
"""OAuth providers."""
link_methods = st.just("explicit") | providers.map("oauth-{}".format)
"""How links are made."""


def optional(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """
    What *strategy* makes, or None.
    """
    return st.none() | strategy


_SALE: Mapping[str, st.SearchStrategy[object]] = {"purchase_id": ids, "product_id": ids, "version": versions}
_ANSWER: Mapping[str, st.SearchStrategy[object]] = {"source_purchase_id": ids, "product_id": ids, "version": versions}
_PAIR: Mapping[str, st.SearchStrategy[object]] = {"user_id": ids, "linked_app": app_ids, "linked_user_id": ids}

_FIELDS: Mapping[type[Event], Mapping[str, st.SearchStrategy[object]]] = {
    BundlePurchased: {
        **_SALE,
        "buyer_email": optional(emails),
        "buyer_user_id": optional(ids),
        "linked_user_id": optional(ids),
        "bundle_product_id": optional(ids),
        "purchased_at": optional(times),
        "quiet": optional(st.booleans()),
    },
    EntitlementGranted: {
        **_ANSWER,
        "entitlement_id": ids,
        "user_id": optional(ids),
        "status": st.sampled_from(["active", "pending"]),
    },
    EntitlementRevoke: {**_SALE, "reason": st.sampled_from(["refunded", "disputed", "transferred", "manual"])},
    EntitlementRevoked: {**_ANSWER, "entitlement_id": optional(ids)},
    EntitlementFailed: {**_ANSWER, "code": st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), "message": sentences},
    AccountLinked: {
        **_PAIR,
        "email": optional(emails),
        "linked_email": optional(emails),
        "link_method": link_methods,
        "linked_at": times,
        "version": versions,
    },
    AccountUnlinked: {**_PAIR, "unlinked_at": times, "version": versions},
    AccountLinkState: {**_PAIR, "link_method": link_methods, "version": versions},
    UserOAuthLogin: {
        "user_id": ids,
        "email": optional(emails),
        "provider": providers,
        "provider_account_id": ids,
        "logged_in_at": times,
    },
}


def event(kind: type[E], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[E]:
    """
    Any event of that kind.

    Args:
        kind: `BundlePurchased`, for example.
        fields: What to draw these fields from instead, by their Python names.
    """
    content: dict[str, st.SearchStrategy[Any]] = {"source_app": optional(app_ids), **_FIELDS[kind], **fields}
    return st.fixed_dictionaries(content).map(lambda values: kind(**values))


events: st.SearchStrategy[Event] = st.one_of(*(event(kind) for kind in _FIELDS))
"""Any event at all."""
