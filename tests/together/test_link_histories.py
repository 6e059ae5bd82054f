from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.together.linked_apps import LinkedApps, Token
from tests.together.linked_hosts import ADA, BOB, CLEO, GUEST, HER, HERS, HIM, PEER, SCHOOL, SHOP, both

APPS = [SHOP, SCHOOL]
USERS = {SHOP: [ADA, BOB, CLEO], SCHOOL: [HER, HIM, HERS]}
SOMEBODY = st.sampled_from([(app, user) for app in APPS for user in USERS[app]])
BUYERS: list[tuple[str | None, str]] = [
    (ADA, "ada@example.com"),
    (BOB, GUEST),
    (CLEO, "cleo@example.com"),
    (None, "cleo@example.com"),
    (None, GUEST),
]
"""The last two are guests: one whose address is Cleo's, and one whose address will be Bob's once he verifies it."""
PURCHASES = ["pur_1", "pur_2", "pur_3"]
PLACE = st.integers(0, 30)
PLACES = st.lists(PLACE, min_size=1, max_size=6)
FATES = st.lists(st.tuples(PLACE, st.sampled_from(["do", "do", "lose"])), min_size=1, max_size=8)
"""What becomes of some of what is to be done."""

T = TypeVar("T")


class Histories(RuleBasedStateMachine):
    """
    People link, unlink, sign in and buy in both apps, while all that they say of it is late, repeated, out of order
    and, where the cron makes up for that, lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.apps = LinkedApps(note)
        self.tokens: list[Token] = []
        self.backwards = self.loses = False

    @initialize(backwards=st.booleans(), loses=st.sampled_from([True, True, False]), buyer=st.sampled_from(BUYERS))
    def begin(self, backwards: bool, loses: bool, buyer: tuple[str | None, str]) -> None:
        """
        In which order all is done in the end, and whether anything is lost; somebody has bought something.
        """
        self.backwards, self.loses = backwards, loses
        self.buy(PURCHASES[0], buyer)

    @rule(app=st.sampled_from(APPS), user=st.integers(0, 2), other=st.sampled_from([None, None, 0, 1, 2]))
    def confirm(self, app: str, user: int, other: int | None) -> None:
        """
        Somebody confirms a link with an account in the other app, most often with their own.
        """
        self.tokens.append(self.apps.invite(PEER[app], USERS[PEER[app]][user if other is None else other]))
        self.apps.use(self.tokens[-1], USERS[app][user])

    @rule(app=st.sampled_from(APPS), user=st.integers(0, 2), other=st.integers(0, 2), rival=st.integers(0, 2))
    def confirm_both(self, app: str, user: int, other: int, rival: int) -> None:
        """
        Two links of the same account are confirmed, one in each app.
        """
        self.confirm(app, user, other)
        self.confirm(PEER[app], rival, user)

    @precondition(lambda self: self.tokens)
    @rule(place=PLACE, user=st.integers(0, 2))
    def use_again(self, place: int, user: int) -> None:
        """
        A link token is used once more, perhaps by somebody else.
        """
        token = _one(self.tokens, place)
        self.apps.use(token, USERS[token.app][user])

    @rule(person=SOMEBODY)
    def unlink(self, person: tuple[str, str]) -> None:
        """
        Somebody removes a link.
        """
        self.apps.unlink(*person)

    @rule(person=SOMEBODY)
    def sign_in(self, person: tuple[str, str]) -> None:
        """
        Somebody signs in with the accounts that they have elsewhere.
        """
        self.apps.sign_in(*person)

    @rule(person=SOMEBODY, alone=st.booleans())
    def stay_alone(self, person: tuple[str, str], alone: bool) -> None:
        """
        Somebody doesn't want accounts linked by a sign-in, or thinks better of it.
        """
        wishes = both()[person[0]].people.alone
        wishes.add(person[1]) if alone else wishes.discard(person[1])

    @rule(purchase_id=st.sampled_from(PURCHASES), buyer=st.sampled_from(BUYERS))
    def buy(self, purchase_id: str, buyer: tuple[str | None, str]) -> None:
        """
        A user or a guest buys something; what was sold and taken back is given back.
        """
        sold = self.apps.sold.get(purchase_id)
        user_id, email = (sold.user_id, sold.email) if sold else buyer
        self.apps.put(purchase_id, owned=True, user_id=user_id, email=email)

    @precondition(lambda self: self.apps.sold)
    @rule(place=PLACE)
    def refund(self, place: int) -> None:
        """
        Something is taken back.
        """
        self.apps.refund(_one([*self.apps.sold], place))

    @precondition(lambda self: self.apps.sold)
    @rule(place=PLACE, verified=st.booleans())
    def record_again(self, place: int, verified: bool) -> None:
        """
        The shop looks at a purchase once more, perhaps after Bob has verified his address.
        """
        if verified and BOB in both()[SHOP].people.users:
            both()[SHOP].people.verify(BOB)
        self.apps.record_again(_one([*self.apps.sold], place))

    @precondition(lambda self: self.apps.waiting)
    @rule(fates=FATES)
    def meanwhile(self, fates: list[tuple[int, str]]) -> None:
        """
        The apps do some of what is to be done, or never do it, where they make up for that.
        """
        for place, fate in fates:
            losable = [work for work in self.apps.waiting if self.apps.may_lose(work)]
            if fate == "lose" and self.loses and losable:
                self.apps.lose(_one(losable, place))
            elif self.apps.waiting:
                self.apps.do(_one(self.apps.waiting, place))

    @precondition(lambda self: self.apps.done)
    @rule(places=PLACES)
    def repeat(self, places: list[int]) -> None:
        """
        The apps do again what they once did.
        """
        for place in places:
            self.apps.repeat(_one(self.apps.done, place))

    @rule(app=st.sampled_from(APPS))
    def cron(self, app: str) -> None:
        """
        A minute is over.
        """
        self.apps.cron(app)

    @rule(minutes=st.integers(-30, 120))
    def tick(self, minutes: int) -> None:
        """
        Time passes, or a clock is put back.
        """
        self.apps.tick(timedelta(minutes=minutes))

    def teardown(self) -> None:
        """
        All is done, and both apps agree; they need their crons for that only if something was lost.
        """
        self.apps.do_all(backwards=self.backwards)
        if not self.apps.lossy and not self.apps.deleted:
            self.apps.check_rest()
        self.apps.settle(backwards=self.backwards)
        self.apps.check_rest()


class HistoriesWithFarewells(Histories):
    """
    The same, while accounts are deleted too.
    """

    @precondition(lambda self: not self.apps.deleted)
    @rule(person=SOMEBODY)
    def delete(self, person: tuple[str, str]) -> None:
        """
        Somebody leaves one of the apps.
        """
        self.apps.delete(*person)


class TestHistories:
    def test_any_history(self) -> None:
        """
        Any history ends with both apps agreeing on who is linked and on who holds what, and on the way it opens nothing
        for anybody who isn't linked with the buyer.
        """
        run_state_machine_as_test(Histories, settings=settings(max_examples=35, stateful_step_count=30, deadline=None))

    def test_any_history_with_farewells(self) -> None:
        """
        The links of somebody who is gone end unlinked in both apps.
        """
        few = settings(max_examples=12, stateful_step_count=30, deadline=None)
        run_state_machine_as_test(HistoriesWithFarewells, settings=few)


def _one(items: Sequence[T], place: int) -> T:
    return items[-1 - place % len(items)]
