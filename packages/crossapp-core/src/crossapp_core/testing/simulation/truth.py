"""
What the simulator knows better than the apps: what happened, and what was ever said.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from crossapp_core.testing.simulation.places import EntitlementRow, LedgerRow, LinkRow, Sale


class Source(NamedTuple):
    """
    One component of one purchase.
    """

    seller: str
    purchase_id: str
    granter: str
    product_id: str


class Pair(NamedTuple):
    """
    Two accounts, as one app sees them.
    """

    user_id: str
    app: str
    linked_user_id: str


class Wanted(NamedTuple):
    """
    What a seller said of a source at one version.
    """

    desired: str
    buyer: str | None


@dataclass
class Bought:
    """
    A purchase, and whose it ever was.
    """

    seller: str
    purchase_id: str
    sale: Sale | None
    """As it is now; None if it was deleted."""
    bundle: list[tuple[str, str]]
    """The components that were sold with it."""
    buyers: set[str] = field(default_factory=set)
    """All users whose it was, or who held a guest's address."""
    held: set[tuple[str, str]] = field(default_factory=set)
    """The components that an operator has taken back."""


Ledger: TypeAlias = dict[Source, LedgerRow]
Held: TypeAlias = dict[Source, EntitlementRow]
Links: TypeAlias = dict[Pair, LinkRow]


class Truth:
    """
    All of it.
    """

    def __init__(self) -> None:
        self.bought: dict[tuple[str, str], Bought] = {}
        """By seller and purchase."""
        self.wanted: dict[Source, dict[int, Wanted]] = defaultdict(dict)
        """What a seller wanted of a source, by version."""
        self.reached: dict[Source, int] = defaultdict(int)
        """The highest version that the granter ever held."""
        self.linked: dict[tuple[str, Pair], int] = defaultdict(int)
        """The highest version that an app ever held of a pair."""
        self.gone: set[tuple[str, str]] = set()
        """The users who were deleted, by app."""
        self.verified: set[tuple[str, str]] = set()
        """The users who have verified their address meanwhile, by app."""
        self.shared: set[frozenset[tuple[str, str]]] = set()
        """Which two users, by app, sign in with the same account."""
        self.newest: dict[str, int] = defaultdict(int)
        """The highest version that each seller ever gave."""

    def live(self) -> list[Bought]:
        """
        The purchases that there are.
        """
        return [each for each in self.bought.values() if each.sale is not None]
