from __future__ import annotations

import functools
import threading
from typing import Any

import fastapi
import flask
import httpx
import inngest
import inngest.fast_api
import inngest.flask
import pytest

from crossapp_core.testing import Environment, LocalInngest, LocalInngestError, NotRegisteredError, RunError
from crossapp_core.testing.deployments import App, Deployment, is_wsgi

KEY = "signkey-prod-0123456789abcdef"
PAID = inngest.TriggerEvent(event="order/paid")
TEXT = {"naïve": "ü€\U0001f600\u2028", "b": [1.5, 1e21, -0.0, True, None], "a": {"z": 0.1, "B": 10**15}}
"""Data that is written in more ways than one."""


def shop(environment: Environment, signing_key: str | None = None) -> inngest.Inngest:
    """
    The client of an app, in production if it has a signing key.
    """
    return inngest.Inngest(
        app_id="shop",
        is_production=signing_key is not None,
        signing_key=signing_key,
        event_key="shop-key",
        api_base_url=environment.url,
        event_api_base_url=environment.url,
    )


def flask_app(client: inngest.Inngest, *functions: inngest.Function[Any], **options: Any) -> flask.Flask:
    """
    A Flask app that serves *functions*.
    """
    app = flask.Flask("shop")
    inngest.flask.serve(app, client, list(functions), **options)
    return app


def fastapi_app(client: inngest.Inngest, *functions: inngest.Function[Any], **options: Any) -> fastapi.FastAPI:
    """
    A FastAPI app that serves *functions*.
    """
    app = fastapi.FastAPI()
    inngest.fast_api.serve(app, client, list(functions), **options)
    return app


class TestWSGI:
    async def test_flask(self, env: Environment, local: LocalInngest) -> None:
        """
        A Flask app runs its functions in this process, steps and all, off the event loop's thread.
        """
        client, threads = shop(env), set()

        @client.create_function(fn_id="ship", trigger=PAID)
        def ship(ctx: inngest.ContextSync) -> int:
            threads.add(threading.get_ident())
            return ctx.step.run("weigh", lambda: 3) + 1

        await env.aregister(flask_app(client, ship))
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.runs
        assert (run.status, run.output, run.steps, run.attempts) == ("completed", 4, ["weigh"], 1)
        assert threading.get_ident() not in threads

    async def test_sends(self, env: Environment, local: LocalInngest) -> None:
        """
        While it is called, a Flask app sends to environments and is answered: by the SDK, in a step, by itself.
        """
        client = shop(env)

        @client.create_function(fn_id="ship", trigger=PAID)
        def ship(ctx: inngest.ContextSync) -> int:
            ctx.step.send_event("tell", inngest.Event(name="order/shipped"))
            client.send_sync(inngest.Event(name="order/shipped"))
            return httpx.post(f"{env.url}/e/key", json={"name": "order/shipped"}, trust_env=False).status_code

        @client.create_function(fn_id="thank", trigger=inngest.TriggerEvent(event="order/shipped"))
        def thank(ctx: inngest.ContextSync) -> None:
            pass

        await env.aregister(flask_app(client, ship, thank))
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.runs_of("ship")[0].output == 200
        assert [run.status for run in env.log.runs_of("thank")] == ["completed"] * 3

    def test_sync(self, env: Environment, local: LocalInngest) -> None:
        """
        A test without event loop registers a Flask app and settles as often as it likes.
        """
        client = shop(env)

        @client.create_function(fn_id="ship", trigger=PAID)
        def ship(ctx: inngest.ContextSync) -> str:
            return "shipped"

        env.register(flask_app(client, ship))
        for _ in range(2):
            env.emit("order/paid", {})
            local.settle()

        assert [run.output for run in env.log.runs] == ["shipped"] * 2

    async def test_failure(self, env: Environment, local: LocalInngest) -> None:
        """
        A function that raises is repeated, and its on_failure runs in the end.
        """
        client = shop(env)

        def on_failure(ctx: inngest.ContextSync) -> str:
            return "told"

        @client.create_function(fn_id="ship", trigger=PAID, retries=1, on_failure=on_failure)
        def ship(ctx: inngest.ContextSync) -> None:
            raise OSError("no paper")

        await env.aregister(flask_app(client, ship))
        env.emit("order/paid", {})
        await local.asettle()

        [run] = env.log.failures
        assert (run.attempts, run.error) == (2, RunError("OSError", "no paper"))
        assert env.log.runs_of("ship-failure")[0].output == "told"

    async def test_crash(self, env: Environment, local: LocalInngest) -> None:
        """
        An exception that escapes the whole app is a failed call.
        """
        client = shop(env)

        @client.create_function(fn_id="ship", trigger=PAID, retries=0)
        def ship(ctx: inngest.ContextSync) -> None:
            pass

        app = flask_app(client, ship)
        app.testing = True

        @app.before_request
        def crash() -> None:
            if flask.request.method == "POST":
                raise RuntimeError("out of memory")

        await env.aregister(app)
        env.emit("order/paid", {})
        await local.asettle()

        assert env.log.failures[0].error == RunError("RuntimeError", "out of memory")

    async def test_no_handler(self, env: Environment) -> None:
        """
        A Flask app that serves no functions is told so like any.
        """
        with pytest.raises(NotRegisteredError, match=r"PUT http://app\.test/hooks .*'shop': .* 404"):
            await env.aregister(flask.Flask("shop"), path="/hooks")

    async def test_kinds(self) -> None:
        """
        An app that takes two arguments is WSGI; one that takes three is ASGI, wrapped or not.
        """

        def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            return []

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            pass

        async def middleware(app: Any, scope: Any, receive: Any, send: Any) -> None:
            pass

        assert [is_wsgi(app) for app in (flask.Flask("shop"), flask.Flask("shop").wsgi_app, wsgi)] == [True] * 3
        others = (fastapi.FastAPI(), asgi, functools.partial(middleware, asgi), lambda *args: asgi(*args), None)
        assert [is_wsgi(app) for app in others] == [False] * 5


@pytest.mark.parametrize("serve", [fastapi_app, flask_app])
class TestSigned:
    async def test_calls(self, env: Environment, local: LocalInngest, serve: Any) -> None:
        """
        An app in production takes the calls, whatever their content, and its events arrive with its key.
        """
        client = shop(env, KEY)

        @client.create_function(fn_id="ship", trigger=PAID)
        def ship(ctx: inngest.ContextSync) -> object:
            ctx.step.send_event("tell", inngest.Event(name="order/shipped"))
            return ctx.step.run("read", lambda: dict(ctx.event.data))

        await env.aregister(serve(client, ship), signing_key=KEY)
        env.emit("order/paid", TEXT)
        await local.asettle()

        [run] = env.log.runs
        assert (run.status, run.output, run.attempts) == ("completed", TEXT, 1)
        assert [event.key for event in env.log.events("order/shipped")] == ["shop-key"]

    async def test_guarded_registration(self, env: Environment, serve: Any) -> None:
        """
        An app that registers only when it is asked by its own Inngest is asked so.
        """
        client = shop(env, KEY)
        app = serve(client, _ship(client), enable_unauthed_sync=False)

        await env.aregister(app, signing_key=KEY)

        with pytest.raises(NotRegisteredError, match="it answered 401"):
            await env.aregister(app)

    async def test_other_key(self, env: Environment, serve: Any) -> None:
        """
        An app with another signing key, or in dev mode, isn't registered.
        """
        for key in ("signkey-prod-ba5eba11", None):
            client = shop(env, key)
            with pytest.raises(NotRegisteredError, match=r"another signing key, or none|from Cloud but expected Dev"):
                await env.aregister(serve(client, _ship(client)), signing_key=KEY)

    async def test_unsigned_calls(self, env: Environment, local: LocalInngest, serve: Any) -> None:
        """
        The app's own check stands: a call that is signed with another key, or not at all, reaches no function.
        """
        client = shop(env, KEY)
        app: App = serve(client, _ship(client))
        await env.aregister(app, signing_key=KEY)
        url = "http://app.test/api/inngest?fnId=shop-ship&stepId=step"

        for key in (None, "signkey-prod-ba5eba11"):
            assert (await Deployment(app, key).request("POST", url, b"{}")).status_code == 401
        # this one is read, though it holds nothing of a call
        assert (await Deployment(app, KEY).request("POST", url, b"{}")).status_code == 500

    async def test_bad_key(self, env: Environment, serve: Any) -> None:
        """
        What can't be a signing key is refused at once, and not told to whoever reads the error.
        """
        with pytest.raises(LocalInngestError, match="hexadecimal") as caught:
            await env.aregister(serve(shop(env, KEY)), signing_key="signkey-prod-t0p")

        assert "t0p" not in str(caught.value)
        assert KEY not in repr(Deployment(signing_key=KEY))


def _ship(client: inngest.Inngest) -> inngest.Function[Any]:
    @client.create_function(fn_id="ship", trigger=PAID)
    def ship(ctx: inngest.ContextSync) -> None:
        pass

    return ship
