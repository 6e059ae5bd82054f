from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.packaging.wheels import Installed, build, install

pytestmark = pytest.mark.xdist_group("packaging")  # so that one worker builds all

PROJECT = Path(__file__).parent / "project"
SECRET = "the secret that both teams have agreed on"
STRANGERS = ["fastapi", "flask", "hypothesis", "pytest", "uvicorn"]
"""What belongs to tests and to apps alone."""

IMPORT_ALL = """
import importlib, importlib.util, json, pkgutil, sys
for name in {packages}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name not in {extra}:
            importlib.import_module(module.name)
found = [name for name in {strangers} if importlib.util.find_spec(name)]
print(json.dumps([sorted(sys.modules), found]))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """
    The three wheels.
    """
    return {package: str(wheel) for package, wheel in build(tmp_path_factory.mktemp("wheels")).items()}


@pytest.fixture(scope="module")
def users(wheels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """
    The environment of a seller with tests of its own.
    """
    needed = [f"{wheels['crossapp-core']}[testing]", wheels["crossapp-tt"], "fastapi>=0.115"]
    return install(tmp_path_factory.mktemp("users"), *needed)


class TestPair:
    @pytest.mark.parametrize(("adapter", "other"), [("tt", "ah"), ("ah", "tt")])
    def test_alone(self, wheels: dict[str, str], adapter: str, other: str, tmp_path: Path) -> None:
        """
        Core and one adapter import in an empty environment, every module of them, with nothing of the other adapter or
        of the tests; what needs the extra says which one.
        """
        installed = install(tmp_path, wheels["crossapp-core"], wheels[f"crossapp-{adapter}"])
        extra = ["crossapp_core.testing.plugin", "crossapp_core.testing.strategies"]
        code = IMPORT_ALL.format(
            packages=["crossapp_core", f"crossapp_{adapter}"],
            extra=extra,
            strangers=[f"crossapp_{other}", *STRANGERS],
        )
        result = installed.run("-c", code)
        assert result.returncode == 0, result.stderr
        imported, strangers = json.loads(result.stdout)
        assert {"crossapp_core.testing.kit", f"crossapp_{adapter}.bridge"} <= set(imported)
        assert strangers == []

        for module in extra:
            refused = installed.run("-c", f"import {module}")
            assert refused.stderr.rstrip().endswith("pip install 'crossapp-core[testing]'")


class TestTheirSuite:
    @pytest.mark.parametrize(
        ("mistake", "told"),
        [
            (None, "1 passed"),
            ("dropped", "emit-bundle-purchase is not served"),
            ("secret", "have both apps the same secret?"),
            ("trigger", "'purchase/created'"),
        ],
    )
    def test_ten_lines(self, users: Installed, mistake: str | None, told: str, tmp_path: Path) -> None:
        """
        A test of ten lines passes with the right app, and fails with a wrong one, saying what is wrong.
        """
        shutil.copy(PROJECT / "shop.py", tmp_path)
        shutil.copy(PROJECT / "ten_lines.py", tmp_path / "test_bundle.py")
        secret = SECRET if mistake != "secret" else "a secret that only one of them knows of"
        result = users.run(
            *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
            cwd=tmp_path,
            CROSS_APP_SECRET=secret,
            MISTAKE=mistake or "",
        )

        assert told in result.stdout, result.stdout + result.stderr
        assert result.returncode == (0 if mistake is None else 1)
