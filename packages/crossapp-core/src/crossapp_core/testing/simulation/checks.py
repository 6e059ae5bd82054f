"""
What must be true after every step: a part of the invariants says what may never happen, whatever is lost or late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from crossapp_core.operations.pairs import is_explicit, is_linked
from crossapp_core.testing.simulation.places import EntitlementRow, LedgerRow, LinkRow
from crossapp_core.testing.simulation.truth import Held, Ledger, Links, Pair, Source, Truth, Wanted

K = TypeVar("K")
V = TypeVar("V")


class BrokenError(AssertionError):
    """
    An invariant doesn't hold.

    Args:
        number: Which of the eight; 0 for what should be true besides.
        name: Its name.
        detail: What is wrong.
    """

    NAMES = (
        "at rest",
        "no free access",
        "no lost access",
        "one row",
        "revoked stays revoked",
        "right person",
        "agreement",
        "links",
        "silence",
    )

    def __init__(self, number: int, detail: str) -> None:
        super().__init__(f"{number} ({self.NAMES[number]}): {detail}")
        self.number = number
        self.detail = detail


def check(holds: object, number: int, detail: str) -> None:
    """
    Check one thing.

    Raises:
        BrokenError: It doesn't hold.
    """
    if not holds:
        raise BrokenError(number, detail)


def by_key(rows: Iterable[V], keys: Iterable[K], number: int) -> dict[K, V]:
    """
    Rows by what they are about, of which each must have one alone.
    """
    found: dict[K, V] = {}
    for key, row in zip(keys, rows, strict=True):
        if key in found:
            raise BrokenError(number, f"there are two rows for {key}")
        found[key] = row
    return found


def check_ledger(truth: Truth, before: Ledger, after: Ledger, sketches: Collection[str]) -> None:
    """
    Check a seller's ledger, and remember what it says.
    """
    if not before.keys() <= after.keys():
        raise BrokenError(6, f"the ledger has forgotten {sorted(before.keys() - after.keys())[0]}")
    for source, row in after.items():
        old = before.get(source)
        if row == old:
            continue
        said = Wanted(row.desired, row.buyer_user_id)
        known = truth.wanted[source].setdefault(row.version, said)
        truth.newest[source.seller] = max(truth.newest[source.seller], row.version)
        check(known == said, 6, f"{source}: version {row.version} said {known} and now says {said}")
        _check_row(truth, source, row, is_sketch=source.granter in sketches)
        if old is not None:
            _check_row_change(source, old, row)


def _check_row(truth: Truth, source: Source, row: LedgerRow, *, is_sketch: bool) -> None:
    done = {"synced": "granted", "revoked": "revoked"}.get(row.status)
    check(done in (None, row.desired), 6, f"{source} is {row.status}, though it is to be {row.desired}")
    check(done or row.due is not None, 6, f"{source} is {row.status} and will never be sent again")
    if done and not is_sketch:
        reached = truth.reached[source]
        check(reached >= row.version, 6, f"{source}: {row.version} is acknowledged, the granter holds {reached}")


def _check_row_change(source: Source, old: LedgerRow, row: LedgerRow) -> None:
    check(row.version >= old.version, 4, f"{source}: its version went back from {old.version} to {row.version}")
    if row.version == old.version and row.status != old.status:
        allowed = {"pending": ("synced", "failed", "revoked"), "failed": ("synced", "revoked")}.get(old.status, ())
        check(row.status in allowed, 4, f"{source} was {old.status} and is {row.status} at the same version")


def check_held(truth: Truth, before: Held, after: Held, linked: Collection[Pair], sketches: Collection[str]) -> None:
    """
    Check a granter's entitlements, and remember how far they have come.

    Args:
        truth: What was ever said.
        before: What it held.
        after: What it holds.
        linked: The pairs that are linked there, or were a moment ago.
        sketches: Its sketch peers.
    """
    if not before.keys() <= after.keys():
        raise BrokenError(4, f"the granter has forgotten {sorted(before.keys() - after.keys())[0]}")
    for source, row in after.items():
        old = before.get(source)
        if row == old or (source.seller in sketches):
            continue
        truth.reached[source] = max(truth.reached[source], row.version)
        _check_wanted(truth, source, row)
        if old is not None:
            _check_held_change(source, old, row)
        if row.status == "active":
            _check_person(truth, source, old, row, linked)


def _check_wanted(truth: Truth, source: Source, row: EntitlementRow) -> None:
    wanted = truth.wanted[source].get(row.version)
    if row.status == "revoked":
        check(wanted is None or wanted.desired == "revoked", 2, f"{source} is revoked at {row.version}: {wanted}")
        return
    check(wanted and wanted.desired == "granted", 1, f"{source} is {row.status} at {row.version}: {wanted}")


def _check_held_change(source: Source, old: EntitlementRow, row: EntitlementRow) -> None:
    check(row.version >= old.version, 4, f"{source}: its version went back from {old.version} to {row.version}")
    if row.version == old.version and (row.status, row.user_id) != (old.status, old.user_id):
        claimed = old.status == "pending" and row.status == "active"
        check(claimed, 4, f"{source} was {old.status} and is {row.status} at the same version")


def _check_person(
    truth: Truth, source: Source, old: EntitlementRow | None, row: EntitlementRow, linked: Collection[Pair]
) -> None:
    wanted = truth.wanted[source].get(row.version)
    buyer = None if wanted is None else wanted.buyer
    user_id = row.user_id or ""
    if old is not None and old.status == "active" and old.user_id == row.user_id:
        before = truth.wanted[source].get(old.version)
        if before is None or before.buyer in (None, buyer):
            return
    pair = Pair(user_id, source.seller, buyer or "")
    check(pair in linked, 5, f"{source} is open for {user_id}, who isn't linked with its buyer {buyer}")


def check_links(truth: Truth, app: str, before: Links, after: Links) -> None:
    """
    Check the links of an app, and remember how far they have come.
    """
    if not before.keys() <= after.keys():
        raise BrokenError(7, f"{app} has forgotten {sorted(before.keys() - after.keys())[0]}")
    for pair, row in after.items():
        old = before.get(pair)
        if row == old:
            continue
        truth.linked[app, pair] = max(truth.linked[app, pair], row.version)
        check(bool(row.active) == is_linked(row.version), 7, f"{app}: {pair} is linked, or not, against its version")
        if row.active:
            explicit = row.method == "explicit"
            check(explicit == is_explicit(row.version), 7, f"{app}: {pair} is linked by {row.method} as {row.version}")
        if row.lost_to is not None and row.version and (old is None or row.version > old.version):
            _check_lost(app, pair, row, after)
        if old is not None:
            check(row.version >= old.version, 7, f"{app}: {pair} went back from {old.version} to {row.version}")
    _check_ends(app, after)


def _check_lost(app: str, pair: Pair, row: LinkRow, links: Links) -> None:
    if not row.version:
        return  # it never stood: a sign-in met a link that does, which stays whoever is better
    for other, winner in links.items():
        if winner.id == row.lost_to and winner.active and not row.active:
            better = _rank(app, other, winner.version) < _rank(app, pair, row.version - 1)
            check(better, 7, f"{app}: {pair} lost to {other}, which should have lost")


def _rank(app: str, pair: Pair, version: int) -> tuple[bool, list[str]]:
    users = sorted([(app, pair.user_id), (pair.app, pair.linked_user_id)])
    return not is_explicit(version), [user_id for _, user_id in users]


def check_acknowledged(truth: Truth, app: str, links: Links, sketches: Collection[str]) -> None:
    """
    Check that a peer holds what it is said to know, and that the rest is owed to it.
    """
    for pair, row in links.items():
        owed = row.acknowledged < row.version
        check((row.due is not None) == owed, 7, f"{app}: {pair} is owed, or not, against its due")
        if pair.app in sketches or (pair.app, pair.linked_user_id) in truth.gone:
            continue
        theirs = truth.linked[pair.app, Pair(pair.linked_user_id, app, pair.user_id)]
        check(row.acknowledged <= theirs, 7, f"{app}: {pair.app} is said to hold {row.acknowledged} of {pair}")


def _check_ends(app: str, links: Mapping[Pair, LinkRow]) -> None:
    standing = [pair for pair, row in links.items() if row.active]
    ends = Counter[tuple[str, str, str]]()
    for pair in standing:
        ends["here", pair.app, pair.user_id] += 1
        ends["there", pair.app, pair.linked_user_id] += 1
    twice = [end for end, count in ends.items() if count > 1]
    check(not twice, 7, f"{app}: somebody is linked twice: {twice}")
