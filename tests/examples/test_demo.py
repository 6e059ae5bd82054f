from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from examples.two_apps.demo import play
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.serving import fastapi_on
from examples.two_apps.story import Story, wants_colour

pytestmark = pytest.mark.xdist_group("demo")  # so that one worker plays it

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.two_apps.demo", *arguments]
    environ = os.environ | {"http_proxy": "http://127.0.0.1:1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, encoding="utf-8", check=False, timeout=300
    )


@pytest.fixture(scope="module", params=[[], ["--flask"]], ids=["fastapi", "flask"])
def demo(request: pytest.FixtureRequest) -> subprocess.CompletedProcess[str]:
    """
    The demo, run as a person runs it, into a pipe, on a machine whose proxy reaches nothing.
    """
    return run(*request.param)


class TestDemo:
    def test_everything_comes_as_it_should(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        It ends with exit code 0, every expectation met, and nothing but the story.
        """
        assert (demo.returncode, demo.stderr) == (0, "")
        assert "✗" not in demo.stdout
        assert demo.stdout.endswith("\nAll 34 expectations were met.\n")

    def test_which_shop(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        With --flask the shop is the Flask app, and it says so.
        """
        shop = "Flask with a sync engine" if "--flask" in demo.args else "FastAPI with an async engine"
        assert f"\ntotal-typescript is {shop}, ai-hero is FastAPI with an async engine.\n" in demo.stdout

    def test_plain_in_a_pipe(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        In a pipe it has no colours.
        """
        assert demo.stdout
        assert ESCAPE not in demo.stdout

    def test_addresses_are_masked(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        Nobody's address stands in it.
        """
        assert set(re.findall(r"\S+@\S+", demo.stdout)) == {"a…@example.com", "g…@example.com"}

    @pytest.mark.parametrize(
        "line",
        [
            "total-typescript → ai-hero   bundle/purchased            course_evals, for a…@example.com",
            "ai-hero → total-typescript   entitlement/granted         course_evals, active",
            "ai-hero → total-typescript   entitlement/granted         course_evals, pending",
            "total-typescript → ai-hero   entitlement/revoke          course_evals, refunded",
            "✓ Ada opens the course, and gets 200",
            "ai-hero → total-typescript   account/linked",
            "total-typescript → ai-hero   account/link-state",
            "ai-hero → total-typescript   user/oauth-login",
            "✓ Back at the shop she reads The accounts are linked now.",
            "✓ Ada’s entitlement is pending",
            "✓ Grace opens the course, and gets 200",
            "✓ Grace’s row in the ledger is revoked",
            "✓ Owed to the school are 3 purchases",
            "✓ Of these it knows 0 purchases",
            "Support → total-typescript   UPDATE seller_purchase      1 row of Grace’s new is Refunded now",
            "✓ They came in the order entitlement/revoke, bundle/purchased, bundle/purchased",
            "✓ Ada’s new entitlement is active",
            "✓ Grace’s new entitlement is active",
            "✓ Grace’s new entitlement is revoked",
            "✓ Both databases say the same of 5 purchases",
        ],
    )
    def test_what_it_tells(self, demo: subprocess.CompletedProcess[str], line: str) -> None:
        """
        It tells what crossed the bridge and what both databases hold.
        """
        assert line in demo.stdout

    def test_databases_agree(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        Whenever it shows both databases, both know the same versions; the ledger alone is ahead while the school is
        off.
        """
        held = re.findall(r"holds, in (\w+):\n((?:    .*\n)+)", demo.stdout)
        versions = [(name, re.findall(r"version (\d+)", rows)) for name, rows in held if name != "AccountLink"]
        ledgers = [number for number, (name, _) in enumerate(versions) if name == "CrossAppSync"]
        beside = [number for number in ledgers if versions[number + 1][0] == "Entitlement"]
        assert (len(ledgers), len(beside)) == (9, 8)
        assert [versions[number][1] for number in beside] == [versions[number + 1][1] for number in beside]

    def test_hours_pass(self, demo: subprocess.CompletedProcess[str]) -> None:
        """
        Between what it shows lie hours, for which nobody waits.
        """
        versions = [int(version) for version in re.findall(r"version (\d+)", demo.stdout)]
        assert max(versions) - min(versions) > timedelta(hours=2) / timedelta(milliseconds=1)


class TestArguments:
    def test_help(self) -> None:
        """
        With --help it says what it does and how to choose the shop, and plays nothing.
        """
        helped = run("--help")
        assert (helped.returncode, helped.stderr) == (0, "")
        assert "--flask" in helped.stdout
        assert "expectations" not in helped.stdout

    def test_unknown_argument(self) -> None:
        """
        Another argument is a mistake, and ends with how it is used.
        """
        refused = run("--django")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("usage: python -m examples.two_apps.demo")


class TestPlay:
    async def test_broken_expectations(self) -> None:
        """
        If the school takes no event of the shop, it isn't a success, and the end says what was wrong.
        """
        out = io.StringIO()

        def another_secret(environ: Mapping[str, str], clock: Callable[[], datetime]) -> FastAPI:
            return create_school({**environ, "CROSS_APP_SECRET": "another secret of just the right length"}, clock)

        assert not await play(Story(out, colour=False), school=fastapi_on(another_secret))
        end = out.getvalue().split("Not as it should be:")[1]
        assert "handle-bundle-purchase of ai-hero failed: event-rejected: signature" in end
        assert "Ada’s entitlement is missing, not pending" in end
        assert "Ada opens the course, and gets 403, not 200" in end

    async def test_app_that_does_not_start(self) -> None:
        """
        If an app can't start, it says why in a sentence, not in a traceback.
        """
        out = io.StringIO()

        def without_key(environ: Mapping[str, str], clock: Callable[[], datetime]) -> FastAPI:
            return create_school({**environ, "TT_INNGEST_EVENT_KEY": ""}, clock)

        assert not await play(Story(out, colour=False), school=fastapi_on(without_key))
        assert "It can’t go on: CrossAppConfigError: 1 problem with the settings of ai-hero" in out.getvalue()
        assert "TT_INNGEST_EVENT_KEY is not set" in out.getvalue()
        assert "Traceback" not in out.getvalue()


class TestStory:
    def test_colours(self) -> None:
        """
        With colours, all that was coloured is also set back.
        """
        out = io.StringIO()
        story = Story(out, colour=True)
        story.title("One")
        story.crossing("shop", "school", "bundle/purchased")
        story.expect("it is", 1, 1)
        story.expect("it is", 1, 2)
        assert not story.end()
        text = out.getvalue()
        assert f"{ESCAPE}[32m✓{ESCAPE}[0m it is 1\n" in text
        assert f"{ESCAPE}[31m✗ it is 2, not 1{ESCAPE}[0m\n" in text
        assert len(re.findall(rf"{ESCAPE}\[\d+m", text)) == 2 * text.count(f"{ESCAPE}[0m")

    def test_table_without_rows(self) -> None:
        """
        An empty table is told as such.
        """
        out = io.StringIO()
        Story(out, colour=False).holds("shop", "CrossAppSync", [])
        assert out.getvalue() == "  shop holds, in CrossAppSync:\n    nothing\n"

    @pytest.mark.parametrize(
        ("environ", "colour"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    )
    def test_when_colours_are_wanted(
        self, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colour: bool
    ) -> None:
        """
        A terminal has colours, unless it says otherwise.
        """
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        _, terminal = os.openpty()
        with open(terminal, "w", encoding="utf-8") as out:
            assert wants_colour(out) == colour
        assert not wants_colour(io.StringIO())
