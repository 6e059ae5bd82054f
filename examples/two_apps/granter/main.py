"""
The school, a complete FastAPI app:

    uvicorn --factory examples.two_apps.granter.main:create_app --port 8002
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import inngest.fast_api
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from examples.two_apps.granter import courses, sample
from examples.two_apps.granter.config import Config
from examples.two_apps.granter.crossapp import make_bridge
from examples.two_apps.granter.inngest_client import make_client
from examples.two_apps.granter.models import create_tables
from examples.two_apps.granter.sign_in import SignIn


def create_app(environ: Mapping[str, str] | None = None) -> FastAPI:
    """
    Make the app from its environment variables, `os.environ` if None.
    """
    variables = os.environ if environ is None else environ
    config = Config.model_validate(dict(variables))
    engine = create_async_engine(config.database_url)
    client = make_client(config)
    bridge = make_bridge(client, engine, variables, dev=config.dev)
    sign_in = SignIn(engine, enabled=config.dev)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with bridge.lifespan(app):
            await create_tables(engine)
            if config.sample_data:
                await sample.fill(engine)
            yield
        await engine.dispose()

    app = FastAPI(title="The school", lifespan=lifespan)
    inngest.fast_api.serve(app, client, bridge.functions, serve_origin=config.serve_origin, enable_unauthed_sync=False)
    app.include_router(sign_in.router())
    app.include_router(courses.router(engine, sign_in))
    return app
