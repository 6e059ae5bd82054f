"""
A shop: FastAPI and a sync engine.
"""

import fastapi
import inngest.fast_api
from sqlalchemy import StaticPool, create_engine

from tests.kit.projects.production import production_client, shop_bridge

engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
client = production_client()
bridge = shop_bridge(client, engine)
app = fastapi.FastAPI(lifespan=bridge.lifespan)
inngest.fast_api.serve(app, client, bridge.functions, serve_origin="https://shop.example")
