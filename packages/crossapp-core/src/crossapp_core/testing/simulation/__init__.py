"""
Any history of linked apps, with all that goes wrong: on a clock, in databases, over a network and in processes that the
test has in its hand.

    class Histories(simulation.Histories):
        seller, granter = make_shop, make_school
"""

from __future__ import annotations

from crossapp_core.testing.simulation.chances import Failure, simulate, story_of, try_history
from crossapp_core.testing.simulation.checks import BrokenError
from crossapp_core.testing.simulation.histories import Histories
from crossapp_core.testing.simulation.places import (
    EntitlementRow,
    GranterHost,
    Host,
    LedgerRow,
    Person,
    Place,
    Sale,
    SellerHost,
)
from crossapp_core.testing.simulation.rows import Rows
from crossapp_core.testing.simulation.world import World

__all__ = [
    "BrokenError",
    "EntitlementRow",
    "Failure",
    "GranterHost",
    "Histories",
    "Host",
    "LedgerRow",
    "Person",
    "Place",
    "Rows",
    "Sale",
    "SellerHost",
    "World",
    "simulate",
    "story_of",
    "try_history",
]
