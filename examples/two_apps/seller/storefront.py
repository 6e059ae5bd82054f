"""
The shop's one page: what is for sale.
"""

from __future__ import annotations

from html import escape

from sqlalchemy.orm import Session
from sqlmodel import col, select

from examples.two_apps.seller.models import Product

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}
_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header { line-height: 3rem; }
h1 { line-height: 1.2; margin-top: 2.5rem; }
ul { list-style: none; padding: 0; }
li { display: flex; gap: 1rem; justify-content: space-between; padding: .8rem 0; border-top: 1px solid #8884; }
"""


def page(session: Session) -> str:
    """
    The page, as HTML.
    """
    products = session.scalars(select(Product).order_by(col(Product.price)))
    return _PAGE.format(style=_STYLE, items="\n".join(_item(product) for product in products))


def _item(product: Product) -> str:
    return f"<li><span>{escape(product.name)}</span> <span>${product.price / 100:,.2f}</span></li>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>For sale · Total TypeScript</title>
<style>{style}</style>
</head>
<body>
<header><strong>Total TypeScript</strong></header>
<main>
<h1>For sale</h1>
<ul>
{items}
</ul>
</main>
</body>
</html>
"""
