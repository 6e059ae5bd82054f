"""
A shop: Flask and a sync engine.
"""

import flask
import inngest.flask
from sqlalchemy import StaticPool, create_engine

from tests.kit.projects.production import production_client, shop_bridge

engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
client = production_client()
bridge = shop_bridge(client, engine)
app = flask.Flask(__name__)
inngest.flask.serve(app, client, bridge.functions, serve_path="/hooks/inngest")
