"""
The shop as a Flask app, with the pages of account linking.
"""

from __future__ import annotations

import flask
import inngest.flask

import crossapp_tt as tt
from crossapp_core.web import LONGEST_BODY, PATHS, LinkRequest


def create_app(bridge: tt.Bridge) -> flask.Flask:
    """
    Make the app for a bridge with a sync engine.
    """
    app = flask.Flask("shop")
    app.secret_key = "of the sessions alone"
    inngest.flask.serve(app, bridge.inngest, bridge.functions)
    pages = bridge.link_pages(sign_in_url="/sign-in")

    def account_link() -> flask.Response:
        asked = flask.request
        query, body = asked.query_string.decode("latin-1"), asked.stream.read(LONGEST_BODY + 1)
        request = LinkRequest(asked.method, query, dict(asked.headers), body)
        answer = pages.respond_sync(asked.path, request, flask.session.get("user_id"))
        return flask.Response(answer.body, answer.status, dict(answer.headers))

    for path in PATHS:
        app.add_url_rule(path, view_func=account_link, methods=["GET", "POST"])

    @app.post("/sign-in")
    def sign_in() -> flask.Response:
        flask.session["user_id"] = flask.request.form["user"]
        return flask.Response(status=204)

    return app
