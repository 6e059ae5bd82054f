"""
The school's pages. All that comes from the database or a person goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from examples.two_apps.granter.models import Course
from examples.two_apps.sign_in import forms
from examples.two_apps.sign_in.tables import UserBase

_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; justify-content: space-between; align-items: center;
  min-height: 3rem; }
h1 { line-height: 1.2; margin-top: 2.5rem; }
ul { list-style: none; padding: 0; }
li { display: flex; gap: 1rem; justify-content: space-between; padding: .8rem 0; border-top: 1px solid #8884; }
form { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0; }
button, input { font: inherit; padding: .35rem .8rem; box-sizing: border-box; }
.fields { flex-direction: column; align-items: stretch; gap: .4rem; max-width: 22rem; margin: 1.5rem 0; }
.fields button { margin-top: .6rem; padding: .5rem .8rem; }
.problem { border-left: .25rem solid #c33; padding-left: .75rem; }
dt { opacity: .7; }
dd { margin: 0 0 .75rem; overflow-wrap: anywhere; }
.home { font-weight: bold; color: inherit; text-decoration: none; }
.who { overflow-wrap: anywhere; }
.locked { opacity: .7; white-space: nowrap; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action"


def show(
    title: str,
    content: str,
    user: UserBase | None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    form_targets: Sequence[str] = (),
) -> HTMLResponse:
    """
    Answer with a page.

    Args:
        title: Its heading.
        content: What stands below it, as HTML.
        user: Who is signed in.
        status: The answer's status.
        form_targets: Other origins that its forms may lead to, directly or by redirects.
    """
    policy = " ".join([_POLICY, "'self'", *form_targets])
    return HTMLResponse(
        _page(title, content, user), status, {"content-security-policy": policy, "cache-control": "no-store"}
    )


def index(courses: Sequence[tuple[Course, bool]], user: UserBase | None) -> HTMLResponse:
    """
    All courses, each with whether the user may open it.
    """
    items = "\n".join(_item(course, may_open=may_open) for course, may_open in courses)
    return show("Courses", f"<ul>\n{items}\n</ul>\n{_HINT}", user)


def course(course: Course, user: UserBase | None) -> HTMLResponse:
    """
    An open course.
    """
    return show(course.title, f"<p>{escape(course.text)}</p>\n{_BACK}", user)


def locked(course: Course, user: UserBase | None) -> HTMLResponse:
    """
    A course that the user may not open.
    """
    reason = "You don’t have this course." if user else "Sign in to open what you have."
    hint = 'If you bought it in a bundle at another site, <a href="/account-link">link your account there</a> first.'
    content = f"<p>{reason}</p>\n<p>{hint}</p>\n{_BACK}"
    return show(f"“{course.title}” is locked", content, user, status=HTTPStatus.FORBIDDEN)


def unknown_course(user: UserBase | None) -> HTMLResponse:
    """
    A course that there isn't.
    """
    return show("No such course", _BACK, user, status=HTTPStatus.NOT_FOUND)


_HINT = '<p>You have bought a course in a bundle elsewhere? <a href="/account-link">Link your account there</a>.</p>'
_BACK = '<p><a href="/">All courses</a></p>'


def _item(course: Course, *, may_open: bool) -> str:
    title = escape(course.title)
    if may_open:
        return f'<li><a href="/courses/{escape(course.id)}">{title}</a></li>'
    return f'<li><span>{title}</span> <span class="locked">not yours yet</span></li>'


def _page(title: str, content: str, user: UserBase | None) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · AI Hero</title>
<style>{_STYLE}</style>
</head>
<body>
<header><a class="home" href="/">AI Hero</a> {forms.corner(user)}</header>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
"""
