"""
A shop: FastAPI and an async engine.
"""

import fastapi
import inngest.fast_api
from sqlalchemy.ext.asyncio import create_async_engine

from tests.kit.projects.production import production_client, shop_bridge

engine = create_async_engine("sqlite+aiosqlite://")
client = production_client()
bridge = shop_bridge(client, engine)
app = fastapi.FastAPI(lifespan=bridge.lifespan)
inngest.fast_api.serve(app, client, bridge.functions)
