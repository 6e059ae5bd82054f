from __future__ import annotations

import gc
import json
import socket
import time
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from crossapp_core.testing import Environment, EventRefusedError, LocalInngest, LocalInngestError

ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"


@pytest.fixture
async def api(env: Environment) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=env.url, trust_env=False) as client:
        yield client


class TestAccepted:
    async def test_one_event(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        An event is answered with one internal id and stands in the log as it was sent.
        """
        response = await api.post("/e/key-1", json={"id": "e1", "name": "a/b", "data": {"x": [1, None, "ü"]}})

        [event] = env.log.received
        assert (response.status_code, response.json()) == (200, {"ids": [event.internal_id], "status": 200})
        assert (event.id, event.name, event.data) == ("e1", "a/b", {"x": [1, None, "ü"]})
        assert (event.key, event.duplicate, event.at) == ("key-1", False, datetime(2026, 1, 1, tzinfo=UTC))

    async def test_array(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        Each event of an array gets an id of its own, in the order of the array.
        """
        response = await api.post("/e/k", json=[{"name": "a/b", "data": {"n": n}} for n in range(3)])

        assert response.json()["ids"] == [event.internal_id for event in env.log.events("a/b")]
        assert [event.data["n"] for event in env.log.received] == [0, 1, 2]
        assert len({event.internal_id for event in env.log.received}) == 3

    async def test_empty_array(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        No event at all is answered with 200 and an empty id, as the real server does.
        """
        response = await api.post("/e/k", json=[])

        assert (response.status_code, response.json()["ids"], env.log.received) == (200, [""], [])

    async def test_missing_parts(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        An event needs a name and nothing else: null counts as absent, an empty id as none.
        """
        await api.post("/e/k", json={"name": "a/b", "data": None, "id": "", "ts": None, "user": {"x": 1}, "v": "2"})

        [event] = env.log.received
        assert (event.id, event.data) == (None, {})

    async def test_numbers_are_float64(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        Integers up to 2⁵³ survive, larger ones are rounded.
        """
        numbers = [2**53, -(2**53), 2**53 + 1, 2**63 - 1, 1.5]

        await api.post("/e/k", json={"name": "a/b", "data": {"numbers": numbers}})

        got = env.log.received[0].data["numbers"]
        assert got == [2**53, -(2**53), 2**53, 2**63, 1.5]
        assert all(isinstance(number, int) for number in got[:4])

    async def test_servers_metadata(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        What a server keeps in an event's data for itself can't be forged.
        """
        await api.post("/e/k", json={"name": "a/b", "data": {"x": 1, "_inngest": {"fn_id": "f"}}})

        assert env.log.received[0].data == {"x": 1}

    async def test_emit(self, env: Environment, local: LocalInngest) -> None:
        """
        An event can be put in without HTTP, and past an outage.
        """
        env.down = True
        local.clock.advance(timedelta(hours=1))

        internal_id = env.emit("a/b", {"x": 2**53 + 1}, id="e1")

        [event] = env.log.events("a/b")
        assert (event.internal_id, event.id, event.key) == (internal_id, "e1", None)
        assert (event.data, event.at) == ({"x": 2**53}, datetime(2026, 1, 1, 1, tzinfo=UTC))


class TestDuplicates:
    async def test_within_24_hours(self, env: Environment, api: httpx.AsyncClient, local: LocalInngest) -> None:
        """
        A repeated id is accepted but marked a duplicate, also under another name, until 24 hours have passed.
        """
        event = {"id": "e1", "name": "a/b"}

        first = await api.post("/e/k", json=event)
        local.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
        again = await api.post("/e/k", json=[event, event | {"name": "c/d"}])
        local.clock.advance(timedelta(seconds=1))
        late = await api.post("/e/k", json=event)

        assert {response.status_code for response in (first, again, late)} == {200}
        assert all(again.json()["ids"])
        assert [event.duplicate for event in env.log.received] == [False, True, True, False]

    async def test_within_one_request(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        An id that comes twice in one array counts once.
        """
        await api.post("/e/k", json=[{"id": "e1", "name": "a/b"}] * 2)

        assert [event.duplicate for event in env.log.received] == [False, True]

    async def test_no_id(self, env: Environment) -> None:
        """
        Events without an id are never duplicates.
        """
        env.emit("a/b", {})
        env.emit("a/b", {})

        assert [event.duplicate for event in env.log.received] == [False, False]

    async def test_each_environment_for_itself(self, env: Environment, local: LocalInngest) -> None:
        """
        The same id in another environment is no duplicate.
        """
        other = local.environment("school")

        env.emit("a/b", {}, id="e1")
        other.emit("a/b", {}, id="e1")

        assert not other.log.received[0].duplicate


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "error"),
        [
            (b"{", "invalid JSON"),
            (b"\xff", "invalid JSON"),
            (b'{"name": "a/b", "data": {"x": NaN}}', "NaN"),
            (b'{"name": "a/b", "data": {"x": 1e999}}', "1e999"),
            (b'{"name": "a/b", "data": {"x": 1%s}}' % (b"0" * 400), "out of its range"),
            (b"[" * 100_000, "invalid JSON"),
            (b'"a/b"', "event object or an array"),
            (b"[1]", "must be an object"),
            (b"{}", "name is empty"),
            (b'{"name": ""}', "name is empty"),
            (b'{"name": 1}', "name is empty"),
            (b'{"name": "inngest/function.failed"}', "reserved for internal use: inngest/function.failed"),
            (b'{"name": "a/b", "id": 1}', "id must be a string"),
            (b'{"name": "a/b", "data": []}', "data must be an object"),
            (b'{"name": "a/b", "ts": "now"}', "ts must be"),
            (b'{"name": "a/b", "ts": 1789000000}', "ts must be"),
            (json.dumps({"name": "a/b", "data": {"x": "y" * 262_144}}).encode(), "over the max size"),
        ],
    )
    async def test_bad_request(self, env: Environment, api: httpx.AsyncClient, body: bytes, error: str) -> None:
        """
        What no server takes is answered with 400 and an error, and nothing is stored.
        """
        response = await api.post("/e/k", content=body)

        assert (response.status_code, response.json()["status"]) == (400, 400)
        assert error in response.json()["error"]
        assert env.log.received == []
        assert [(refused.status, refused.error, refused.key) for refused in env.log.refused] == [
            (400, response.json()["error"], "k")
        ]

    async def test_bad_event_in_a_batch(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        Of a refused array, the events before the bad one are stored all the same.
        """
        response = await api.post("/e/k", json=[{"name": "a/b"}, {"name": "inngest/x"}, {"name": "c/d"}])

        assert response.status_code == 400
        assert [event.name for event in env.log.received] == ["a/b"]
        assert response.json()["ids"] == [env.log.received[0].internal_id]

    async def test_too_many(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        A request holds 5000 events at most.
        """
        allowed = await api.post("/e/k", json=[{"name": "a/b"}] * 5000)
        refused = await api.post("/e/k", json=[{"name": "a/b"}] * 5001)

        assert (allowed.status_code, refused.status_code) == (200, 400)
        assert "5000" in refused.json()["error"]

    async def test_largest_event(self, api: httpx.AsyncClient) -> None:
        """
        An event of 256 KiB is accepted.
        """
        frame = len(json.dumps({"name": "a/b", "data": {"x": ""}}, separators=(",", ":")))

        response = await api.post("/e/k", json={"name": "a/b", "data": {"x": "y" * (262_144 - frame)}})

        assert response.status_code == 200

    async def test_emit(self, env: Environment) -> None:
        """
        An event put in directly is held to the same rules.
        """
        with pytest.raises(EventRefusedError, match="reserved for internal use"):
            env.emit("inngest/function.failed", {})
        with pytest.raises(EventRefusedError, match="NaN"):
            env.emit("a/b", {"x": float("nan")})
        assert env.log.received == []

    async def test_other_paths(self, api: httpx.AsyncClient) -> None:
        """
        There is nothing but the event API and the registration.
        """
        assert (await api.post("/elsewhere", json={})).status_code == 404
        assert (await api.get("/e/k")).status_code == 501

    async def test_body_of_unknown_length(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        A body sent in chunks is read like any other.
        """

        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"name":'
            yield b'"a/b"}'

        assert (await api.post("/e/k", content=chunks())).status_code == 200
        assert (await api.post("/e/k", json={"name": "c/d"})).status_code == 200
        assert [event.name for event in env.log.received] == ["a/b", "c/d"]


class TestKeys:
    async def test_unknown(self, local: LocalInngest) -> None:
        """
        With a list of keys, another one is answered with 401, even for an event that is bad as well.
        """
        env = local.environment("keyed", keys=["good"])
        async with httpx.AsyncClient(base_url=env.url, trust_env=False) as api:
            good = await api.post("/e/good", json={"name": "a/b"})
            bad = await api.post("/e/bad", json={})

        assert good.status_code == 200
        assert (bad.status_code, bad.json()) == (401, {"error": "Event key not found", "status": 401})
        assert [(refused.status, refused.key) for refused in env.log.refused] == [(401, "bad")]
        assert len(env.log.received) == 1

    async def test_missing(self, api: httpx.AsyncClient) -> None:
        """
        Without any key there is no access.
        """
        response = await api.post("/e/", json={"name": "a/b"})

        assert (response.status_code, response.json()["error"]) == (401, "Event key is required")

    async def test_quoted(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        A key that is quoted in the URL is read as what it stands for.
        """
        await api.post("/e/a%2Fb%20c", json={"name": "a/b"})

        assert env.log.received[0].key == "a/b c"

    def test_one_string(self, local: LocalInngest) -> None:
        """
        A string in place of a list of keys is a mistake, not a list of letters.
        """
        with pytest.raises(LocalInngestError, match="put it in a list"):
            local.environment("keyed", keys="good")


class TestFaults:
    async def test_down(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        While an environment is down it answers 503 and stores nothing; that is no refusal.
        """
        env.down = True
        during = await api.post("/e/k", json={"name": "a/b"})
        env.down = False
        after = await api.post("/e/k", json={"name": "a/b"})

        assert (during.status_code, after.status_code) == (503, 200)
        assert (len(env.log.received), env.log.refused) == (1, [])

    async def test_dictated_answers(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        Dictated answers come in their order, with body and headers, and nothing of their requests is stored.
        """
        env.answer_next(429, {"error": "slow down"}, {"Retry-After": "7"})
        env.answer_next(200, {"ids": [""]})
        env.answer_next(502, b"<html>", {"Content-Type": "text/html"})
        env.answer_next(500)
        env.answer_next(404, b"no such page")

        answers = [await api.post("/e/k", json={"name": "a/b"}) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [429, 200, 502, 500, 404, 200]
        assert answers[0].headers["retry-after"] == "7"
        assert answers[1].json() == {"ids": [""]}
        assert (answers[2].content, answers[2].headers["content-type"]) == (b"<html>", "text/html")
        assert answers[3].content == b""
        assert len(env.log.received) == 1
        assert [(refused.status, refused.error) for refused in env.log.refused] == [
            (429, "slow down"),
            (404, "no such page"),
        ]


class TestListener:
    async def test_keeps_connections(self, env: Environment, api: httpx.AsyncClient) -> None:
        """
        A pooled client uses one connection for many requests; only the SDK's client, which can't be closed, may not.
        """
        ports = set()
        for _ in range(2):
            response = await api.post("/e/k", json={"name": "a/b"})
            ports.add(response.extensions["network_stream"].get_extra_info("client_addr")[1])
        sdk = await api.post("/e/k", json={"name": "a/b"}, headers={"user-agent": "inngest-py:v0.5.19"})

        assert len(ports) == 1
        assert "connection" not in response.headers
        assert sdk.headers["connection"] == "close"

    async def test_answers_at_once(self, api: httpx.AsyncClient) -> None:
        """
        No answer waits for the other side's delayed acknowledgement, which would take 40 ms each.
        """
        times = []
        for _ in range(50):
            start = time.perf_counter()
            await api.post("/e/k", json={"name": "a/b"})
            times.append(time.perf_counter() - start)

        assert min(times) < 0.03  # the quickest, since a busy machine is no failure

    def test_closes_idle_connections(self) -> None:
        """
        Closing hangs up on clients that keep their connections, at once and without leaving a socket open.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with LocalInngest() as local, httpx.Client(trust_env=False) as api:
                url = local.environment("shop").url
                api.post(f"{url}/e/k", json={"name": "a/b"})
                with socket.create_connection(("127.0.0.1", httpx.URL(url).port), timeout=5) as half:
                    half.sendall(b"POST /e/k HTTP/1.1\r\ncontent-length: 9\r\n\r\n{")

                    start = time.perf_counter()
                    local.close()
                    assert time.perf_counter() - start < 1
                    assert _has_hung_up(half)
                with pytest.raises(httpx.ConnectError):
                    api.post(f"{url}/e/k", json={"name": "a/b"})
            gc.collect()

        assert [str(warning.message) for warning in caught] == []

    def test_closes_twice(self, local: LocalInngest) -> None:
        """
        Closing what is closed already does nothing.
        """
        url = local.environment("shop").url

        local.close()
        local.close()

        with pytest.raises(httpx.ConnectError):
            httpx.post(f"{url}/e/k", json={"name": "a/b"}, trust_env=False)

    def test_names_are_unique(self, local: LocalInngest) -> None:
        """
        Two environments of one name would be mistaken for each other.
        """
        local.environment("shop")

        with pytest.raises(LocalInngestError, match="an environment 'shop' already"):
            local.environment("shop")


def _has_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:  # what was sent had not been read yet
        return True
