"""
What two apps hold of links and of what was bought, and what must be true of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.operations import links, people, shared_sign_ins
from crossapp_core.operations.pairs import is_explicit, is_linked
from tests.together.linked_hosts import SHARED, both

Pair: TypeAlias = tuple[str, str]
"""A user of the shop, and one of the school: the same in both apps."""
Source: TypeAlias = tuple[str, str]
"""A purchase and a product."""
Wanted: TypeAlias = BundlePurchased | EntitlementRevoke


@dataclass(frozen=True)
class Link:
    """
    What one app holds of a pair.
    """

    id: str
    version: int
    active: bool
    acknowledged: int
    method: str
    linked_at: datetime
    unlinked_at: datetime | None
    lost_to: str | None
    due: datetime | None

    @property
    def said(self) -> tuple[object, ...]:
        """
        All that its version stands for.
        """
        return self.version, self.active, self.method, self.linked_at, self.unlinked_at, self.lost_to


@dataclass(frozen=True)
class Held:
    """
    What the school holds of one source.
    """

    status: str
    version: int
    user_id: str | None


@dataclass(frozen=True)
class Owed:
    """
    What the shop knows of one source.
    """

    status: str
    desired: str
    version: int
    buyer: str | None
    user_id: str | None
    due: datetime | None


@dataclass(frozen=True)
class Sold:
    """
    A purchase as the shop's own database has it.
    """

    buyer: str | None
    """Who bought it, or had a guest's address, verified, when it was written down."""
    owned: bool
    user_id: str | None = None
    email: str | None = None


Links: TypeAlias = Mapping[Pair, Link]


def number_of(links: Links, pair: Pair) -> int:
    """
    The version of a pair; 0 if nothing is known of it.
    """
    return links[pair].version if pair in links else 0


def standing(links: Links) -> set[Pair]:
    """
    The pairs that are linked.
    """
    return {pair for pair, link in links.items() if link.active}


def check_links(before: Links, after: Links, peers: Links, *, gone: Collection[Pair] = ()) -> None:
    """
    Check what holds of the links in one app after each transaction, whatever is lost or late.

    Args:
        before: What it held.
        after: What it holds.
        peers: What the peer holds.
        gone: Pairs of whose users one is gone.
    """
    assert set(before) <= set(after), "what was known of a pair is forgotten"
    ends = Counter(user for pair in standing(after) for user in pair)
    assert [user for user, count in ends.items() if count > 1] == [], "somebody is linked twice"
    for pair, link in after.items():
        old = before.get(pair)
        assert link.active == is_linked(link.version), f"{pair} is linked, or not, against its version"
        assert link.acknowledged <= number_of(peers, pair) or pair in gone, f"{pair}: the peer doesn't hold that"
        assert (link.due is not None) == (link.acknowledged < link.version), f"{pair} is owed, or not, against its due"
        assert not link.active or is_explicit(link.version) == (link.method == "explicit"), f"{pair}: who linked it?"
        if old is not None:
            assert link.version >= old.version, f"the version of {pair} went back"
            assert link.acknowledged >= old.acknowledged, f"{pair}: what the peer was known to hold is forgotten"
            assert link.version > old.version or not link.version or link.said == old.said, f"{pair} changed silently"


def check_number(operation: object, pair: Pair, old: int, after: Links, *, known: bool, app: str) -> None:
    """
    Check that a pair has its new version for a reason.

    Args:
        operation: What has just been done.
        pair: The pair.
        old: Its version before that.
        after: What the app holds now.
        known: Whether one of the apps held that version before.
        app: The app that it happened in.
    """
    link = after[pair]
    if operation is links.link:
        assert is_explicit(link.version), f"{pair} was confirmed, and got {link.version}"
    elif operation is shared_sign_ins.link:
        assert (old, link.version) == (0, 1), f"a sign-in brought {pair} from {old} to {link.version}"
        assert pair in SHARED, f"{pair} were linked, though they share no account"
        assert both()[app].people.alone.isdisjoint(pair), f"{pair} were linked against their will"
    elif operation in (people.unlink, links.unlink):
        assert (old % 2, link.version) == (1, old + 1), f"{pair} was unlinked, and got {link.version} after {old}"
    else:
        assert operation is links.merge, f"{operation} changed {pair}"
        winners = [other for other, each in after.items() if each.id == link.lost_to and each.active]
        assert known or winners, f"nobody gave {pair} the version {link.version}"
        for winner in winners:
            ranks = _rank(winner, after[winner].version), _rank(pair, link.version - 1)
            assert min(ranks) == ranks[0], f"{pair} lost to {winner}, which should have lost"


def _rank(pair: Pair, version: int) -> tuple[bool, Pair]:
    return version < 3, (pair[1], pair[0])  # the school's id comes first, as "ai-hero" does


def check_held(
    before: Mapping[Source, Held],
    after: Mapping[Source, Held],
    wanted: Mapping[tuple[Source, int], Wanted],
    linked: Collection[Pair],
) -> None:
    """
    Check what holds of the school's entitlements after each transaction.

    Args:
        before: What it held.
        after: What it holds.
        wanted: What the shop said of a source at a version.
        linked: The pairs that are linked there at this moment.
    """
    assert set(before) <= set(after), "what was known of a source is forgotten"
    for source, held in after.items():
        old = before.get(source, Held("", 0, None))
        request = wanted[source, held.version]
        assert held.version >= old.version, f"the version of {source} went back"
        assert isinstance(request, BundlePurchased) == (held.status != "revoked"), f"{source} isn't as it was wanted"
        if held.status == "active" and (old.status, old.user_id) != ("active", held.user_id):
            pair = request.buyer_user_id if isinstance(request, BundlePurchased) else None, held.user_id
            assert pair in linked, f"{source} was opened for {pair[1]}, who isn't linked with its buyer {pair[0]}"
        if held.version == old.version and old.status != "pending":
            assert held == old, f"{source} was {old.status}, and is something else at the same version"


def check_links_at_rest(shop: Links, school: Links, *, gone: Collection[Pair] = ()) -> None:
    """
    Check that both apps hold the same of each pair, and know that of each other.
    """
    for pair in sorted({*shop, *school}):
        versions = number_of(shop, pair), number_of(school, pair)
        if pair in gone:
            assert not any(map(is_linked, versions)), f"{pair} is still linked, though one of them is gone"
        else:
            assert versions[0] == versions[1], f"{pair}: the shop and the school hold {versions}"
        owed = [link for links in (shop, school) if (link := links.get(pair)) and link.acknowledged < link.version]
        assert owed == [], f"{pair} is still owed"
    assert standing(shop) == standing(school), "different pairs are linked"


def check_access_at_rest(
    sold: Mapping[str, Sold],
    ledger: Mapping[Source, Owed],
    held: Mapping[Source, Held],
    linked: Collection[Pair],
    *,
    forgetful: bool,
) -> None:
    """
    Check that nobody lacks access that is theirs, and that both apps say the same of it.

    Args:
        sold: The shop's purchases.
        ledger: What the shop knows of them.
        held: What the school holds.
        linked: The pairs that are linked.
        forgetful: The news of a claim may have been lost, which is asked for again only where a link stands.
    """
    assert set(ledger) == set(held), "one app knows of a source that the other doesn't"
    user_of = dict(linked)
    for source, row in ledger.items():
        state, purchase = held[source], sold[source[0]]
        assert (row.version, row.desired == "granted") == (state.version, state.status != "revoked"), "they disagree"
        assert row.status == ("revoked" if state.status == "revoked" else "synced"), f"{source} isn't acknowledged"
        assert purchase.owned == (state.status != "revoked"), f"{source} is owned and locked, or the reverse"
        assert row.buyer == purchase.buyer, f"{source} was bought by {purchase.buyer}, not by {row.buyer}"
        if state.status != "revoked":
            unknown = forgetful and row.user_id is None and row.buyer not in user_of
            assert unknown or row.user_id == state.user_id, f"they disagree on who holds {source}"
            assert state.status == "active" or row.buyer not in user_of, f"{source} waits, though its buyer is linked"
            assert row.due is None or row.user_id is None, f"{source} is asked for, though its holder is known"
    assert {purchase_id for purchase_id, _ in ledger} == set(sold), "a purchase is in no ledger"
