from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from crossapp_core.events import AccountLinked, AccountLinkState, AccountUnlinked, Event
from crossapp_core.operations.pairs import is_explicit
from tests.together.link_invariants import Link, Pair, number_of, standing
from tests.together.linked_apps import LATER, LinkedApps
from tests.together.linked_hosts import ADA, BOB, CLEO, HER, HERS, HIM, PEER, SCHOOL, SHOP, both
from tests.together.linked_work import Work

ADA_HER, ADA_HIM, BOB_HIM = (ADA, HER), (ADA, HIM), (BOB, HIM)


@pytest.fixture
def apps() -> LinkedApps:
    """
    Both apps, where nothing has happened yet.
    """
    return LinkedApps()


def link_at_once(apps: LinkedApps, in_shop: str, in_school: str) -> None:
    """
    Link Ada with Bob's account in the shop, and with her own in the school, each by a sign-in or explicitly.
    """
    apps.sign_in(SCHOOL, HIM)  # with Ada's Discord, which links them in the shop
    apps.sign_in(SHOP, ADA)  # with her GitHub, which links her in the school
    signed_in, apps.waiting = apps.waiting, []
    if in_shop == "explicit":
        apps.confirm(SHOP, ADA, HIM)
    if in_school == "explicit":
        apps.confirm(SCHOOL, HER, ADA)
    for provider, app, how in (("discord", SHOP, in_shop), ("github", SCHOOL, in_school)):
        if how == "oauth":
            [login] = [work for work in signed_in if work.app == app and f"{provider}:" in work.id]
            apps.repeat(login)
    assert (standing(apps.links[SHOP]), standing(apps.links[SCHOOL])) == ({ADA_HIM}, {ADA_HER})


AT_ONCE = [
    ("explicit", "explicit", ADA_HER),
    ("explicit", "oauth", ADA_HIM),
    ("oauth", "explicit", ADA_HER),
    ("oauth", "oauth", ADA_HER),
]
"""How they are linked in the shop and in the school, and which link stands in the end."""


class TestTwoLinksAtOnce:
    def test_same_pair(self, apps: LinkedApps) -> None:
        """
        Both apps may link the same two accounts at once: they are linked once, and each answers the other once.
        """
        apps.confirm(SHOP, ADA, HER)
        apps.confirm(SCHOOL, HER, ADA)
        apps.do_all()

        apps.check_rest()
        assert _versions(apps, ADA_HER) == (3, 3)
        assert _heard(apps, AccountLinked) == 4, "its own functions and the peer's, in each app"
        assert _heard(apps, AccountLinkState) == 2

    @pytest.mark.parametrize(("in_shop", "in_school", "winner"), AT_ONCE)
    @pytest.mark.parametrize("backwards", [False, True])
    def test_that_exclude_each_other(
        self, apps: LinkedApps, in_shop: str, in_school: str, winner: Pair, backwards: bool
    ) -> None:
        """
        Of two links that exclude each other the same one stands in both apps, without a cron: one that was confirmed
        before one by a sign-in, then the one with the smaller ids. The other is unlinked, which is announced, and
        recorded by whoever has seen both.
        """
        link_at_once(apps, in_shop, in_school)
        apps.do_all(backwards=backwards)

        apps.check_rest()
        [loser] = {ADA_HIM, ADA_HER} - {winner}
        version = {"explicit": 4, "oauth": 2}[in_shop if loser == ADA_HIM else in_school]
        assert standing(apps.links[SHOP]) == {winner}
        assert _versions(apps, loser) == (version, version)
        recorded = [_lost_to(apps, app, loser) for app in (SHOP, SCHOOL)]
        assert recorded == [winner, winner] or (backwards and set(recorded) == {winner, None})
        said = [work.event for work in apps.done if isinstance(work.event, AccountUnlinked)]
        assert {event.version for event in said} == {version}

    @pytest.mark.parametrize("order", [*permutations(range(3))])
    def test_in_every_order(self, apps: LinkedApps, order: tuple[int, ...]) -> None:
        """
        In whatever order both apps hear of two links with one account of the school, and be it twice, the same stands.
        """
        apps.confirm(SHOP, BOB, HIM)
        apps.confirm(SCHOOL, HIM, ADA)
        for hint in [*apps.waiting]:
            apps.do(hint)
        waiting = [*apps.waiting]
        assert len(waiting) == len(order), "both announcements, and a claim"
        for place in order:
            apps.do(waiting[place])
        for place in order:
            apps.repeat(waiting[place])
        apps.do_all()

        apps.check_rest()
        assert standing(apps.links[SHOP]) == {ADA_HIM}
        assert _versions(apps, BOB_HIM) == (4, 4)

    @pytest.mark.parametrize("backwards", [False, True])
    def test_one_of_three(self, apps: LinkedApps, backwards: bool) -> None:
        """
        A link that excludes two others at once loses to one of them, or unlinks both: in both apps the same.
        """
        apps.confirm(SHOP, ADA, HIM)
        apps.confirm(SHOP, BOB, HER)
        apps.confirm(SCHOOL, HER, ADA)
        apps.do_all(backwards=backwards)

        apps.check_rest()
        assert standing(apps.links[SHOP]) == {ADA_HER}
        assert (_versions(apps, ADA_HIM), _versions(apps, (BOB, HER))) == ((4, 4), (4, 4))


class TestRefusal:
    @pytest.mark.parametrize(("user", "other"), [(HIM, ADA), (HER, BOB)])
    def test_another_stands(self, apps: LinkedApps, user: str, other: str) -> None:
        """
        Who is linked isn't linked with somebody else by a new request, and what stands stays.
        """
        apps.confirm(SCHOOL, HER, ADA)
        apps.do_all()
        assert apps.confirm(SCHOOL, user, other) == "conflict"
        apps.do_all()

        apps.check_rest()
        assert standing(apps.links[SHOP]) == {ADA_HER}


class TestUnlinking:
    def test_overtakes_its_link(self, apps: LinkedApps) -> None:
        """
        An unlinking that arrives before its link isn't undone by it.
        """
        apps.confirm(SHOP, ADA, HER)
        apps.do(apps.waiting[0])
        [linked] = apps.waiting
        apps.unlink(SHOP, ADA)
        _do(apps, lambda work: work is not linked)
        _do(apps, lambda work: work is not linked)
        assert _versions(apps, ADA_HER) == (4, 4)
        apps.do_all()

        assert _versions(apps, ADA_HER) == (4, 4)
        assert standing(apps.links[SCHOOL]) == set()
        apps.check_rest()

    @pytest.mark.parametrize("app", [SHOP, SCHOOL])
    def test_relinked(self, apps: LinkedApps, app: str) -> None:
        """
        The same two accounts are linked again by a higher version, and by a new token alone.
        """
        token = apps.invite(SHOP, ADA)
        assert apps.use(token, HER) == "linked"
        apps.do_all()
        old = [*apps.done]
        apps.unlink(app, ADA if app == SHOP else HER)
        apps.do_all()
        assert apps.use(token, HER) == "replayed"
        for work in old:
            apps.repeat(work)
        apps.do_all()
        assert _versions(apps, ADA_HER) == (4, 4)

        assert apps.confirm(SCHOOL, HER, ADA) == "linked"
        apps.do_all()
        apps.check_rest()
        assert _versions(apps, ADA_HER) == (5, 5)

    @pytest.mark.parametrize("backwards", [False, True])
    def test_while_signing_in(self, apps: LinkedApps, backwards: bool) -> None:
        """
        A link that is removed in one app isn't made again by a sign-in in the other, before or afterwards.
        """
        apps.sign_in(SCHOOL, HER)
        apps.do_all()
        assert _versions(apps, ADA_HER) == (1, 1)
        apps.unlink(SHOP, ADA)
        apps.tick()
        apps.sign_in(SCHOOL, HER)  # it is linked there, so nothing is told
        apps.do_all(backwards=backwards)
        for app, user in ((SHOP, ADA), (SCHOOL, HER)):
            apps.tick()
            apps.sign_in(app, user)
        apps.do_all(backwards=backwards)

        apps.check_rest()
        assert _versions(apps, ADA_HER) == (2, 2)

    def test_by_oauth_and_confirmed_at_once(self, apps: LinkedApps) -> None:
        """
        What a person confirms in one app outlives the removal of the link by a sign-in in the other.
        """
        apps.sign_in(SHOP, ADA)
        apps.do_all()
        apps.unlink(SHOP, ADA)
        assert apps.confirm(SCHOOL, HER, ADA) == "linked"
        apps.do_all()

        apps.check_rest()
        assert _versions(apps, ADA_HER) == (3, 3)
        assert all(is_explicit(_link(apps, app, ADA_HER).version) for app in (SHOP, SCHOOL))
        assert {_link(apps, app, ADA_HER).method for app in (SHOP, SCHOOL)} == {"explicit"}


class TestLosses:
    @pytest.mark.parametrize("step", ["hint", "announcement", "answer"])
    @pytest.mark.parametrize("times", [1, 3])
    def test_announced_again(self, apps: LinkedApps, step: str, times: int) -> None:
        """
        Whatever is lost of what is said about a link, even more than once, is made up for by the cron.
        """
        apps.confirm(SHOP, ADA, HER)
        for done in ("hint", "announcement", "answer"):
            if done == step:
                break
            apps.do(apps.waiting[0])
        apps.lose(_about_links(apps)[0])
        for _ in range(times - 1):
            apps.do_all()
            apps.tick(LATER)
            apps.cron(SHOP)
            apps.lose(_about_links(apps)[0])
        apps.settle()

        apps.check_rest()
        assert _versions(apps, ADA_HER) == (3, 3)


class TestSignIns:
    def test_address_alone(self, apps: LinkedApps) -> None:
        """
        People with the same address, verified in both apps, aren't linked by it.
        """
        for app, user in ((SHOP, CLEO), (SCHOOL, HERS)):
            apps.sign_in(app, user)
        apps.settle()
        assert (apps.links[SHOP], apps.links[SCHOOL]) == ({}, {})

    @pytest.mark.parametrize(("app", "user"), [(SHOP, BOB), (SCHOOL, HIM)])
    def test_turned_off(self, apps: LinkedApps, app: str, user: str) -> None:
        """
        Who doesn't want it isn't linked, whichever app it was said in.
        """
        both()[app].people.alone.add(user)
        apps.sign_in(SHOP, BOB)
        apps.settle()
        assert standing(apps.links[SHOP]) == set()

    def test_many_times(self, apps: LinkedApps) -> None:
        """
        Many sign-ins link once, and say so once.
        """
        for _ in range(5):
            apps.tick()
            apps.sign_in(SHOP, BOB)
            apps.sign_in(SCHOOL, HIM)
        apps.do_all()

        apps.check_rest()
        [linked] = standing(apps.links[SHOP])
        assert linked in {BOB_HIM, ADA_HIM}
        assert {link.version for link in apps.links[SHOP].values()} <= {0, 1, 2}


class TestFarewells:
    @pytest.mark.parametrize(("app", "user"), [(SHOP, ADA), (SCHOOL, HER)])
    @pytest.mark.parametrize("known", [False, True])
    def test_gone_before_the_news(self, apps: LinkedApps, app: str, user: str, known: bool) -> None:
        """
        A link that reaches an app where its user is gone ends unlinked in both.
        """
        peer = PEER[app]
        if known:
            apps.confirm(SHOP, ADA, HER)
            apps.do_all()
            apps.unlink(SHOP, ADA)
            apps.do_all()
        apps.confirm(peer, ADA if peer == SHOP else HER, user)
        apps.delete(app, user)
        apps.do_all()

        apps.check_rest()
        assert standing(apps.links[peer]) == set()
        assert number_of(apps.links[peer], ADA_HER) == (6 if known else 4)


def _do(apps: LinkedApps, wanted: Callable[[Work], bool]) -> None:
    apps.do(next(work for work in apps.waiting if wanted(work)))


def _about_links(apps: LinkedApps) -> list[Work]:
    return [work for work in apps.waiting if work.is_about_links and not work.rest]


def _link(apps: LinkedApps, app: str, pair: Pair) -> Link:
    return apps.links[app][pair]


def _versions(apps: LinkedApps, pair: Pair) -> tuple[int, int]:
    return number_of(apps.links[SHOP], pair), number_of(apps.links[SCHOOL], pair)


def _lost_to(apps: LinkedApps, app: str, pair: Pair) -> Pair | None:
    links = apps.links[app]
    return next((other for other, link in links.items() if link.id == links[pair].lost_to), None)


def _heard(apps: LinkedApps, kind: type[Event]) -> int:
    return len([work for work in apps.done if isinstance(work.event, kind) and not work.rest])
