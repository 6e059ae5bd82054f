"""
What the functions on links work with: the app, as one of its bridges knows it, and what it says of its people.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from crossapp_core.durable import Body, Run
from crossapp_core.operations import owed_links
from crossapp_core.outboxes import PER_MINUTE, Outbox
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.ports import Accounts, Linker, MayAutoLink, Users
from crossapp_core.runtime import Operation, Runtime
from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase

F = TypeVar("F")

log = logging.getLogger(__name__)


class LinkRuntime:
    """
    Base of `Linking`.

    Args:
        app: A bridge of the app.
        linker: The app's tables and ports, as the operations on links know them.
    """

    def __init__(self, app: Runtime[Any], linker: Linker) -> None:
        self.app = app
        self.linker = linker
        self.chores: list[Body[None]] = []
        """What else is to be done each minute."""
        self.outboxes: list[Outbox[Any]] = []
        """What else may be owed to peers."""
        self.per_minute = PER_MINUTE
        """How many rows a peer is sent at most."""

    @property
    def all_outboxes(self) -> list[Outbox[Any]]:
        """
        All that may be owed to peers, in the order in which it is sent.
        """
        return [Outbox(self.linker, owed_links.announce_again, owed_links.note_sent), *self.outboxes]

    async def transact(self, run: Run, step: str, operation: Operation[Linker, F], fact: F) -> Outcome:
        """
        Run one operation as one step and one transaction.
        """
        return await self.app.transact_as(self.linker, run, step, operation, fact)

    async def tell(self, messages: Sequence[Message]) -> None:
        """
        Tell the app's own functions of links that were changed; what is lost on the way is owed, and done by the cron.
        """
        try:
            await self.app.deliver(messages)
        except Exception as error:  # noqa: BLE001 (the SDK's own errors have no common class)
            log.warning("the app's own Inngest wasn't told of a link: %s", type(error).__name__)

    async def do(self, operation: Callable[..., Any], *facts: object) -> Any:
        """
        Run one operation as one transaction, outside of a run.
        """
        return await self.app.database.transact(operation, self.linker, *facts, now=self.app.clock())


def linker_of(
    app: Runtime[Any],
    *,
    links: type[AccountLinkBase] | None,
    tokens: type[AccountLinkTokenBase] | None,
    cursors: type[CrossAppCursorBase] | None = None,
    users: Users | None,
    accounts: Accounts | None,
    providers: Collection[str],
    may_auto_link: MayAutoLink | None,
) -> Linker:
    """
    The app for the operations on links, with the ready tables where it has none of its own.
    """
    if users is None:
        log.info("%s has no users=: addresses name nobody, and nobody is known to be gone", app.settings.app_id)
    if accounts is None:
        log.info("%s has no accounts=: no accounts are linked by a shared sign-in", app.settings.app_id)
    if links is None or tokens is None or cursors is None:
        # they register tables, which may clash with the app's own, so only for those who use them
        from crossapp_core import models

        links, tokens = links or models.AccountLink, tokens or models.AccountLinkToken
        cursors = cursors or models.CrossAppCursor
    app.cursors = cursors
    return Linker(
        app_id=app.settings.app_id,
        links=links,
        tokens=tokens,
        cursors=cursors,
        apps=frozenset(app.settings.peers),
        sketches=app.settings.sketches,
        users=users,
        accounts=accounts,
        providers=frozenset(providers),
        may_auto_link=may_auto_link,
    )
