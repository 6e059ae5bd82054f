"""
What a shop and a school do about all that they hear, by their operations alone, each with a database of its own.

What an app is to do lies about until it does it, in whatever order, perhaps twice, perhaps never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session, delete

from crossapp_ah.operations import claims, entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_core.database import begin_writing
from crossapp_core.events import (
    EVENTS,
    AccountLinked,
    AccountLinkState,
    AccountUnlinked,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
    UserOAuthLogin,
)
from crossapp_core.operations import links, owed_links, shared_sign_ins
from crossapp_core.operations.link_rows import Pair as Accounts
from crossapp_core.outcomes import Due, Message, Outcome
from crossapp_tt.operations import acknowledgements, purchases
from tests.hosts import NOW
from tests.together import linked_state
from tests.together.link_invariants import (
    Pair,
    Source,
    Wanted,
    check_held,
    check_links,
    check_number,
    number_of,
    standing,
)
from tests.together.linked_hosts import PEER, SCHOOL, SHOP, TABLES, both


@dataclass(frozen=True)
class Work:
    """
    What an app has yet to do: something about an event, or the rest of that.
    """

    app: str
    event: Event
    id: str
    """Of the event."""
    rest: str = ""
    """What is done after the first step: `look again` or `claim`."""
    at: datetime = NOW
    """When that was left to do."""

    @property
    def is_about_links(self) -> bool:
        """
        Whether it may be lost for ever, because the cron makes up for it.
        """
        return isinstance(self.event, AccountLinked | AccountUnlinked | AccountLinkState | UserOAuthLogin)

    def __str__(self) -> str:
        facts = self.event.to_wire()
        names = ("sourceApp", "userId", "linkedUserId", "purchaseId", "sourcePurchaseId", "status", "version")
        shown = [str(facts[name]) for name in names if name in facts]
        return " ".join([self.app, "hears", self.event.name, *shown, self.rest]).strip()


class AppsAtWork:
    """
    Both apps, with empty databases.

    Args:
        tell: Is told what happens, line by line.
    """

    def __init__(self, tell: Callable[[str], None] = lambda line: None) -> None:
        self.tell = tell
        self.now: datetime = NOW
        self.waiting: list[Work] = []
        """All that is to be done."""
        self.done: list[Work] = []
        """All that was done, and may be done again."""
        self.wanted: dict[tuple[Source, int], Wanted] = {}
        """What the shop said of a source at a version."""
        self.deleted: set[str] = set()
        """The users who are gone."""
        self._accepted: set[tuple[str, str]] = set()
        self._made: set[tuple[Pair, int]] = set()
        self._runs = 0
        for app in both().values():
            app.people.reset()
            with Session(app.engine) as session, session.begin():
                for table in TABLES:
                    session.exec(delete(table))
        self.links = {SHOP: linked_state.links_in(SHOP), SCHOOL: linked_state.links_in(SCHOOL)}
        """What each app holds of each pair."""
        self.held = linked_state.held()
        """What the school holds of each source."""

    def do(self, work: Work) -> None:
        """
        Do something that is to be done.
        """
        self.waiting.remove(work)
        self.done.append(work)
        self.repeat(work)

    def repeat(self, work: Work) -> None:
        """
        Do something, perhaps once more, as the app's functions do it.
        """
        self.tell(str(work))
        app, event = work.app, work.event
        if work.rest == "claim":
            assert isinstance(event, AccountLinked)
            buyer = event.user_id if event.source_app == SHOP else event.linked_user_id
            self._claim({"linked_app": SHOP, "linked_user_id": buyer}, work.at, work.id)
        elif isinstance(event, AccountLinked | AccountUnlinked | AccountLinkState):
            self._hear_of_link(app, event, work.id)
            if app == SCHOOL and isinstance(event, AccountLinked):
                self.waiting.append(replace(work, rest="claim", at=self.now))
        elif isinstance(event, UserOAuthLogin):
            self.send(app, self.transact(app, shared_sign_ins.link, self.linker(app), event).messages)
        elif isinstance(event, BundlePurchased | EntitlementRevoke):
            self._hear_of_purchase(event, work)
        else:
            assert isinstance(event, EntitlementGranted | EntitlementRevoked | EntitlementFailed)
            self.say(self.transact(SHOP, acknowledgements.apply, both()[SHOP].bridge.host, event))

    def cron(self, app: str) -> None:
        """
        Do what an app does each minute.
        """
        linker = self.linker(app)
        self.send(app, self.transact(app, owed_links.announce_again, linker, Due(PEER[app], 100)).messages)
        if app == SCHOOL:
            self._runs += 1
            for id_ in self.transact(app, claims.waiting, both()[app].bridge.host, claims.BATCH).ids:
                self._claim({"id": id_}, self.now, f"run-{self._runs}")
        self.transact(app, owed_links.forget_tokens, linker, owed_links.BATCH)

    def linker(self, app: str) -> Any:
        """
        An app, as the operations on links know it.
        """
        return both()[app].linker

    def transact(self, app: str, operation: Callable[..., Outcome], *facts: object) -> Outcome:
        """
        Do one operation in one transaction, and check what it did.
        """
        with Session(both()[app].engine, expire_on_commit=False) as session, session.begin():
            begin_writing(session)
            outcome = operation(session, *facts, now=self.now)
        self._look(app, operation)
        return outcome

    def send(self, app: str, messages: Sequence[Message], *, answers: str | None = None) -> None:
        """
        Send what an app wants to say to the other one, or to itself.
        """
        for message in messages:
            event = EVENTS[message.event.name].from_wire({**message.event.to_wire(), "sourceApp": app})
            if isinstance(event, BundlePurchased | EntitlementRevoke):
                key = (event.purchase_id, event.product_id or ""), event.version
                assert self.wanted.setdefault(key, event) == event, "one version says two things"
            id_ = event.event_id(attempt=message.attempt, answers=answers)
            if (message.target, id_) not in self._accepted:  # Inngest drops the others
                self._accepted.add((message.target, id_))
                self.waiting.append(Work(message.target, event, id_))

    def say(self, outcome: Outcome) -> None:
        """
        Send what the shop wants of the school, and note that it was accepted.
        """
        if not outcome.messages:
            return
        self.send(SHOP, outcome.messages)
        self.transact(SHOP, purchases.note_accepted, both()[SHOP].bridge.host, outcome.messages)

    def _hear_of_link(self, app: str, event: AccountLinked | AccountUnlinked | AccountLinkState, id_: str) -> None:
        linker = self.linker(app)
        if event.source_app == app:
            pair = Accounts(event.user_id, event.linked_app, event.linked_user_id)
            self.send(app, self.transact(app, owed_links.announce, linker, pair).messages)
            return
        for message in self.transact(app, links.merge, linker, event).messages:
            answers = id_ if isinstance(message.event, AccountLinkState) else None
            self.send(app, [message], answers=answers)

    def _hear_of_purchase(self, event: BundlePurchased | EntitlementRevoke, work: Work) -> None:
        granter = both()[SCHOOL].bridge.host
        if isinstance(event, EntitlementRevoke):
            outcome = self.transact(SCHOOL, entitlements.revoke, granter, event)
        elif work.rest:
            outcome = self.transact(SCHOOL, entitlements.look_again, granter, event)
        else:
            outcome = self.transact(SCHOOL, entitlements.grant, granter, event)
            answer = outcome.messages[0].event
            if isinstance(answer, EntitlementGranted) and answer.status == "pending":
                self.waiting.append(replace(work, rest="look again"))
                return
        self.send(SCHOOL, outcome.messages, answers=work.id)

    def _claim(self, link: Mapping[str, object], at: datetime, id_: str) -> None:
        after = None
        while True:
            request = Claim(link, at, after, limit=1)
            batch = self.transact(SCHOOL, claims.claim, both()[SCHOOL].bridge.host, request)
            if not batch.ids:
                return
            self.send(SCHOOL, batch.messages, answers=id_)
            last = batch.messages[-1].event
            assert isinstance(last, EntitlementGranted)
            after = last.source_purchase_id, last.product_id

    def _look(self, app: str, operation: Callable[..., Outcome]) -> None:
        before, peers, after = self.links[app], self.links[PEER[app]], linked_state.links_in(app)
        gone = [pair for pair in after if self.deleted & {*pair}]
        check_links(before, after, peers, gone=gone)
        for pair, link in after.items():
            if link.version != number_of(before, pair):
                known = (pair, link.version) in self._made or pair in gone
                check_number(operation, pair, number_of(before, pair), after, known=known, app=app)
                self._made.add((pair, link.version))
        self.links[app] = after
        if app == SCHOOL:
            held = linked_state.held()
            check_held(self.held, held, self.wanted, standing(after))
            self.held = held
