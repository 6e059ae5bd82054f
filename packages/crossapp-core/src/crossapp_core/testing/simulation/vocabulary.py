"""
All that can happen in a simulated world, and how often it does: the one list for random histories, long or shrunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from crossapp_core.testing.simulation.core import ACADEMY, PRODUCTS, SCHOOL, SHOP, STUDIO
from crossapp_core.testing.simulation.network import Trouble
from crossapp_core.testing.simulation.resting import GONE, RECONCILE, SWEEP
from crossapp_core.testing.simulation.sales import GUEST, RECORDED, SILENT, STRANGER, TOLD

Domain: TypeAlias = Sequence[Any]
"""What an argument may be, the simplest first; what comes twice comes twice as often."""


@dataclass(frozen=True)
class Kind:
    """
    One kind of thing that happens.
    """

    name: str
    """The method of `World`."""
    weight: float
    """How often it happens, against the others."""
    domains: Mapping[str, Domain]
    """What its arguments may be."""

    def draw(self, random: Random) -> dict[str, Any]:
        """
        Arguments by chance.
        """
        return {name: domain[int(random.random() * len(domain))] for name, domain in self.domains.items()}


PLACES = range(30)
PEOPLE = ("ada", "bob", "cleo")
NUMBERS = range(1, 6)
HOW = (TOLD, RECORDED, TOLD, RECORDED, SILENT)


def kinds(apps: Sequence[str], *, sketch: bool = False) -> list[Kind]:
    """
    All that can happen among those apps, and with a peer without this library.
    """
    return [*_among(apps, sketch=sketch), *(_academy() if sketch else ())]


def _academy() -> list[Kind]:
    return [
        Kind("academy_works", 20, {"place": (0, 0, *PLACES)}),
        Kind("academy_sells", 2, {"number": NUMBERS, "person": PEOPLE, "linked": (False, True)}),
        Kind("academy_refunds", 1.5, {"number": NUMBERS, "whole": (True, False)}),
        Kind(
            "trouble", 1, {"app": [SHOP], "peer": [ACADEMY], "kind": [str(each) for each in Trouble], "times": (1, 9)}
        ),
        Kind("part", 0.5, {"app": [SHOP], "peer": [ACADEMY]}),
    ]


def _among(apps: Sequence[str], *, sketch: bool) -> list[Kind]:
    sellers = [app for app in (SHOP, STUDIO) if app in apps]
    granters = [app for app in (SCHOOL, STUDIO) if app in apps]
    sale = {"app": [SHOP, *sellers], "number": NUMBERS}
    two = {"app": apps, "peer": apps[::-1]}
    buyers = (*PEOPLE, GUEST, GUEST, STRANGER)
    return [
        Kind(
            "buy",
            9,
            {**sale, "buyer": buyers, "bundle": ("small", "large", *(("wide", "wide") if sketch else ())), "how": HOW},
        ),
        Kind("refund", 6, {**sale, "how": HOW}),
        Kind("refund_partly", 0.5, {**sale, "how": HOW}),
        Kind("dispute", 1, {**sale, "how": HOW}),
        Kind("win", 3, {**sale, "how": HOW}),
        Kind("transfer", 3, {**sale, "buyer": buyers, "how": HOW}),
        Kind("remove", 0.7, sale),
        Kind("hold", 0.7, sale),
        Kind("release", 0.7, sale),
        Kind("hint", 1, {**sale, "kind": ("sold", "refunded", "changed")}),
        Kind("link", 8, {"app": apps, "person": PEOPLE, "peer": apps, "other": PEOPLE}),
        Kind("confirm_again", 0.7, {"place": PLACES, "other": PEOPLE}),
        Kind("unlink", 2, {"app": apps, "person": PEOPLE, "peer": apps}),
        Kind("sign_in", 4, {"app": apps, "person": PEOPLE}),
        Kind("verify", 0.5, {"app": sellers, "person": ("bob",)}),
        Kind("leave", 0.5, {"app": apps, "person": PEOPLE, "how": ("told", "silent", "erased")}),
        Kind("withdraw", 0.7, {"app": granters, "product": PRODUCTS}),
        Kind("teach", 0.7, {"app": granters, "product": PRODUCTS}),
        Kind("work", 150, {"place": (0, 0, 0, *PLACES)}),
        Kind("cron", 6, {"app": apps, "function": (RECONCILE, RECONCILE, RECONCILE, RECONCILE, SWEEP, GONE)}),
        Kind("tick", 8, {"seconds": (1, 20, 61, 61, 130, 700, 4000, 90000)}),
        Kind("jump", 0.7, {"app": apps, "seconds": (0, 600, -600, 60, -3600)}),
        Kind("trouble", 4, {**two, "kind": [str(each) for each in Trouble], "times": (1, 2, 9)}),
        Kind("part", 1.5, two),
        Kind("lose", 3, {"place": PLACES}),
        Kind("repeat", 8, {"place": range(150)}),
        Kind("postpone", 4, {"place": PLACES, "hours": (1, 30, 240)}),
        Kind("crash", 3, {"app": apps, "after": range(6)}),
        Kind("rotate", 0.7, {"app": apps, "peer": apps}),
        Kind("redeploy", 0.5, {"app": apps, "how": ("same", "older", "newer")}),
        Kind("forge", 1.5, {"app": apps, "place": PLACES, "how": ("changed", "bare", "foreign")}),
        Kind("back_up", 0.7, {"app": apps}),
        Kind("restore", 0.5, {"app": apps, "place": range(4)}),
        Kind("rest", 0.15, {"backwards": (False, True)}),
    ]


ALWAYS = ("work", "cron", "tick", "rest")
"""What no history does without."""
FEATURES = (
    *("buy", "refund", "refund_partly", "dispute", "win", "transfer", "remove", "hold", "release", "hint"),
    *("link", "unlink", "sign_in", "verify", "leave", "withdraw"),
    *("jump", "trouble", "part", "lose", "repeat", "postpone", "crash", "rotate", "redeploy", "forge"),
    *("back_up", "restore"),
)
"""What a history may do without altogether: histories of few kinds find what is drowned in others."""
