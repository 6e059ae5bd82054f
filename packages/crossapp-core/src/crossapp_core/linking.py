"""
Links between accounts here and in the peers: the one object that all bridges on an Inngest client share.
"""

from __future__ import annotations

import gc
import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from weakref import ReferenceType, WeakKeyDictionary, ref

import inngest

from crossapp_core import tokens
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.flavours import run_sync
from crossapp_core.functions.check_gone_users import check_gone_users
from crossapp_core.functions.check_oauth_autolink import check_oauth_autolink
from crossapp_core.functions.emit_oauth_login import SIGNED_IN, emit_oauth_login
from crossapp_core.functions.handle_account_unlinked import handle_account_unlinked
from crossapp_core.functions.handle_link_state import handle_link_state
from crossapp_core.functions.reconcile_cross_app import reconcile_cross_app
from crossapp_core.link_runtime import LinkRuntime
from crossapp_core.operations import departures, links, owed_links, people
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.people import Link
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import SIGN_INS, Linker, SignInEvent, User
from crossapp_core.runtime import Runtime
from crossapp_core.tokens import LinkToken

log = logging.getLogger(__name__)

__all__ = ["CONFIRM_PATH", "Link", "Linking"]

CONFIRM_PATH = "/account-link/confirm"
"""Where a person confirms, in each app."""

_shared: WeakKeyDictionary[inngest.Inngest, ReferenceType[Linking]] = WeakKeyDictionary()
_PROVIDER = re.compile(r"[a-z0-9-]{1,40}")


class Linking(LinkRuntime):
    """
    Links accounts; made by the bridges, `bridge.linking`.

    Each method has a twin for sync code, `start_sync` for `start`.
    """

    def __init__(self, app: Runtime[Any], linker: Linker, sign_ins: Sequence[SignInEvent]) -> None:
        super().__init__(app, linker)
        self._bridges = {type(app)}
        self._sign_ins = tuple(sign_ins)
        self.functions: list[inngest.Function[Any]] = [
            handle_account_unlinked(self),
            handle_link_state(self),
            reconcile_cross_app(self),
            check_gone_users(self),
        ]
        """To be served once, whichever bridges the app has."""
        self._add_oauth()

    @classmethod
    def of(cls, app: Runtime[Any], linker: Linker, *, sign_ins: Sequence[SignInEvent] = SIGN_INS) -> Linking:
        """
        That of the app's Inngest client: made for its first bridge, joined by the second.

        Raises:
            CrossAppConfigError: The second bridge doesn't fit the first, or a provider's name can't be one.
        """
        wrong = [
            f"the OAuth provider {name!r} must be 1 to 40 of a-z0-9-"
            for name in sorted(linker.providers)
            if not _PROVIDER.fullmatch(name)
        ]
        if wrong:
            raise CrossAppConfigError(f"the bridge of {linker.app_id}", wrong)
        found = _found(app)
        if found is None:
            found = cls(app, linker, sign_ins)
            _shared[app.inngest] = ref(found)
        elif not found.is_of(app):  # one that is of such a bridge has its functions already, which then is the error
            found._join(app, linker, sign_ins)
        return found

    async def start(self, user_id: str, app: str, *, return_to: str | None = None) -> str:
        """
        The URL at which the person who is signed in here as *user_id* confirms, in the peer *app*, that both accounts
        are theirs. It holds a token, so it is for this person alone, for 10 minutes and for one use.

        Args:
            user_id: Who is signed in here.
            app: The peer.
            return_to: Where the peer sends the person afterwards: a URL, or a path, of this app.

        Raises:
            UnknownPeerError: There is no such peer.
            CrossAppConfigError: Nothing says where the peer's pages are.
            LinkTokenError: There is no such user (`subject`).
        """
        settings = self.app.settings
        peer = settings.peer(app)
        if not peer.web_url:
            problem = f"{peer.label('web_url')} is not set: the origin of its pages, https://…, where people confirm"
            raise CrossAppConfigError(f"the settings of {settings.app_id}", [problem])
        person = await self.do(people.person_of, user_id)
        email = person.email if person.email_verified else None
        id_ = secrets.token_urlsafe(24)
        token = tokens.issue(
            settings, app, user_id=user_id, email=email, return_to=return_to, id=id_, now=self.app.clock()
        )
        return f"{peer.web_url}{CONFIRM_PATH}?{urlencode({'token': token})}"

    def check(self, token: object) -> LinkToken:
        """
        Read a link token that came in.

        Raises:
            LinkTokenError: It is none that we take.
        """
        return tokens.verify(token, settings=self.app.settings, now=self.app.clock())

    async def confirm(self, token: LinkToken, user_id: str) -> Outcome:
        """
        Link the account that a token is about with that of *user_id*, who is signed in here and has confirmed it.

        Raises:
            LinkTokenError: The token was used before (`replayed`), or there is no such user (`subject`).
            LinkConflictError: One of the accounts is linked with another one already.
        """
        pair = Pair(user_id, token.issuer, token.user_id)
        outcome: Outcome = await self.do(links.link, links.Confirmation(pair, token.email, token.id, token.expires_at))
        await self.tell(outcome.messages)
        return outcome

    async def unlink(self, user_id: str, app: str) -> Outcome:
        """
        Unlink the account of *user_id* from that in the peer *app*. What was unlocked stays so.
        """
        outcome: Outcome = await self.do(people.unlink, user_id, app)
        await self.tell(outcome.messages)
        return outcome

    async def user_deleted(self, user_id: str) -> Outcome:
        """
        End all links of a user of this app who is gone, and what else their leaving ends. To be called when the user's
        deletion is committed; a daily pass finds those of whom nobody tells.
        """
        outcome: Outcome = await self.do(departures.depart, [user_id])
        await self.tell(outcome.messages)
        return outcome

    async def resync(self) -> None:
        """
        Owe the peers all links once more, after this app's database was restored from a backup.
        """
        await self.do(owed_links.owe_all, None)

    async def links_of(self, user_id: str) -> list[Link]:
        """
        The links of a user here that stand.
        """
        found: list[Link] = await self.do(people.links_of, user_id)
        return found

    async def user(self, user_id: str) -> User:
        """
        What the app says of one of its users.

        Raises:
            LinkTokenError: There is no such user (`subject`).
        """
        found: User = await self.do(people.person_of, user_id)
        return found

    async def signed_in(self, user_id: str) -> None:
        """
        To be called by an app that sends no event of it, when somebody has signed in with an account of an OAuth
        provider: peers where the same account signs in link the two.

        It does no more than send an event to the app's own Inngest; should that fail, the next sign-in repeats it.
        """
        event = inngest.Event(name=SIGNED_IN.name, data={"userId": user_id})
        try:
            await self.app.tell([event])
        except Exception as error:  # noqa: BLE001 (the SDK's own errors have no common class)
            log.warning("the app's own Inngest wasn't told of a sign-in: %s", type(error).__name__)

    def start_sync(self, user_id: str, app: str, *, return_to: str | None = None) -> str:
        """
        Do as `start` does, in sync code.
        """
        return run_sync(self.start(user_id, app, return_to=return_to))

    def confirm_sync(self, token: LinkToken, user_id: str) -> Outcome:
        """
        Do as `confirm` does, in sync code.
        """
        return run_sync(self.confirm(token, user_id))

    def unlink_sync(self, user_id: str, app: str) -> Outcome:
        """
        Do as `unlink` does, in sync code.
        """
        return run_sync(self.unlink(user_id, app))

    def links_of_sync(self, user_id: str) -> list[Link]:
        """
        Do as `links_of` does, in sync code.
        """
        return run_sync(self.links_of(user_id))

    def user_sync(self, user_id: str) -> User:
        """
        Do as `user` does, in sync code.
        """
        return run_sync(self.user(user_id))

    def signed_in_sync(self, user_id: str) -> None:
        """
        Do as `signed_in` does, in sync code.
        """
        run_sync(self.signed_in(user_id))

    def _join(self, app: Runtime[Any], linker: Linker, sign_ins: Sequence[SignInEvent]) -> None:
        ours = self.linker
        problems = [
            f"both bridges on an Inngest client must have the same {name}"
            for name, one, other in (
                ("settings", self.app.settings, app.settings),
                ("engine", self.app.database.engine, app.database.engine),
                ("links", ours.links, linker.links),
                ("link_tokens", ours.tokens, linker.tokens),
                ("cursors", ours.cursors, linker.cursors),
            )
            if one is not other and one != other
        ]
        if problems:
            raise CrossAppConfigError(f"the bridges of {ours.app_id}", problems)
        self._bridges.add(type(app))
        self._sign_ins = self._sign_ins if ours.accounts else tuple(sign_ins)
        self.linker = replace(
            ours,
            users=ours.users or linker.users,
            accounts=ours.accounts or linker.accounts,
            providers=(ours if ours.accounts else linker).providers,
            may_auto_link=ours.may_auto_link or linker.may_auto_link,
            effects=(*ours.effects, *linker.effects),
            farewells=(*ours.farewells, *linker.farewells),
            people=(*ours.people, *linker.people),
        )
        self._add_oauth()

    def _add_oauth(self) -> None:
        has = {function.local_id for function in self.functions}
        if self.linker.accounts is not None and "check-oauth-autolink" not in has:
            self.functions += [emit_oauth_login(self, self._sign_ins), check_oauth_autolink(self)]

    def is_of(self, app: Runtime[Any]) -> bool:
        """
        Whether it has a bridge of that kind already.
        """
        return type(app) in self._bridges


def _found(app: Runtime[Any]) -> Linking | None:
    known = _shared.get(app.inngest)
    found = known() if known else None
    if found is not None and found.is_of(app):
        del found
        gc.collect()  # perhaps it's of an app that is gone, as test suites make them
        found = known() if known else None
    return found
