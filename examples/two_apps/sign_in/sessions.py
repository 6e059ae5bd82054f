"""
Who is signed in, in a signed cookie that no script can read.
"""

from __future__ import annotations

import secrets

from fastapi import FastAPI, Request
from starlette.middleware.sessions import SessionMiddleware

from examples.two_apps.sign_in.settings import Settings

_USER, _ID = "user", "id"
_LONGEST = 14 * 24 * 60 * 60


def install(app: FastAPI, name: str, settings: Settings) -> None:
    """
    Give an app its sessions.

    Args:
        app: The app.
        name: That of the cookie. Two apps on one machine need two, for cookies don't know ports.
        settings: What signs it.
    """
    app.add_middleware(
        SessionMiddleware,
        secret_key=settings.session_key(),
        session_cookie=name,
        max_age=_LONGEST,
        same_site="lax",
        https_only=not settings.dev,
    )


def user_id(request: Request) -> str | None:
    """
    Whose session it is; None if nobody is signed in.
    """
    found = request.session.get(_USER)
    return found if isinstance(found, str) else None


def start(request: Request, user: str) -> None:
    """
    Sign somebody in, in a session of their own: what was in the one before, perhaps planted by another, is gone.
    """
    request.session.clear()
    request.session[_USER] = user
    request.session[_ID] = secrets.token_urlsafe(16)


def end(request: Request) -> None:
    """
    Sign out.
    """
    request.session.clear()
