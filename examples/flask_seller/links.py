"""
The pages on which people link their accounts: the bridge's own, in Flask's requests and responses.
"""

from __future__ import annotations

import flask
from flask import Blueprint

import crossapp_tt as tt
from crossapp_core.web import LONGEST_BODY, PATHS, LinkRequest
from examples.flask_seller import sign_in


def blueprint(bridge: tt.Bridge) -> Blueprint:
    """
    The pages.
    """
    routes = Blueprint("links", __name__)
    pages = bridge.link_pages(sign_in_url="/sign-in")

    def account_link() -> flask.Response:
        asked = flask.request
        query, body = asked.query_string.decode("latin-1"), asked.stream.read(LONGEST_BODY + 1)
        request = LinkRequest(asked.method, query, dict(asked.headers), body)
        answer = pages.respond_sync(asked.path, request, sign_in.user_id())
        return flask.Response(answer.body, answer.status, dict(answer.headers))

    for path in PATHS:
        routes.add_url_rule(path, view_func=account_link, methods=["GET", "POST"])
    return routes
