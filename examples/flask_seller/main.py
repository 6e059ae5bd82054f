"""
The shop once more, a complete Flask app:

    flask --app examples.flask_seller.main run --port 8001
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime

import inngest.flask
from flask import Flask
from sqlalchemy import create_engine
from sqlmodel import Session

from examples.flask_seller import links, pages, sign_in, webhooks
from examples.flask_seller.config import Config
from examples.two_apps.seller import sample
from examples.two_apps.seller.crossapp import make_bridge
from examples.two_apps.seller.inngest_client import make_client
from examples.two_apps.seller.models import create_tables
from examples.two_apps.sign_in.settings import Settings


def create_app(environ: Mapping[str, str] | None = None, clock: Callable[[], datetime] | None = None) -> Flask:
    """
    Make the app from its environment variables, `os.environ` if None; the bridge's clock is the system's if None.
    """
    variables = os.environ if environ is None else environ
    config = Config.model_validate(dict(variables))
    engine = create_engine(config.database_url)
    client = make_client(config)
    bridge = make_bridge(client, engine, variables, dev=config.dev, clock=clock)
    with engine.begin() as connection:
        create_tables(connection)
    if config.sample_data:
        with Session(engine) as session, session.begin():
            sample.fill(session, dev=config.dev)

    app = Flask(__name__)
    settings = Settings.from_env(variables, origin=config.serve_origin, dev=config.dev)
    sign_in.install(app, settings)
    inngest.flask.serve(app, client, bridge.functions, serve_origin=config.serve_origin, enable_unauthed_sync=False)
    app.register_blueprint(webhooks.blueprint(engine, bridge, client, config.stripe_webhook_secret))
    app.register_blueprint(pages.blueprint(engine))
    app.register_blueprint(sign_in.blueprint(engine, settings))
    app.register_blueprint(links.blueprint(bridge))
    app.extensions["shop"] = (bridge.client.close, engine.dispose)
    return app


def close(app: Flask) -> None:
    """
    Close the app's connections, to the school and to the database.

    WSGI has no lifespan, and a server's process closes them by its end, so this is for tests.
    """
    for each in app.extensions["shop"]:
        each()
