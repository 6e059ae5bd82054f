from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import fastapi
import inngest
import inngest.fast_api

from crossapp_core.testing import Environment

Body = Callable[[inngest.Context], Awaitable[object]]


class App:
    """
    A FastAPI app with functions, as a user has it.
    """

    def __init__(self, environment: Environment, app_id: str = "shop") -> None:
        self.environment = environment
        self.client = inngest.Inngest(
            app_id=app_id,
            is_production=False,
            api_base_url=environment.url,
            event_api_base_url=environment.url,
        )
        self.functions: list[inngest.Function[Any]] = []

    def on(self, event: str, *, fn_id: str = "handle", **options: Any) -> Callable[[Body], Body]:
        """
        Run the decorated function, of that id, on *event*.
        """

        def decorate(body: Body) -> Body:
            trigger = inngest.TriggerEvent(event=event, expression=options.pop("expression", None))
            self.functions.append(self.client.create_function(fn_id=fn_id, trigger=trigger, **options)(body))
            return body

        return decorate

    @property
    def asgi(self) -> fastapi.FastAPI:
        """
        The app, made anew with the functions so far.
        """
        asgi = fastapi.FastAPI()
        inngest.fast_api.serve(asgi, self.client, self.functions, serve_origin="https://shop.example")
        return asgi

    async def register(self) -> None:
        """
        Register at the environment, as a deployment does.
        """
        await self.environment.aregister(self.asgi)
