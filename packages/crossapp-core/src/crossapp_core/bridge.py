"""
What the bridges of both adapters have: links between accounts, and their pages.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlmodel import Session

from crossapp_core.columns import HostId
from crossapp_core.flavours import run_sync
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Runtime

if TYPE_CHECKING:
    from fastapi import APIRouter

    from crossapp_core.linking import Linking
    from crossapp_core.web.pages import LinkPages

H = TypeVar("H")


class LinkedBridge(Runtime[H]):
    """
    Base of the adapters' bridges.
    """

    linking: Linking
    """Links accounts, for pages of the app's own."""

    link_effect: ClassVar[str] = (
        "What you buy at one of {there} and {here} then opens at the other, for these accounts."
    )
    """What people are told that linking does."""

    async def user_deleted(self, user_id: HostId) -> None:
        """
        Say that a user of this app is gone, when that is committed: their links end, and what is open for them is open
        for nobody, until the same buyer links another account. What nobody says, a daily pass finds.
        """
        await self.linking.user_deleted(str(user_id))

    def user_deleted_sync(self, user_id: HostId) -> None:
        """
        Do as `user_deleted` does, in sync code.
        """
        run_sync(self.user_deleted(user_id))

    async def resync(self) -> None:
        """
        Have all that this app owes or knows be said once more, after a database of either app was restored from a
        backup. Both apps run it, and again when what was owed is sent.
        """
        await self.linking.resync()
        await self.database.transact(self._owe_all, self.host, None, now=self.clock())

    def resync_sync(self) -> None:
        """
        Do as `resync` does, in sync code.
        """
        run_sync(self.resync())

    def _owe_all(self, session: Session, host: H, _: None, /, *, now: datetime) -> Outcome:
        raise NotImplementedError

    def link_pages(self, *, sign_in_url: str = "/sign-in", next_parameter: str = "next") -> LinkPages:
        """
        The pages of account linking for a framework other than FastAPI.

        Args:
            sign_in_url: Where people sign in; the path to which they come back is given to it as a parameter.
            next_parameter: The parameter's name.

        Raises:
            CrossAppConfigError: No peer has a secret.
            ImportError: Jinja2 isn't installed.
        """
        from crossapp_core.web.pages import LinkPages

        return LinkPages(self.linking, sign_in_url=sign_in_url, next_parameter=next_parameter, effect=self.link_effect)

    def router(
        self, current_user: Callable[..., Any], *, sign_in_url: str = "/sign-in", next_parameter: str = "next"
    ) -> APIRouter:
        """
        The pages of account linking for FastAPI, to be included at the root: `app.include_router(bridge.router(…))`.

        Args:
            current_user: A dependency, sync or async: the person who is signed in, as an object with `id` or as the id
                itself, or None if nobody is.
            sign_in_url: Where people sign in; the path to which they come back is given to it as a parameter.
            next_parameter: The parameter's name.

        Raises:
            CrossAppConfigError: No peer has a secret.
            ImportError: FastAPI or Jinja2 isn't installed.
        """
        from crossapp_core.router import link_router

        pages = self.link_pages(sign_in_url=sign_in_url, next_parameter=next_parameter)
        return link_router(pages, current_user, is_async=self.database.is_async)
