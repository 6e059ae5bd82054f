"""
What people do in a shop and in a school that are linked, and how both come to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from crossapp_core.errors import LinkConflictError, LinkTokenError
from crossapp_core.events import (
    EntitlementGranted,
)
from crossapp_core.operations import links, people, shared_sign_ins
from crossapp_core.operations.link_rows import Pair as Accounts
from crossapp_core.operations.links import Confirmation
from crossapp_core.operations.shared_sign_ins import SignIn
from crossapp_core.outcomes import Outcome
from crossapp_tt.operations import purchases
from crossapp_tt.operations.messages import message_of
from crossapp_tt.ports import Seller
from tests.hosts import ShopPurchase
from tests.together import linked_state
from tests.together.link_invariants import (
    Pair,
    Sold,
    check_access_at_rest,
    check_links_at_rest,
    standing,
)
from tests.together.linked_hosts import PEER, SCHOOL, SHOP, both
from tests.together.linked_work import AppsAtWork, Work

MINUTES = timedelta(minutes=10)
"""How long a link token is good for."""
LATER = timedelta(hours=8)
"""All that is owed is due then."""


@dataclass(frozen=True)
class Token:
    """
    What a person brings from one app to the other.
    """

    id: str
    app: str
    """Where it is to be used."""
    about: str
    """The user of the other app."""
    expires_at: datetime


class LinkedApps(AppsAtWork):
    """
    Both apps, and their people.
    """

    def __init__(self, tell: Callable[[str], None] = lambda line: None) -> None:
        super().__init__(tell)
        self.used: set[str] = set()
        """The ids of the link tokens that have linked somebody."""
        self.sold: dict[str, Sold] = {}
        self.lossy = self.forgetful = False
        """Whether something was lost that the cron makes up for, and whether that was the news of a claim."""
        self._tokens = 0

    def invite(self, app: str, user_id: str) -> Token:
        """
        Begin to link a user of *app*, which gives them a token for the other app.
        """
        self._tokens += 1
        return Token(f"token-{self._tokens}", PEER[app], user_id, self.now + MINUTES)

    def use(self, token: Token, user_id: str) -> str:
        """
        Confirm a link as a user of the app that the token is for: `linked`, or why not.
        """
        expected, outcome = self._fate_of(token, user_id), "linked"
        if expected == "expired":
            return expected  # it is refused before any operation sees it
        pair = Accounts(user_id, PEER[token.app], token.about)
        request = Confirmation(pair, token_id=token.id, token_expires_at=token.expires_at)
        try:
            done = self.transact(token.app, links.link, self.linker(token.app), request)
        except LinkTokenError as error:
            outcome = error.reason
        except LinkConflictError:
            outcome = "conflict"
        else:
            self.used.add(token.id)
            self.send(token.app, done.messages)
        assert outcome == expected, f"{outcome}, not {expected}"
        link = self.links[token.app].get(_pair(token.app, user_id, token.about))
        assert outcome != "linked" or (link and link.active and link.method == "explicit"), "confirmed in vain"
        return outcome

    def confirm(self, app: str, user_id: str, other: str) -> str:
        """
        Link a user of *app*, where it is confirmed, with one of the other app.
        """
        return self.use(self.invite(PEER[app], other), user_id)

    def unlink(self, app: str, user_id: str) -> None:
        """
        Unlink a user of *app*.
        """
        self.send(app, self.transact(app, people.unlink, self.linker(app), user_id, PEER[app]).messages)
        assert not any(user_id in pair for pair in standing(self.links[app])), "unlinked in vain"

    def sign_in(self, app: str, user_id: str) -> None:
        """
        Sign in to *app* with all that the user signs in with.
        """
        self.send(app, self.transact(app, shared_sign_ins.tell, self.linker(app), SignIn(user_id)).messages)

    def delete(self, app: str, user_id: str) -> None:
        """
        Delete a user, whose links nobody has looked at.
        """
        self.deleted.add(user_id)
        both()[app].people.delete(user_id)

    def put(self, purchase_id: str, *, owned: bool, user_id: str | None = None, email: str | None = None) -> None:
        """
        Sell something, take it back or give it back, and write that down in the same transaction.
        """
        status = "Valid" if owned else "Refunded"
        row = ShopPurchase(id=purchase_id, user_id=user_id, email=email, product_id="bundle", status=status)

        def sell(session: Session, seller: Seller, /, *, now: datetime) -> Outcome:
            session.merge(row)
            session.flush()
            return purchases.record(session, seller, purchase_id, now=now)

        known = self.sold[purchase_id].buyer if purchase_id in self.sold else None
        buyer = known or user_id or (both()[SHOP].people.holder(email) if owned else None)
        self.sold[purchase_id] = Sold(buyer, owned, user_id, email)
        self.say(self.transact(SHOP, sell, both()[SHOP].bridge.host))

    def refund(self, purchase_id: str) -> None:
        """
        Take back something that was sold.
        """
        sold = self.sold[purchase_id]
        self.put(purchase_id, owned=False, user_id=sold.user_id, email=sold.email)

    def record_again(self, purchase_id: str) -> None:
        """
        Have the shop look at a purchase once more.
        """
        sold = self.sold[purchase_id]
        self.put(purchase_id, owned=sold.owned, user_id=sold.user_id, email=sold.email)

    def tick(self, by: timedelta = timedelta(seconds=1)) -> None:
        """
        Let time pass, or put the clock back.
        """
        self.now += by

    def lose(self, work: Work) -> None:
        """
        Never do something that the cron makes up for.
        """
        assert self.may_lose(work)
        self.tell(f"(lost) {work}")
        self.waiting.remove(work)
        self.lossy = True
        self.forgetful |= not work.is_about_links

    def may_lose(self, work: Work) -> bool:
        """
        Whether the apps make up for that even if it is never done: the news of a claim is asked for when the link
        appears in the shop.
        """
        if work.is_about_links or not isinstance(work.event, EntitlementGranted) or work.event.user_id is None:
            return work.is_about_links
        row = linked_state.ledger()[work.event.source_purchase_id, work.event.product_id or ""]
        known = row.status == "synced" and row.version == work.event.version and row.user_id is None
        return known and row.buyer not in dict(standing(self.links[SHOP]))

    def do_all(self, *, backwards: bool = False) -> None:
        """
        Do all that is to be done, and what follows from that.
        """
        for _ in range(2000):
            if not self.waiting:
                return
            self.do(self.waiting[-1 if backwards else 0])
        msg = "they never come to rest"
        raise AssertionError(msg)

    def settle(self, *, backwards: bool = False) -> None:
        """
        Let time pass and do all that is to be done, until nothing is; nothing is lost any more.
        """
        for _ in range(8):
            self.do_all(backwards=backwards)
            self.now += LATER
            for app, host in both().items():
                for pair in standing(self.links[app]):
                    own = pair[app == SCHOOL]
                    if own in self.deleted and host.people.get(None, own) is None:
                        self.unlink(app, own)  # as a later cron will
                self.cron(app)
            if not self.waiting:
                self._ask_again()
                return self.do_all(backwards=backwards)
        msg = "they never come to rest"
        raise AssertionError(msg)

    def check_rest(self) -> None:
        """
        Check what holds when there is nothing to do.
        """
        shop, school = self.links[SHOP], self.links[SCHOOL]
        gone = [pair for pair in {*shop, *school} if self.deleted & {*pair}]
        check_links_at_rest(shop, school, gone=gone)
        ledger, linked = linked_state.ledger(), standing(school)
        check_access_at_rest(self.sold, ledger, self.held, linked, forgetful=self.forgetful)

    def _fate_of(self, token: Token, user_id: str) -> str:
        if self.now > token.expires_at:
            return "expired"
        if token.id in self.used:
            return "replayed"
        if user_id in self.deleted:
            return "subject"
        pair = _pair(token.app, user_id, token.about)
        rivals = [each for each in standing(self.links[token.app]) if each != pair and set(each) & set(pair)]
        return "conflict" if rivals else "linked"

    def _ask_again(self) -> None:
        # what the seller's cron will do: send what is due, as another attempt
        seller = both()[SHOP].bridge.host

        def find(session: Session, seller: Seller, /, *, now: datetime) -> Outcome:
            rows = [row for row in session.exec(linked_state.ROWS).all() if row.next_attempt_at is not None]
            for row in rows:
                row.retry_count += 1
            return Outcome(messages=tuple(message_of(seller, row) for row in rows))

        self.say(self.transact(SHOP, find, seller))


def _pair(app: str, user_id: str, other: str) -> Pair:
    return (user_id, other) if app == SHOP else (other, user_id)
