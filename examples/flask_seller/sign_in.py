"""
The pages to sign in and out, by password.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

import flask
from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from pwdlib import PasswordHash
from sqlalchemy import Engine
from sqlmodel import Session

from crossapp_core.addresses import normalise_or_none
from examples.two_apps.seller import storefront
from examples.two_apps.seller.models import PEOPLE
from examples.two_apps.sign_in import forms
from examples.two_apps.sign_in.guards import is_from_another_site, local_path
from examples.two_apps.sign_in.passwords import hash_once
from examples.two_apps.sign_in.settings import Settings
from examples.two_apps.sign_in.tables import UserBase

_USER = "user"


def install(app: Flask, settings: Settings) -> None:
    """
    Give the app its sessions, in a signed cookie that no script can read.
    """
    app.secret_key = settings.session_key()
    app.config.update(
        SESSION_COOKIE_NAME="shop_session", SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_SECURE=not settings.dev
    )


def user_id() -> str | None:
    """
    Who sent this request; None if nobody is signed in.
    """
    return cast("str | None", flask.session.get(_USER))


def current_user(session: Session) -> UserBase | None:
    """
    The user who sent this request; None if nobody is signed in.
    """
    signed_in = user_id()
    return None if signed_in is None else PEOPLE.get(session, signed_in)


def blueprint(engine: Engine, settings: Settings) -> Blueprint:
    """
    The pages.
    """
    routes = Blueprint("sign_in", __name__)
    hasher = PasswordHash.recommended()

    @routes.get("/sign-in")
    def ask() -> ResponseReturnValue:
        return _page(forms.sign_in(local_path(flask.request.args.get("next")), github=False))

    @routes.post("/sign-in")
    def sign_in() -> ResponseReturnValue:
        form = flask.request.form
        go_on, address = local_path(form.get("next")), normalise_or_none(form.get("email"))
        if is_from_another_site(dict(flask.request.headers), settings.origin):
            return _page(
                forms.sign_in(go_on, github=False, problem="Another site sent this form."), HTTPStatus.FORBIDDEN
            )
        with Session(engine) as session:
            user = None if address is None else PEOPLE.by_email(session, address)
            stored = None if user is None else user.password_hash
            # it takes as long where there is no password, so that nobody learns who has an account
            same = hasher.verify(form.get("password", ""), stored or hash_once("nobody's"))
            if user is None or stored is None or not same:
                problem = "The e-mail address or the password is wrong."
                content = forms.sign_in(go_on, github=False, problem=problem, email=form.get("email", ""))
                return _page(content, HTTPStatus.UNAUTHORIZED)
            flask.session.clear()
            flask.session[_USER] = user.id
        return flask.redirect(go_on, HTTPStatus.SEE_OTHER)

    @routes.post("/sign-out")
    def sign_out() -> ResponseReturnValue:
        if not is_from_another_site(dict(flask.request.headers), settings.origin):
            flask.session.clear()
        return flask.redirect("/", HTTPStatus.SEE_OTHER)

    return routes


def _page(content: str, status: HTTPStatus = HTTPStatus.OK) -> ResponseReturnValue:
    return storefront.page("Sign in", content, forms.corner(None)), status, storefront.headers()
