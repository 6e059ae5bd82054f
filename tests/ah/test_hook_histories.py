from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, StaticPool, create_engine
from sqlmodel import Session, col, select

import crossapp_ah as ah
from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import claims, entitlements, hooks, notices, owed_entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_ah.operations.owed_hooks import is_owing, opened_for, opens_for
from crossapp_ah.ports import Granter
from crossapp_core.columns import table_of
from crossapp_core.errors import PeerUnavailableError
from crossapp_core.events import BundlePurchased, EntitlementFailed, EntitlementRevoke
from crossapp_core.outcomes import Due, Message, Sent
from tests.ah.roles import BrokenHookError, Roles, SchoolRole
from tests.ah.school import CLIENT, COURSE, SHOP, link
from tests.ah.test_claims import Pupil
from tests.hosts import NOW, school_settings

USERS = ["user-0", "user-1", "user-2"]
BUYERS = ["buyer-0", "buyer-1", "buyer-2"]
COURSES = [COURSE, "prod_10"]
SOLD = [(purchase, course) for purchase in ("pur_1", "pur_2", "pur_3") for course in COURSES]

ONE = st.integers(0, 2)
PLACE = st.integers(0, 50)
Wanted = BundlePurchased | EntitlementRevoke


@cache
def engine() -> Engine:
    """
    One database in memory for all histories, emptied for each.
    """
    made = create_engine("sqlite://", poolclass=StaticPool)
    for table in _TABLES:
        table_of(table).create(made)
    return made


@cache
def plain() -> Granter:
    """
    The school, without hooks.
    """
    products, users = ah.FixedProducts(COURSES), ah.TableUsers(Pupil)
    return ah.Bridge(CLIENT, engine(), settings=school_settings(), products=products, users=users).host


_TABLES: tuple[type[Any], ...] = (Entitlement, AccountLink, Pupil, SchoolRole)


class Histories(RuleBasedStateMachine):
    """
    A shop sells, refunds and transfers; people link, unlink and leave; hooks fail; and all that is said of it arrives
    late, twice and in any order, with crons in between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.version = 0
        self.roles = Roles()
        self.deaf = False
        self.heard: list[ah.Claimed] = []
        self.said: list[Wanted] = []
        """All that the shop ever said, of which anything may still arrive."""
        self.wanted: dict[tuple[str, str], Wanted] = {}
        """What it says now."""
        with Session(engine()) as session, session.begin():
            for table in _TABLES:
                session.connection().execute(table_of(table).delete())
            session.add_all(Pupil(id=user) for user in USERS)
        self.granter = replace(
            plain(), on_active=self.roles.enroll, on_revoked=self.roles.expel, on_claimed=self.heard.append
        )

    def do(self, operation: Any, *facts: Any) -> Any:
        """
        Do an operation as one transaction.
        """
        with Session(engine(), expire_on_commit=False) as session, session.begin():
            return operation(session, self.granter, *facts, now=self.now)

    def rows(self) -> Sequence[Entitlement]:
        """
        All entitlements.
        """
        with Session(engine()) as session:
            return session.exec(select(Entitlement).order_by(col(Entitlement.id))).all()

    def apply(self, ids: Sequence[str]) -> None:
        """
        Run hooks, as the step does.
        """
        for id_ in ids:
            try:
                self.do(hooks.apply, id_)
            except BrokenHookError:
                note("    its hook fails")

    def tell(self, ids: Sequence[str]) -> None:
        """
        Tell users, as the step does.
        """
        for notice in self.do(notices.untold, ids):
            if not self.deaf:
                self.heard.append(notice.claimed)
                self.do(notices.note_told, notice)

    def say(self, place: int, buyer: int | None) -> None:
        """
        The shop wants something else of a purchase and course: that it is granted to a buyer, or to nobody.
        """
        key = purchase, course = SOLD[place % len(SOLD)]
        self.version += 1
        fields: dict[str, Any] = {"source_app": SHOP, "purchase_id": purchase, "product_id": course}
        if buyer is None:
            self.wanted[key] = EntitlementRevoke(**fields, reason="refunded", version=self.version)
        else:
            self.wanted[key] = BundlePurchased(**fields, buyer_user_id=BUYERS[buyer], version=self.version)
        self.said.append(self.wanted[key])

    def hear(self, event: Wanted, *, crashes: bool = False) -> None:
        """
        What the shop said arrives, and is handled as the functions do.
        """
        if isinstance(event, EntitlementRevoke):
            outcome = self.do(entitlements.revoke, event)
        else:
            outcome = self.do(entitlements.grant, event)
            if not crashes:
                self.do(entitlements.look_again, event)
        if not crashes:
            self.apply(outcome.ids)
            self.do(owed_entitlements.settle, outcome.ids)

    def claim(self, key: Mapping[str, object], *, crashes: bool = False) -> None:
        """
        Claim what waits for a link's buyer, as the function does.
        """
        ids = self.do(claims.claim, Claim(key, self.now)).ids
        if not crashes:
            self.apply(ids)
            self.do(owed_entitlements.settle, ids)
            self.tell(ids)
            self.do(owed_entitlements.settle, ids)

    def cron(self, *, shop_is_down: bool = False) -> Sequence[Message]:
        """
        Do what is done each minute; what the shop heard.
        """
        told = self.do(owed_entitlements.answer_again, Due(SHOP, 10))
        error = PeerUnavailableError(SHOP, "it is down") if shop_is_down else None
        sent = [Sent(message, None if error else "1", error) for message in told.messages]
        self.do(owed_entitlements.note_answered, list(zip(told.ids, sent, strict=True)))
        for id_ in self.do(claims.waiting, 10).ids:
            self.claim({"id": id_})
        ids = self.do(owed_entitlements.take, 10)
        self.apply(ids)
        self.tell(ids)
        self.do(owed_entitlements.owe_answers, ids)
        return () if shop_is_down else told.messages

    @rule(place=PLACE, buyer=ONE)
    def sell(self, place: int, buyer: int) -> None:
        """
        A purchase is somebody's, or somebody else's now.
        """
        self.say(place, buyer)

    @rule(place=PLACE)
    def refund(self, place: int) -> None:
        """
        A purchase is nobody's any more.
        """
        self.say(place, None)

    @rule(place=PLACE, crashes=st.booleans(), newest=st.booleans())
    def arrive(self, place: int, crashes: bool, newest: bool) -> None:
        """
        Something that the shop once said arrives, perhaps in a process that dies after its first commit.
        """
        if self.said:
            event = self.said[-1] if newest else self.said[place % len(self.said)]
            note(f"    {event.name} {event.purchase_id} {event.product_id} v{event.version}")
            self.hear(event, crashes=crashes)

    @rule(user=ONE, buyer=ONE, crashes=st.booleans(), lost=st.booleans())
    def link(self, user: int, buyer: int, crashes: bool, lost: bool) -> None:
        """
        Two accounts are linked in place of those that were, and what waits is claimed, if the event isn't lost.
        """
        with Session(engine()) as session, session.begin():
            for row in session.exec(select(AccountLink)).all():
                if row.user_id == USERS[user] or row.linked_user_id == BUYERS[buyer]:
                    row.unlinked_at = self.now
            session.flush()
            row = link(USERS[user], BUYERS[buyer])
            session.merge(AccountLink(**row.model_dump(exclude={"active"})))
        if not lost:
            self.claim({"linked_app": SHOP, "linked_user_id": BUYERS[buyer]}, crashes=crashes)

    @rule(user=ONE)
    def unlink(self, user: int) -> None:
        """
        Somebody removes their links.
        """
        with Session(engine()) as session, session.begin():
            for row in session.exec(select(AccountLink).where(AccountLink.user_id == USERS[user])).all():
                row.unlinked_at = row.unlinked_at or self.now

    @rule(user=ONE, said=st.booleans())
    def leave(self, user: int, said: bool) -> None:
        """
        A user is deleted, and the app says so or not.
        """
        with Session(engine()) as session, session.begin():
            if found := session.get(Pupil, USERS[user]):
                session.delete(found)
        if said:
            self.depart([USERS[user]])

    @rule(user=ONE)
    def come_back(self, user: int) -> None:
        """
        A deletion is undone.
        """
        with Session(engine()) as session, session.begin():
            session.merge(Pupil(id=USERS[user]))

    @rule(broken=st.booleans(), deaf=st.booleans())
    def break_hooks(self, broken: bool, deaf: bool) -> None:
        """
        From now on hooks fail, or don't.
        """
        self.roles.broken, self.deaf = broken, deaf

    @rule(minutes=st.sampled_from([0, 1, 2, 60, 600]), shop_is_down=st.booleans())
    def minute(self, minutes: int, shop_is_down: bool) -> None:
        """
        Time passes, and the cron comes.
        """
        self.now += timedelta(minutes=minutes)
        self.cron(shop_is_down=shop_is_down)

    @rule()
    def resync(self) -> None:
        """
        The operator has all be said once more.
        """
        self.do(owed_entitlements.owe_all, None)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """
        Whatever a hook is owed for is due some time, and what the hooks have opened differs from what is open only
        where they are owed, or their user is gone.
        """
        with Session(engine()) as session:
            gone = self.granter.gone(session, USERS)
            for row in session.exec(select(Entitlement)).all():
                if is_owing(self.granter, row):
                    assert row.next_attempt_at is not None, row
                elif opened_for(row) != opens_for(row):
                    assert opens_for(row) in gone or row.next_attempt_at is not None, row

    def depart(self, user_ids: Sequence[str]) -> None:
        """
        Those users are gone: their links end, and what they hold is due.
        """
        with Session(engine()) as session, session.begin():
            gone = self.granter.gone(session, user_ids)
            for row in session.exec(select(AccountLink).where(col(AccountLink.user_id).in_(gone))).all():
                row.unlinked_at = row.unlinked_at or self.now
            owed_entitlements.bid_farewell(session, self.granter, gone, now=self.now)

    def teardown(self) -> None:
        """
        When all has arrived and no hook fails any more, the roles are those that `has_access` says, and everybody who
        was to be told was told.
        """
        self.roles.broken = self.deaf = False
        for wanted in self.wanted.values():
            self.hear(wanted)
        with Session(engine()) as session:
            holders = owed_entitlements.holders(session, self.granter, None, 10)
        self.depart(holders)
        for _ in range(30):
            self.now += timedelta(hours=7)
            for message in self.cron():
                event = message.event
                if isinstance(event, EntitlementFailed):
                    self._say_anew(event)
            if not any(row.next_attempt_at for row in self.rows()):
                break
        assert [row.id for row in self.rows() if row.next_attempt_at] == []
        with Session(engine()) as session:
            given = {(role.user_id, role.product_id) for role in session.exec(select(SchoolRole))}
            may = {(u, c) for u in USERS for c in COURSES if ah.has_access(session, u, c, entitlements=Entitlement)}
            gone = self.granter.gone(session, USERS)
        assert given == may
        assert not {user for user, _ in may} & gone

    def _say_anew(self, failed: EntitlementFailed) -> None:
        place = SOLD.index((failed.source_purchase_id, failed.product_id))
        wanted = self.wanted[SOLD[place]]
        if failed.version == wanted.version and isinstance(wanted, BundlePurchased):
            self.say(place, BUYERS.index(wanted.buyer_user_id or ""))
            self.hear(self.wanted[SOLD[place]])


class TestHistories:
    def test_roles_are_what_is_open(self) -> None:
        """
        Whatever the order of grants, refunds, transfers, claims, departures, failing hooks and crons: at rest the hooks
        have left open what `has_access` says, and nothing else.
        """
        run_state_machine_as_test(Histories, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))
