from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/*"))
PACKAGES = [source.name for source in SOURCES]
ADAPTERS = ["crossapp_ah", "crossapp_tt"]
LAYERS = [
    {"catalog", "models", "tables"},
    {"ports", "table_ports"},
    {"operations"},
    {"functions"},
    {"emails", "router"},
    {"bridge", "upkeep"},
    {"testing"},
]
"""The modules of an adapter, from bottom to top; one that is new has its place to be found first."""

NETWORK = {"fastapi", "flask", "httpx", "inngest", "starlette"}
CHANCE = {"random", "secrets", "time", "uuid"}
CLOCKS = {"now", "today", "utcnow"}


@cache
def modules() -> Mapping[str, ast.Module]:
    """
    Every module of the packages, by its name.
    """
    return {_name(path, source): ast.parse(path.read_text()) for source in SOURCES for path in source.rglob("*.py")}


@cache
def imports(name: str) -> Sequence[str]:
    """
    What a module imports, anywhere in it: modules, and names in full.
    """
    return tuple(_imports(name))


def _imports(name: str) -> Iterator[str]:
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(name: str) -> set[str]:
    """
    What a module imports, itself or by our other modules.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = set(imports(waiting.pop())) - found
        found |= new
        waiting += [module for one in new if (module := _module_of(one)) in modules() and module not in PACKAGES]
    return found


def operations() -> list[str]:
    """
    The modules in which all decisions are made.
    """
    return [name for name in modules() if ".operations" in name]


def _name(path: Path, source: Path) -> str:
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module_of(imported: str) -> str:
    return imported if imported in modules() else imported.rpartition(".")[0]


def _top(imported: str) -> str:
    return imported.partition(".")[0]


class TestLight:
    @pytest.mark.parametrize(
        "code",
        [
            "from crossapp_core.events import BundlePurchased as B;"
            "B(purchase_id='p', product_id='q', buyer_email='ada@example.com', source_app='a', version=1).event_id()",
            "from crossapp_core import EventRejectedError, Settings;"
            "environ = {'B_INNGEST_EVENT_KEY': 'k', 'CROSS_APP_SECRET': 'x' * 32};"
            "Settings.from_env('a', peers={'b': 'B'}, environ=environ)",
        ],
        ids=["event", "settings"],
    )
    def test_events_and_settings(self, code: str) -> None:
        """
        Whoever builds an event or reads settings loads no database, no Inngest, no HTTP client and no signing.
        """
        tell = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
        result = subprocess.run(
            [sys.executable, "-c", f"import crossapp_core; {code}; {tell}"], capture_output=True, text=True, check=True
        )
        loaded = set(json.loads(result.stdout))

        assert {"crossapp_core", "pydantic"} <= loaded
        heavy = {"sqlmodel", "sqlalchemy", "inngest", "httpx", "jwt", "orjson", "tenacity"}
        assert loaded & heavy == set()


class TestLayers:
    def test_finds_modules(self) -> None:
        """
        The checks see the packages, so they check something.
        """
        assert set(PACKAGES) == {"crossapp_core", *ADAPTERS}
        assert {"crossapp_core.events", "crossapp_tt.tables", "crossapp_ah.operations.entitlements"} <= set(modules())
        assert "crossapp_core.wire.Event" in set(imports("crossapp_core.events"))

    @pytest.mark.parametrize("package", PACKAGES)
    def test_packages(self, package: str) -> None:
        """
        An adapter knows the core and itself, the core only itself.
        """
        others = set(ADAPTERS) - {package}
        for name in (name for name in modules() if _top(name) == package):
            assert {_top(imported) for imported in imports(name)} & others == set(), name

    @pytest.mark.parametrize("package", ADAPTERS)
    def test_point_down(self, package: str) -> None:
        """
        Within an adapter an import points down, from the bridge to the tables.
        """
        height = {module: number for number, layer in enumerate(LAYERS) for module in layer}
        for name in (name for name in modules() if _top(name) == package and name != package):
            layer = name.split(".")[1]
            assert layer in height, f"{name} belongs to no layer"
            for imported in (imported for imported in imports(name) if _top(imported) == package):
                target = imported.split(".")[1]
                assert height.get(target, 99) <= height[layer], f"{name} imports {imported}"

    def test_core_tests_nothing(self) -> None:
        """
        What runs in production doesn't import the test kit.
        """
        for name in (name for name in modules() if ".testing" not in name):
            assert [one for one in imports(name) if one.startswith("crossapp_core.testing")] == [], name

    def test_operations_reach_no_network(self) -> None:
        """
        Operations decide and do nothing else: no Inngest and no HTTP, not by our other modules either.
        """
        assert len(operations()) >= 4
        for name in operations():
            assert {_top(imported) for imported in reached(name)} & NETWORK == set(), name

    def test_operations_read_no_clock(self) -> None:
        """
        Time and ids come to operations as arguments: they neither look at a clock nor throw dice.
        """
        for name in operations():
            assert {_top(imported) for imported in imports(name)} & CHANCE == set(), name
            calls = [node.attr for node in ast.walk(modules()[name]) if isinstance(node, ast.Attribute)]
            assert set(calls) & CLOCKS == set(), name


class TestPublicNames:
    @pytest.fixture(params=PACKAGES)
    def package(self, request: pytest.FixtureRequest) -> ModuleType:
        """
        Each of the packages.
        """
        return importlib.import_module(request.param)

    def test_are_sorted(self, package: ModuleType) -> None:
        """
        `__all__` is in order: constants, classes, functions, each by name.
        """
        names = list(package.__all__)

        assert names == sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))

    def test_can_be_imported(self, package: ModuleType) -> None:
        """
        Every public name is there, under its own name.
        """
        for name in package.__all__:
            thing = getattr(package, name)
            assert getattr(thing, "__name__", name) == name
            assert name in dir(package)

    def test_are_all(self, package: ModuleType) -> None:
        """
        Nothing of ours can be imported from a package that isn't public, and nothing unknown at all.
        """
        ours = {
            name for name, thing in vars(package).items() if _top(getattr(thing, "__module__", "") or "") in PACKAGES
        }

        assert {name for name in ours if not name.startswith("_")} <= set(package.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = package.nothing
