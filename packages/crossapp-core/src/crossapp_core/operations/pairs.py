"""
The number of a pair of accounts, which says everything: 0 never linked, 1 linked by OAuth, odd from 3 linked
explicitly, even unlinked. The larger one wins.

So a removed link isn't brought back by a late event, both apps may act at once, and what a person confirmed outlives
what was settled about an OAuth link meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

EXPLICIT = "explicit"
"""The method of a link that a person confirmed."""

BY_OAUTH = 1
FIRST_EXPLICIT = 3


def is_linked(version: int) -> bool:
    """
    Whether the two accounts are linked.
    """
    return version % 2 == 1


def is_explicit(version: int) -> bool:
    """
    Whether a person confirmed the link.
    """
    return is_linked(version) and version >= FIRST_EXPLICIT


def explicit_after(version: int) -> int:
    """
    The number of a link that a person confirms now: the smallest odd one from 3 that is larger.
    """
    return max(FIRST_EXPLICIT, version + 1 + version % 2)


@dataclass(frozen=True)
class Rival:
    """
    One of two links that exclude each other.
    """

    version: int
    users: tuple[tuple[str, str], tuple[str, str]]
    """Of both apps: the app's id, and the user's there."""


def beats(one: Rival, other: Rival) -> bool:
    """
    Which of two links stands that exclude each other, the same in both apps: one that was confirmed before one by
    OAuth, then the one with the smaller ids; those of the app whose id comes first are compared first.
    """
    return _rank(one) < _rank(other)


def _rank(rival: Rival) -> tuple[bool, list[str]]:
    return not is_explicit(rival.version), [user_id for _, user_id in sorted(rival.users)]
