"""
The shop, a complete FastAPI app:

    uvicorn --factory examples.two_apps.seller.main:create_app --port 8001
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import inngest.fast_api
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.seller import pages, sample, webhooks
from examples.two_apps.seller.config import Config
from examples.two_apps.seller.crossapp import make_bridge
from examples.two_apps.seller.inngest_client import make_client
from examples.two_apps.seller.models import PEOPLE, create_tables
from examples.two_apps.sign_in import sessions
from examples.two_apps.sign_in.routes import SignIn
from examples.two_apps.sign_in.settings import Settings


def create_app(environ: Mapping[str, str] | None = None, clock: Callable[[], datetime] | None = None) -> FastAPI:
    """
    Make the app from its environment variables, `os.environ` if None; the bridge's clock is the system's if None.
    """
    variables = os.environ if environ is None else environ
    config = Config.model_validate(dict(variables))
    engine = create_async_engine(config.database_url)
    client = make_client(config)
    bridge = make_bridge(client, engine, variables, dev=config.dev, clock=clock)
    settings = Settings.from_env(variables, origin=config.serve_origin, dev=config.dev)
    sign_in = SignIn(engine, PEOPLE, settings, show=pages.show, client=client)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with bridge.lifespan(app):
                async with engine.begin() as connection:
                    await connection.run_sync(create_tables)
                if config.sample_data:
                    async with AsyncSession(engine) as session, session.begin():
                        await session.run_sync(lambda sync: sample.fill(sync, dev=config.dev))
                yield
        finally:
            await engine.dispose()

    app = FastAPI(title="The shop", lifespan=lifespan)
    inngest.fast_api.serve(app, client, bridge.functions, serve_origin=config.serve_origin, enable_unauthed_sync=False)
    app.include_router(webhooks.router(engine, bridge, client, config.stripe_webhook_secret))
    sessions.install(app, "shop_session", settings)
    app.include_router(sign_in.router())
    app.include_router(bridge.router(sign_in.current_user))
    app.include_router(pages.router(engine, sign_in))
    return app
