"""
What the bridges of both adapters have: links between accounts, and their pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

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
