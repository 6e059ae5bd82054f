"""
What is decided about the links between accounts: by a person, by a shared sign-in, and by what the peer says.

At most one link stands per account and peer. Two that exclude each other can only be made at once, one in each app:
they are settled by the same function on both sides. A new one that meets a link that stands is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from sqlmodel import Session

from crossapp_core import addresses
from crossapp_core.errors import EventRejectedError, LinkConflictError, LinkTokenError, UnknownPeerError
from crossapp_core.events import LARGEST_INTEGER, AccountLinked, AccountLinkState, AccountUnlinked
from crossapp_core.locking import lock
from crossapp_core.operations.link_rows import (
    Pair,
    is_gone,
    is_owed,
    key_of,
    links_of,
    locked_row,
    owe,
    pair_of,
    renumber,
    rival_of,
    standing,
    state_of,
    to_ourselves,
    to_peer,
)
from crossapp_core.operations.pairs import BY_OAUTH, EXPLICIT, beats, explicit_after, is_explicit, is_linked
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import Linker
from crossapp_core.tables import AccountLinkBase

Fact: TypeAlias = AccountLinked | AccountUnlinked | AccountLinkState
"""What a peer says of a pair."""

_HIGHEST = LARGEST_INTEGER // 2  # a peer that claimed the last number would leave none to unlink with


@dataclass(frozen=True)
class Confirmation:
    """
    A person who is signed in here has confirmed that the account in the peer is theirs too.
    """

    pair: Pair
    linked_email: str | None = field(default=None, repr=False)
    token_id: str | None = None
    """The link token that they came with; None if the app itself vouches for them."""
    token_expires_at: datetime | None = None


def link(session: Session, linker: Linker, request: Confirmation, /, *, now: datetime) -> Outcome:
    """
    Link two accounts because a person has confirmed it. Doing it again, with another token, changes nothing.

    Raises:
        LinkTokenError: The token was used before (`replayed`), or there is no such user (`subject`).
        LinkConflictError: One of the accounts is linked with another one already.
        UnknownPeerError: There is no such peer.
    """
    pair = request.pair
    if pair.app not in linker.apps:
        raise UnknownPeerError(pair.app, linker.apps)
    _use(session, linker, request, now)
    if key_of(session, linker, pair) is None or is_gone(session, linker, pair.user_id):
        raise LinkTokenError("subject", f"there is no user {pair.user_id} here")
    row = locked_row(session, linker, pair, method=EXPLICIT, now=now)
    ours, theirs = standing(session, linker, pair)
    for other in (ours, theirs):
        if other is not None and other is not row:
            raise LinkConflictError(pair.app, ours=other is ours)
    row.linked_email = addresses.normalise_or_none(request.linked_email) or row.linked_email
    if changed := not is_explicit(row.version):
        row.link_method = EXPLICIT
        _activate(session, linker, row, explicit_after(row.version), now)
    return Outcome((row.id,), changed, (to_ourselves(session, linker, row),))


def link_by_oauth(
    session: Session, linker: Linker, pair: Pair, /, *, method: str, email: str | None, now: datetime
) -> Outcome:
    """
    Link two accounts because both sign in with the same account of a provider: only a pair that never was linked, so
    that the next sign-in doesn't undo what a person has removed.

    A link that stands already keeps standing; the row of the new pair, which stays unlinked, says which that is.
    """
    if key_of(session, linker, pair) is None or is_gone(session, linker, pair.user_id):
        return Outcome()
    row = locked_row(session, linker, pair, method=method, now=now)
    if row.version:
        return Outcome((row.id,))
    others = [other for other in standing(session, linker, pair) if other is not None]
    if others:
        row.lost_to_id = others[0].id
        return Outcome((row.id,))
    row.link_method, row.linked_email = method, addresses.normalise_or_none(email)
    _activate(session, linker, row, BY_OAUTH, now)
    return Outcome((row.id,), True, (to_ourselves(session, linker, row),))


def unlink(session: Session, linker: Linker, pair: Pair, /, *, now: datetime) -> Outcome:
    """
    Unlink two accounts. What was granted stays, future purchases wait. Doing it again changes nothing.
    """
    key = key_of(session, linker, pair)
    row = None if key is None else lock(session, linker.links, key)
    if row is None or not is_linked(row.version):
        return Outcome() if row is None else Outcome((row.id,))
    renumber(linker, row, row.version + 1, now=now)
    session.flush()
    return Outcome((row.id,), True, (to_ourselves(session, linker, row),))


def merge(session: Session, linker: Linker, fact: Fact, /, *, now: datetime) -> Outcome:
    """
    Take over what a peer says of a pair, if its number is larger; what is held then is the answer.

    Whatever number comes from the peer, it holds that one, so that much needn't be told again.

    Raises:
        EventRejectedError: It is about another app (`target`), or its number can't be (`state`).
    """
    pair = _pair_in(linker, fact)
    key = key_of(session, linker, pair)
    gone = is_gone(session, linker, pair.user_id)
    if key is None or (gone and lock(session, linker.links, key) is None):
        return _answer_for_nobody(linker, pair, fact)
    row = locked_row(session, linker, pair, method=_method_in(fact), now=now)
    before = row.version
    row.acknowledged_version = max(row.acknowledged_version, fact.version)
    settled = _take_over(session, linker, row, fact, now, gone=gone) if fact.version > row.version else ()
    owe(row, now=now)
    messages = [to_peer(session, linker, each) for each in settled if is_owed(each)]
    if not isinstance(fact, AccountLinkState) and pair.app not in linker.sketches:
        messages.insert(0, state_of(linker, pair, method=row.link_method, version=row.version))
    ids = dict.fromkeys([row.id, *(each.id for each in settled)])
    return Outcome(tuple(ids), row.version != before, tuple(messages))


def find(session: Session, linker: Linker, app: str, user_id: str) -> AccountLinkBase | None:
    """
    The link of a user here with an account in that peer, if one stands.
    """
    return next((row for row in list_of(session, linker, user_id) if row.linked_app == app), None)


def list_of(session: Session, linker: Linker, user_id: str) -> Sequence[AccountLinkBase]:
    """
    All links of a user here that stand, in the order of the peers.
    """
    return links_of(session, linker.links, user_id)


def _pair_in(linker: Linker, fact: Fact) -> Pair:
    if fact.linked_app != linker.app_id:
        raise EventRejectedError("target", f"{fact.name} is about an account of {fact.linked_app}")
    contradicts = not isinstance(fact, AccountLinkState) and isinstance(fact, AccountLinked) != is_linked(fact.version)
    if contradicts or fact.version > _HIGHEST:
        raise EventRejectedError("state", f"{fact.name} can't have the version {fact.version}")
    return Pair(fact.linked_user_id, fact.source_app or "", fact.user_id)


def _method_in(fact: Fact) -> str:
    return EXPLICIT if isinstance(fact, AccountUnlinked) else fact.link_method


def _answer_for_nobody(linker: Linker, pair: Pair, fact: Fact) -> Outcome:
    # nobody here can be linked, and no row can be written: the answer alone unlinks the peer's
    if isinstance(fact, AccountLinkState) or pair.app in linker.sketches:
        return Outcome()
    version = fact.version + 1 if is_linked(fact.version) else fact.version
    return Outcome(messages=(state_of(linker, pair, method=_method_in(fact), version=version),))


def _take_over(
    session: Session, linker: Linker, row: AccountLinkBase, fact: Fact, now: datetime, *, gone: bool
) -> Sequence[AccountLinkBase]:
    """
    Give a pair the larger number that the peer holds; the rows whose number was raised here because of that.
    """
    row.link_method = row.link_method if isinstance(fact, AccountUnlinked) else fact.link_method
    if not is_linked(fact.version):
        renumber(linker, row, fact.version, now=now)
        return ()
    pair = pair_of(row)
    others = {other.id: other for other in standing(session, linker, pair) if other is not None and other is not row}
    incoming = rival_of(linker, pair, fact.version)
    winner = next((o for o in others.values() if beats(rival_of(linker, pair_of(o), o.version), incoming)), None)
    if winner is not None or gone:
        _lose(linker, row, fact.version, now, to=winner)
        return (row,)
    for other in others.values():
        _lose(linker, other, other.version, now, to=row)
    session.flush()  # first, or two links would stand at once
    if isinstance(fact, AccountLinked):
        row.linked_email = fact.email or row.linked_email
    _activate(session, linker, row, fact.version, now)
    return tuple(others.values())


def _lose(linker: Linker, row: AccountLinkBase, version: int, now: datetime, *, to: AccountLinkBase | None) -> None:
    renumber(linker, row, version + 1, now=now)
    row.lost_to_id = None if to is None else to.id


def _activate(session: Session, linker: Linker, row: AccountLinkBase, version: int, now: datetime) -> None:
    renumber(linker, row, version, now=now)
    session.flush()
    for effect in linker.effects:
        effect(session, row, now=now)


def _use(session: Session, linker: Linker, request: Confirmation, now: datetime) -> None:
    # two that use one token at once: the database refuses the second, which is tried again and finds it here
    if request.token_id is None:
        return
    if lock(session, linker.tokens, {"jti": request.token_id}) is not None:
        raise LinkTokenError("replayed", "the token was used before")
    expires_at = request.token_expires_at or now
    session.add(linker.tokens(jti=request.token_id, used_at=now, expires_at=expires_at))
    session.flush()
