"""
Serves the shop's one page.
"""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import Engine
from sqlmodel import Session

from examples.two_apps.seller import storefront


def blueprint(engine: Engine) -> Blueprint:
    """
    The page.
    """
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def index() -> ResponseReturnValue:
        with Session(engine) as session:
            return storefront.page(session), storefront.HEADERS

    return routes
