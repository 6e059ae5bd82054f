from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.running import ANYIO, ASYNCIO, run, write

MISTAKES = {
    "dropped": ["NotServedError", "reconcile-cross-app is not served: was all of bridge.functions"],
    "replaced": ["NotServedError", "emit-bundle-purchase is served, but it is another function of that id"],
    "trigger": ["NobodyListensError", "listens to 'purchase/created'", "purchase/craeted"],
    "secret": ["PeerRejectedError", "ai-hero refused bundle/purchased: signature: ", "the same secret?"],
    "unsold": ["ran handle-entitlement-failed: completed", "received entitlement/failed"],
}
"""What goes wrong, and what the user is told."""


class TestSuites:
    @pytest.mark.parametrize(("shop", "options"), [("fastapi_shop", [*ANYIO, "-n", "2"]), ("flask_shop", [])])
    def test_sync(self, shop: str, options: list[str], tmp_path: Path) -> None:
        """
        Plain tests of an app with a sync engine, whose client was made for production: FastAPI, by two workers of
        pytest-xdist that don't get in each other's way, and Flask.
        """
        write("shop", tmp_path)

        result = run(tmp_path, *options, SHOP=shop)

        assert result.passed(2), result.output

    @pytest.mark.parametrize("runner", ["asyncio", "anyio"])
    def test_async(self, runner: str, tmp_path: Path) -> None:
        """
        Async tests of an app with an async engine, run by either plugin.
        """
        write("async_shop", tmp_path)

        result = run(tmp_path, *(ASYNCIO if runner == "asyncio" else ANYIO), RUNNER=runner)

        assert result.passed(2), result.output

    def test_mistakes_are_explained(self, tmp_path: Path) -> None:
        """
        The user's test passes with the right app, and each mistake makes it fail with a message that names it.
        """
        for name in ("none", *MISTAKES):
            write("mistakes", tmp_path, name)

        result = run(tmp_path)

        assert f"{len(MISTAKES)} failed, 1 passed" in result.output, result.output
        assert "FAILED test_none.py" not in result.output
        for told in MISTAKES.values():
            assert all(words in result.output for words in told), result.output


class TestLoading:
    def test_loads_nothing(self) -> None:
        """
        In a project that doesn't use the fixture, pytest loads neither Inngest nor a database nor Hypothesis with it.
        """
        code = "import sys, crossapp_core.testing.plugin; print(*{name.partition('.')[0] for name in sys.modules})"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        loaded = set(result.stdout.split())
        assert "pytest" in loaded
        assert loaded & {"httpx", "hypothesis", "inngest", "pydantic", "sqlalchemy", "sqlmodel"} == set()

    @pytest.mark.parametrize("missing", ["hypothesis", "pytest"])
    def test_without_the_extra(self, missing: str) -> None:
        """
        Where the extra isn't installed, what needs it says so, and LocalInngest works.
        """
        module = {"hypothesis": "strategies", "pytest": "plugin"}[missing]
        code = (
            f"import sys; sys.modules['{missing}'] = None\n"
            "from crossapp_core.testing import Kit, LocalInngest\n"
            "with Kit() as kit: kit.settle()\n"
            f"import crossapp_core.testing.{module}"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

        assert result.stderr.rstrip().endswith("pip install 'crossapp-core[testing]'"), result.stderr
