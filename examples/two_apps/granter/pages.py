"""
The school's pages. All that comes from the database or a person goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from examples.two_apps.granter.models import Course, User

_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; justify-content: space-between; align-items: center;
  min-height: 3rem; }
h1 { line-height: 1.2; margin-top: 2.5rem; }
ul { list-style: none; padding: 0; }
li { display: flex; gap: 1rem; justify-content: space-between; padding: .8rem 0; border-top: 1px solid #8884; }
form { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0; }
button, select { font: inherit; padding: .35rem .8rem; }
.who { overflow-wrap: anywhere; }
.locked { opacity: .7; white-space: nowrap; }
"""
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "cache-control": "no-store",
}


def respond(page: str, status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
    """
    Answer with a page.
    """
    return HTMLResponse(page, status, _HEADERS)


def index(courses: Sequence[tuple[Course, bool]], user: User | None) -> str:
    """
    All courses, each with whether the user may open it.
    """
    items = "\n".join(_item(course, may_open=may_open) for course, may_open in courses)
    return _page("Courses", f"<ul>\n{items}\n</ul>", user)


def course(course: Course, user: User | None) -> str:
    """
    An open course.
    """
    return _page(course.title, f"<p>{escape(course.text)}</p>\n{_BACK}", user)


def locked(course: Course, user: User | None) -> str:
    """
    A course that the user may not open.
    """
    reason = "You don’t have this course." if user else "Sign in to open what you have."
    hint = "If you bought it in a bundle at another site, link your account there with the one here."
    return _page(f"“{course.title}” is locked", f"<p>{reason}</p>\n<p>{hint}</p>\n{_BACK}", user)


def unknown_course(user: User | None) -> str:
    """
    A course that there isn't.
    """
    return _page("No such course", _BACK, user)


def sign_in(users: Sequence[User]) -> str:
    """
    The choice of whom to be.
    """
    options = "\n".join(f'<option value="{escape(user.id)}">{escape(user.email)}</option>' for user in users)
    form = f"""<p>This is a stand-in: there are no passwords, so it works in development only.</p>
<form method="post" action="/sign-in">
<label for="user">Sign in as</label>
<select id="user" name="user">
{options}
</select>
<button>Sign in</button>
</form>"""
    return _page("Sign in", form, None)


def no_sign_in() -> str:
    """
    What stands in production in place of that choice.
    """
    text = "This app is an example: put your own sign-in in the place of <code>granter/sign_in.py</code>."
    return _page("Nobody can sign in here yet", f"<p>{text}</p>\n{_BACK}", None)


_BACK = '<p><a href="/">All courses</a></p>'


def _item(course: Course, *, may_open: bool) -> str:
    title = escape(course.title)
    if may_open:
        return f'<li><a href="/courses/{escape(course.id)}">{title}</a></li>'
    return f'<li><span>{title}</span> <span class="locked">not yours yet</span></li>'


def _page(title: str, content: str, user: User | None) -> str:
    corner = '<a href="/sign-in">Sign in</a>'
    if user is not None:
        who = f'<span class="who">{escape(user.email)}</span> <button>Sign out</button>'
        corner = f'<form method="post" action="/sign-out">{who}</form>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · AI Hero</title>
<style>{_STYLE}</style>
</head>
<body>
<header><strong>AI Hero</strong> {corner}</header>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
"""
