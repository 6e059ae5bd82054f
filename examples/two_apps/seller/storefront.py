"""
The shop's style, and its page of what is for sale.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sqlalchemy.orm import Session
from sqlmodel import col, select

from examples.two_apps.seller.models import Product

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action"
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
"""


_HINT = '<p>You have bought a bundle? <a href="/account-link">Link your account at AI Hero</a> to open its course.</p>'


def headers(form_targets: Sequence[str] = ()) -> dict[str, str]:
    """
    The headers of each page.

    Args:
        form_targets: Other origins that its forms may lead to, directly or by redirects.
    """
    policy = " ".join([_POLICY, "'self'", *form_targets])
    return {"content-security-policy": policy, "cache-control": "no-store"}


def for_sale(session: Session) -> str:
    """
    What stands in the page of what is for sale.
    """
    products = session.scalars(select(Product).order_by(col(Product.price)))
    items = "\n".join(_item(product) for product in products)
    return f"<ul>\n{items}\n</ul>\n{_HINT}"


def page(title: str, content: str, corner: str = "") -> str:
    """
    A page, as HTML.

    Args:
        title: Its heading.
        content: What stands below it, as HTML.
        corner: Who is signed in, as HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Total TypeScript</title>
<style>{_STYLE}</style>
</head>
<body>
<header><a class="home" href="/">Total TypeScript</a> {corner}</header>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
"""


def _item(product: Product) -> str:
    return f"<li><span>{escape(product.name)}</span> <span>${product.price / 100:,.2f}</span></li>"
