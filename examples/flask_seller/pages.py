"""
Serves the shop's one page.
"""

from __future__ import annotations

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import Engine
from sqlmodel import Session

from examples.flask_seller import sign_in
from examples.two_apps.seller import storefront
from examples.two_apps.sign_in import forms


def blueprint(engine: Engine) -> Blueprint:
    """
    The page.
    """
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def index() -> ResponseReturnValue:
        with Session(engine) as session:
            corner = forms.corner(sign_in.current_user(session))
            return storefront.page("For sale", storefront.for_sale(session), corner), storefront.headers()

    return routes
