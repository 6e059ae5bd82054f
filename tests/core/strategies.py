"""
Strategies for whatever an event may hold, and for what may become of its JSON on the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

from hypothesis import strategies as st

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

T = TypeVar("T")

_CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
_PROVIDERS = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)

app_ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True)
ids = st.text(_CHARACTERS, min_size=1, max_size=191).filter(lambda text: text == text.strip())
domains = st.sampled_from(["example.com", "EXAMPLE.com", "mail.example.co.uk", "bücher.example", "аpple.example"])
local_parts = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"], exclude_characters="@"),
    min_size=1,
    max_size=20,
)
emails = st.builds("{}@{}".format, local_parts, domains)
zones = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC) | zones)  # noqa: DTZ001
versions = st.integers(1, LARGEST_INTEGER)
sentences = st.text(_CHARACTERS, min_size=1, max_size=500)
link_methods = st.just("explicit") | _PROVIDERS.map("oauth-{}".format)


def optional(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """
    What *strategy* makes, or None.
    """
    return st.none() | strategy


def _event(kind: Callable[..., Event], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Event]:
    return st.builds(kind, source_app=optional(app_ids), **fields)


_PURCHASE = {"purchase_id": ids, "product_id": ids, "version": versions}
_ACK = {"source_purchase_id": ids, "product_id": ids, "version": versions}
_PAIR = {"user_id": ids, "linked_app": app_ids, "linked_user_id": ids}

EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    BundlePurchased: _event(
        BundlePurchased,
        **_PURCHASE,
        buyer_email=optional(emails),
        buyer_user_id=optional(ids),
        linked_user_id=optional(ids),
        bundle_product_id=optional(ids),
        purchased_at=optional(times),
        quiet=optional(st.booleans()),
    ),
    EntitlementGranted: _event(
        EntitlementGranted,
        **_ACK,
        entitlement_id=ids,
        user_id=optional(ids),
        status=st.sampled_from(["active", "pending"]),
    ),
    EntitlementRevoke: _event(
        EntitlementRevoke, **_PURCHASE, reason=st.sampled_from(["refunded", "disputed", "transferred", "manual"])
    ),
    EntitlementRevoked: _event(EntitlementRevoked, **_ACK, entitlement_id=optional(ids)),
    EntitlementFailed: _event(
        EntitlementFailed, **_ACK, code=st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True), message=sentences
    ),
    AccountLinked: _event(
        AccountLinked,
        **_PAIR,
        email=optional(emails),
        linked_email=optional(emails),
        link_method=link_methods,
        linked_at=times,
        version=versions,
    ),
    AccountUnlinked: _event(AccountUnlinked, **_PAIR, unlinked_at=times, version=versions),
    AccountLinkState: _event(AccountLinkState, **_PAIR, link_method=link_methods, version=versions),
    UserOAuthLogin: _event(
        UserOAuthLogin,
        user_id=ids,
        email=optional(emails),
        provider=_PROVIDERS,
        provider_account_id=ids,
        logged_in_at=times,
    ),
}
"""Any event of each kind."""

events = st.one_of(*EVENTS.values())
"""Any event at all."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
data = st.dictionaries(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), scalars | st.lists(scalars, max_size=5), max_size=8
)
"""The data of any event that there may ever be: flat, with ASCII keys."""


@st.composite
def rewritten(draw: st.DrawFn, content: object) -> str:
    """
    The same JSON as another implementation may write it: other order, spaces, escapes, spelling of numbers.
    """
    match content:
        case dict():
            keys = draw(st.permutations(sorted(content)))
            items = [f"{_string(draw, key)}{_space(draw)}:{draw(rewritten(content[key]))}" for key in keys]
            return f"{_space(draw)}{{{','.join(items)}{_space(draw)}}}"
        case list():
            return f"[{','.join(draw(rewritten(item)) for item in content)}{_space(draw)}]"
        case str():
            return _string(draw, content)
        case bool() | None:
            return json.dumps(content)
        case int():
            return draw(st.sampled_from([str(content), f"{content}.0", f"{content}e0", f"{content}0E-1"]))
    raise AssertionError(content)


def _space(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", " ", "\n\t", "\r\n  "]))


def _string(draw: st.DrawFn, text: str) -> str:
    way = draw(st.sampled_from(["ascii", "unicode", "everything"]))
    if way == "everything":
        units = text.encode("utf-16-be")
        escapes = [rf"\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
        return f'"{"".join(escapes)}"'
    return json.dumps(text, ensure_ascii=way == "ascii")
