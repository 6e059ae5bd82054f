"""
What the pages of account linking say.
"""

from __future__ import annotations

from types import MappingProxyType

from crossapp_core.addresses import masked, normalise_or_none
from crossapp_core.apps import Peer
from crossapp_core.errors import CrossAppError, LinkConflictError, LinkTokenError
from crossapp_core.operations.people import Link
from crossapp_core.ports import User
from crossapp_core.tokens import LinkToken

TOLD = MappingProxyType(
    {
        "linked": "The accounts are linked now.",
        "declined": "You didn’t link the accounts.",
        "failed": "The accounts could not be linked.",
        "unlinked": "The accounts are not linked any more. What was unlocked stays so.",
    }
)
"""What the settings page says of what just happened, by the value of `account-link` in its URL."""

LATER = "This didn’t work, and nothing was changed. Try again in a few minutes."

_HEADINGS = {
    "expired": "This link has expired",
    "not_yet_valid": "This link isn’t valid yet",
    "replayed": "This link was used already",
    "session": "This page is out of date",
    "subject": "This account is gone",
}
_PROVIDERS = {"github": "GitHub", "discord": "Discord"}
_STATUSES = {403: "This came from elsewhere", 405: "This page can’t do that", 404: "There is no such page"}


def name_of(peer: Peer) -> str:
    """
    What people call a peer.
    """
    return peer.display_name or peer.app_id


def shown(user: User) -> str:
    """
    Enough of an account here for its owner to know it.
    """
    return masked(user.email) if user.email else user.name or user.id


def shown_token(token: LinkToken) -> str:
    """
    Enough of the account in the peer for its owner to know it.
    """
    return masked(token.email) if token.email else token.user_id


def shown_link(link: Link) -> str:
    """
    The same of an account that is linked.
    """
    return masked(link.linked_email) if link.linked_email else link.linked_user_id


def method_of(link: Link) -> str:
    """
    How a link was made.
    """
    provider = link.method.removeprefix("oauth-")
    if provider == link.method:
        return "confirmed by you"
    return f"you sign in with the same {_PROVIDERS.get(provider, provider.replace('-', ' ').title())} account"


def differ(token: LinkToken, user: User) -> bool:
    """
    Whether the two accounts have two addresses.
    """
    if token.email is None or user.email is None:
        return False
    return normalise_or_none(token.email) != normalise_or_none(user.email)


def heading_of(error: CrossAppError) -> str:
    """
    What stands above the explanation.
    """
    if isinstance(error, LinkTokenError):
        return _HEADINGS.get(error.reason, "This link doesn’t work")
    return "The accounts can’t be linked" if isinstance(error, LinkConflictError) else "That didn’t work"


def heading_of_status(status: int) -> str:
    """
    What stands above a request that can't be read.
    """
    return _STATUSES.get(status, "That didn’t work")


def conflict(error: LinkConflictError, token: LinkToken, user: User, *, here: str, there: str) -> list[str]:
    """
    Why two accounts can't be linked, and what to do about it.
    """
    ours, theirs = shown(user), shown_token(token)
    if error.ours:
        return [
            f"Your account at {here} ({ours}) is linked with another account at {there} already.",
            f"If {theirs} is the right one, unlink the other first, and then start again from {there}.",
        ]
    return [
        f"The account at {there} ({theirs}) is linked with another account at {here} already, not with {ours}.",
        f"Sign in to {here} with that other account to go on with it, or unlink it there and start again from {there}.",
    ]
