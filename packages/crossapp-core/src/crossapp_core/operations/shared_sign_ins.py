"""
Links by a shared sign-in: the same account at the same OAuth provider opens both apps.

Only the provider's own id of the account counts, and only as the app's `Accounts` holds it: neither equal addresses nor
equal names, nor what an event says, ever link anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import UserOAuthLogin
from crossapp_core.operations import links
from crossapp_core.operations.link_rows import Pair, is_gone, verified_email
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.ports import Account, Linker


@dataclass(frozen=True)
class SignIn:
    """
    Somebody is said to have signed in: a hint.
    """

    user_id: str
    provider: str | None = None
    """Where that is known; None for all that the user signs in with."""
    provider_account_id: str | None = None


def tell(session: Session, linker: Linker, sign_in: SignIn, /, *, now: datetime) -> Outcome:
    """
    Tell the peers with which accounts a user signs in, as the app's own database says. Peers that the user is linked
    with needn't know.
    """
    if linker.accounts is None or not _may_link(session, linker, sign_in.user_id):
        return Outcome()
    held = [
        account
        for account in linker.accounts.of(session, sign_in.user_id)
        if _is_meant(session, linker, account, sign_in)
    ]
    linked = {row.linked_app for row in links.list_of(session, linker, sign_in.user_id)}
    email = verified_email(session, linker, sign_in.user_id) if held else None
    events = [
        UserOAuthLogin(
            source_app=linker.app_id,
            user_id=sign_in.user_id,
            email=email,
            provider=account.provider,
            provider_account_id=account.provider_account_id,
            logged_in_at=now,
        )
        for account in held
    ]
    targets = sorted(linker.apps - linked)
    return Outcome(messages=tuple(Message(target, event) for target in targets for event in events))


def link(session: Session, linker: Linker, login: UserOAuthLogin, /, *, now: datetime) -> Outcome:
    """
    Link the user of a peer with the user here who signs in with the same account, if there is one.

    Raises:
        EventRejectedError: Accounts of that provider link nobody here (`provider`).
    """
    if login.provider not in linker.providers:
        raise EventRejectedError("provider", f"accounts of {login.provider} link nobody here")
    account = None
    if linker.accounts is not None:
        account = linker.accounts.find(session, login.provider, login.provider_account_id)
    if account is None or not _may_link(session, linker, account.user_id):
        return Outcome()
    pair = Pair(account.user_id, login.source_app or "", login.user_id)
    return links.link_by_oauth(session, linker, pair, method=f"oauth-{login.provider}", email=login.email, now=now)


def _may_link(session: Session, linker: Linker, user_id: str) -> bool:
    if is_gone(session, linker, user_id):
        return False
    return linker.may_auto_link is None or linker.may_auto_link(session, user_id)


def _is_meant(session: Session, linker: Linker, account: Account, sign_in: SignIn) -> bool:
    if account.user_id != sign_in.user_id or account.provider not in linker.providers or linker.accounts is None:
        return False
    if sign_in.provider not in (None, account.provider):
        return False
    if sign_in.provider_account_id not in (None, account.provider_account_id):
        return False
    # what several users sign in with is nobody's
    return linker.accounts.find(session, account.provider, account.provider_account_id) == account
