"""
The shop's one page: what is for sale.
"""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.seller.models import Product

_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header { line-height: 3rem; }
h1 { line-height: 1.2; margin-top: 2.5rem; }
ul { list-style: none; padding: 0; }
li { display: flex; gap: 1rem; justify-content: space-between; padding: .8rem 0; border-top: 1px solid #8884; }
"""
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}


def router(engine: AsyncEngine) -> APIRouter:
    """
    The page.
    """
    routes = APIRouter()

    @routes.get("/")
    async def index() -> HTMLResponse:
        async with AsyncSession(engine) as session:
            products = (await session.exec(select(Product).order_by(col(Product.price)))).all()
        items = "\n".join(_item(product) for product in products)
        return HTMLResponse(_PAGE.format(style=_STYLE, items=items), headers=_HEADERS)

    return routes


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
