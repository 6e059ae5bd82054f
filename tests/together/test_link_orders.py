from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.together.link_invariants import Held, Pair, Source, number_of, standing
from tests.together.linked_apps import LinkedApps
from tests.together.linked_hosts import ADA, BOB, CLEO, HER, SCHOOL, SHOP

PLACE = st.integers(0, 30)

Steps: TypeAlias = Callable[[LinkedApps], None]
T = TypeVar("T")


def link(apps: LinkedApps) -> None:
    """
    Ada links her accounts, in the shop.
    """
    apps.confirm(SHOP, ADA, HER)
    apps.do(apps.waiting[-1])


def link_there(apps: LinkedApps) -> None:
    """
    Ada links her accounts, in the school.
    """
    apps.confirm(SCHOOL, HER, ADA)
    apps.do(next(work for work in apps.waiting if work.app == SCHOOL and work.rest == "" and work.is_about_links))


def unlink(apps: LinkedApps) -> None:
    """
    Ada removes the link, in the shop.
    """
    apps.unlink(SHOP, ADA)
    apps.do(apps.waiting[-1])


def sign_in(apps: LinkedApps) -> None:
    """
    Ada signs in to the school with GitHub.
    """
    apps.sign_in(SCHOOL, HER)


def buy(apps: LinkedApps) -> None:
    """
    Ada buys something.
    """
    apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")


def refund(apps: LinkedApps) -> None:
    """
    It is taken back.
    """
    apps.refund("pur_1")


HISTORIES: list[tuple[list[Steps], int, list[str]]] = [
    ([buy, link, unlink, refund], 4, ["revoked"]),
    ([buy, link, unlink, link], 5, ["active"]),
    ([buy, link, link_there], 3, ["active"]),
    ([sign_in, link, unlink, link], 5, []),
]
"""What is done, and how it ends: the version of the link, and what is held."""


@st.composite
def deeds(draw: st.DrawFn) -> list[tuple[str, str]]:
    """
    What three people do, each with one account in each app.
    """
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["link", "link there", "unlink", "unlink there", "sign in", "buy", "refund", "do"]),
                st.sampled_from([ADA, BOB, CLEO]),
            ),
            min_size=1,
            max_size=12,
        )
    )


class TestOrder:
    @pytest.mark.parametrize(("steps", "version", "statuses"), HISTORIES)
    def test_every_order(self, steps: list[Steps], version: int, statuses: list[str]) -> None:
        """
        In whatever order both apps hear of a purchase, a link, its end and a refund, and be it twice, they hold the
        same in the end.
        """
        for order in permutations(range(len(_after(steps).waiting))):
            apps = _after(steps)
            waiting = [*apps.waiting]
            for place in order:
                apps.do(waiting[place])
            for place in order:
                apps.repeat(waiting[place])
            apps.do_all()

            apps.check_rest()
            ends = {number_of(links, (ADA, HER)) for links in apps.links.values()}
            assert (ends, [held.status for held in apps.held.values()]) == ({version}, statuses), order

    @given(deeds(), st.lists(PLACE, min_size=1, max_size=40), st.lists(PLACE, min_size=1, max_size=40))
    @settings(max_examples=20, deadline=None)
    def test_any_order(self, done: list[tuple[str, str]], one: list[int], other: list[int]) -> None:
        """
        Whatever three people do, two different orders in which the apps hear of it, with repetitions, end the same.
        """
        assert _end(done, one) == _end(done, other)


def _after(steps: Sequence[Steps]) -> LinkedApps:
    apps = LinkedApps()
    for step in steps:
        step(apps)
    return apps


def _end(
    done: Sequence[tuple[str, str]], order: Sequence[int]
) -> tuple[dict[Pair, tuple[int, int]], dict[Source, Held]]:
    apps = LinkedApps(note)
    for deed, user in done:
        _let(apps, deed, user)
    for turn in range(500):
        if not apps.waiting:
            break
        place = order[turn % len(order)]
        apps.do(_one(apps.waiting, place))
        if place % 3 == 0:
            apps.repeat(_one(apps.done, place))
    apps.do_all()
    apps.check_rest()
    shop, school = apps.links.values()
    versions = {pair: (number_of(shop, pair), number_of(school, pair)) for pair in {*shop, *school}}
    return versions, {source: _settled(apps, source, held) for source, held in apps.held.items()}


def _settled(apps: LinkedApps, source: Source, held: Held) -> Held:
    # whether somebody got it while they were linked, and it was not locked yet, is a matter of order
    if held.status == "revoked":
        return Held(held.status, held.version, None)
    linked = apps.sold[source[0]].buyer in dict(standing(apps.links[SCHOOL]))
    return held if linked else Held("", held.version, None)


def _let(apps: LinkedApps, deed: str, user: str) -> None:
    other = user.replace("shop", "school")
    match deed:
        case "link":
            apps.confirm(SHOP, user, other)
        case "link there":
            apps.confirm(SCHOOL, other, user)
        case "unlink":
            apps.unlink(SHOP, user)
        case "unlink there":
            apps.unlink(SCHOOL, other)
        case "sign in" if user == ADA:
            apps.sign_in(SCHOOL, other)
        case "sign in":
            apps.sign_in(SHOP, user)
        case "buy":
            apps.put(f"pur-{user}", owned=True, user_id=user, email=f"{user}@example.com")
        case "refund" if f"pur-{user}" in apps.sold:
            apps.refund(f"pur-{user}")
        case "do" if own := [work for work in apps.waiting if work.event.source_app == work.app]:
            apps.do(own[0])


def _one(items: Sequence[T], place: int) -> T:
    return items[-1 - place % len(items)]
