"""
What the sign-in pages hold; the app puts it into pages of its own style. All that comes from people is escaped.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from examples.two_apps.sign_in.passwords import LONGEST, SHORTEST
from examples.two_apps.sign_in.tables import UserBase


def sign_in(go_on: str, *, github: bool, problem: str | None = None, email: str = "") -> str:
    """
    The form for e-mail and password, and GitHub's button.
    """
    return f"""{_alert(problem)}<form class="fields" method="post" action="/sign-in">
{_next(go_on)}
{_email(email)}
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>
{_github(go_on, "Sign in with GitHub") if github else ""}
<p>New here? <a href="/register?{_query(go_on)}">Make an account</a></p>"""


def register(go_on: str, *, github: bool, problem: str | None = None, email: str = "") -> str:
    """
    The form for a new account.
    """
    return f"""{_alert(problem)}<form class="fields" method="post" action="/register">
{_next(go_on)}
{_email(email)}
<label for="password">Password, at least {SHORTEST} characters</label>
<input id="password" name="password" type="password" autocomplete="new-password" required
  minlength="{SHORTEST}" maxlength="{LONGEST}">
<button>Make the account</button>
</form>
{_github(go_on, "Go on with GitHub") if github else ""}
<p>You have one? <a href="/sign-in?{_query(go_on)}">Sign in</a></p>"""


def account(user: UserBase, *, github: bool, connected: bool) -> str:
    """
    What we know of somebody, and what they can add to it.
    """
    address = "none"
    if user.email is not None:
        address = f"{escape(user.email)} ({'verified' if user.email_verified else 'not verified'})"
    offer = '<form class="fields" method="post" action="/account/github"><button>Connect GitHub</button></form>'
    return f"""<dl>
<dt>Name</dt><dd>{escape(user.name or "none")}</dd>
<dt>E-mail address</dt><dd>{address}</dd>
<dt>GitHub</dt><dd>{"connected" if connected else "not connected"}</dd>
</dl>
<p><a href="/account-link">Your accounts at other sites</a></p>
{offer if github and not connected else ""}"""


def message(text: str, *, link: str, leads_to: str) -> str:
    """
    A sentence, and a way on.
    """
    return f'<p>{escape(text)}</p>\n<p><a href="{escape(link)}">{escape(leads_to)}</a></p>'


def corner(user: UserBase | None) -> str:
    """
    Who is signed in, for the head of each page.
    """
    if user is None:
        return '<a href="/sign-in">Sign in</a>'
    who = f'<a class="who" href="/account">{escape(user.shown)}</a>'
    return f'<form method="post" action="/sign-out">{who} <button>Sign out</button></form>'


def _alert(problem: str | None) -> str:
    return f'<p class="problem" role="alert">{escape(problem)}</p>\n' if problem else ""


def _next(go_on: str) -> str:
    return f'<input type="hidden" name="next" value="{escape(go_on)}">'


def _email(value: str) -> str:
    return f"""<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required value="{escape(value)}">"""


def _github(go_on: str, text: str) -> str:
    return f"""<form class="fields" method="post" action="/sign-in/github">
{_next(go_on)}
<button>{text}</button>
</form>"""


def _query(go_on: str) -> str:
    return escape(urlencode({"next": go_on}))
