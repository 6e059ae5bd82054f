"""
What people do with their accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from crossapp_core.errors import CrossAppError, LinkConflictError, LinkTokenError
from crossapp_core.testing.simulation import checks
from crossapp_core.testing.simulation.inboxes import Received
from crossapp_core.testing.simulation.members import Member
from crossapp_core.testing.simulation.sales import Sales
from crossapp_core.testing.simulation.truth import Pair


@dataclass(frozen=True)
class Token:
    """
    A link token on its way from one app to another.
    """

    text: str
    issuer: str
    user_id: str
    app: str
    """Where it is to be used."""


class Links(Sales):
    """
    Links, unlinks, signs in and leaves.
    """

    tokens: list[Token]

    def reset(self) -> None:
        """
        Begin another history.
        """
        self.tokens = []
        super().reset()

    def link(self, app: str, person: str, peer: str, other: str) -> None:
        """
        Somebody begins to link an account in *app*, and confirms it as *other* in *peer*.
        """
        member = self.members[app]
        user_id = member.people[person]
        if app == peer or peer not in self.members:
            return
        started: list[str] = []

        def start() -> None:
            started.append(member.store.drive(member.bridge.linking.start(user_id, peer)))

        self._as_person(start)
        if started:
            text = parse_qs(urlsplit(started[0]).query)["token"][0]
            token = Token(text, app, user_id, peer)
            self.tokens.append(token)
            self._confirm(token, other)

    def confirm_again(self, place: int, other: str) -> None:
        """
        An old link token is used once more, perhaps by somebody else.
        """
        if self.tokens:
            self._confirm(self.tokens[-1 - place % len(self.tokens)], other)

    def unlink(self, app: str, person: str, peer: str) -> None:
        """
        Somebody removes the link of an account.
        """
        member = self.members[app]
        user_id = member.people[person]
        if app == peer or peer not in self.members:
            return

        def work() -> None:
            member.store.drive(member.bridge.linking.unlink(user_id, peer))

        if self._as_person(work) == "done":
            standing = [pair for pair in member.linked if (pair.user_id, pair.app) == (user_id, peer)]
            checks.check(not standing, 7, f"{app}: {user_id} has unlinked {peer} in vain")

    def sign_in(self, app: str, person: str) -> None:
        """
        Somebody signs in with all accounts that they have elsewhere.
        """
        member = self.members[app]
        plan = member.plans.get("emit-oauth-login")
        if plan is not None:
            self._emit(member, plan.events[0], {"userId": member.people[person]})

    def verify(self, app: str, person: str) -> None:
        """
        Somebody verifies their address.
        """
        member = self.members[app]
        user_id = member.people[person]
        if (app, user_id) not in self.truth.gone:
            member.store.transact(lambda session: member.host.verify_user(session, user_id))
            self.truth.verified.add((app, user_id))
            self.look()

    def leave(self, app: str, person: str, how: str = "told") -> None:
        """
        Somebody's account is deleted.

        Args:
            app: Where.
            person: Whose.
            how: `told` if the app says so, `silent` if it doesn't, `erased` if their purchases lose their name, too.
        """
        member = self.members[app]
        user_id = member.people[person]
        if not member.has("check-gone-users") or (app, user_id) in self.truth.gone:
            return

        def remove(session: Any) -> None:
            member.host.delete_user(session, user_id)
            for bought in self.truth.live():
                sale = bought.sale
                theirs = sale is not None and bought.seller == app and sale.user_id == user_id
                if how == "erased" and theirs and sale is not None and member.seller is not None:
                    bought.sale = replace(sale, user_id=None)
                    member.seller.put(session, bought.purchase_id, bought.sale)

        def work() -> None:
            member.store.transact(remove)
            self.truth.gone.add((app, user_id))
            member.process.survive()
            if how == "told":
                member.store.drive(member.bridge.user_deleted(user_id))

        self.attempt(work)

    def _confirm(self, token: Token, other: str) -> None:
        member = self.members[token.app]
        user_id = member.people[other]

        def work() -> None:
            linking = member.bridge.linking
            member.store.drive(linking.confirm(linking.check(token.text), user_id))

        outcome = self._as_person(work)
        self.tell(f"{token.app}: {user_id} confirms {token.user_id} of {token.issuer}: {outcome}")
        if outcome == "done":
            row = member.links.get(Pair(user_id, token.issuer, token.user_id))
            is_linked = row is not None and row.active and row.method == "explicit"
            checks.check(is_linked, 7, f"{token.app}: {user_id} has confirmed a link in vain")

    def _as_person(self, work: Any) -> str:
        try:
            return self.attempt(work)
        except (LinkTokenError, LinkConflictError) as error:
            return f"{type(error).__name__} {error}"
        except CrossAppError as error:
            return error.code

    def _emit(self, member: Member, name: str, data: dict[str, Any]) -> None:
        def work() -> None:
            member.process.survive()
            member.inbox.accept(Received(None, name, data, member.app_id))

        self.attempt(work)
