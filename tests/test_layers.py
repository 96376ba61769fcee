"""The house's rules: which part may import which, and what stays unloaded at start."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "terrainlib"

# Imports run one way: a part may import those after it and itself. (The worker and the
# command line live on top of `runs`.)
ORDER = ("pages", "ui", "cli", "runs", "mask", "model", "data", "base")
BASE = {"__init__", "errors", "files", "metrics", "types", "_gdal"}
CLI = {"cli", "__main__"}  # and its private neighbours
HEAVY = ("tensorflow", "keras", "streamlit", "matplotlib", "sklearn")
MAY_IMPORT_STREAMLIT = {"pages", "ui"}
LIGHT_MODULES = ("terrainlib.mask.sharpen", "terrainlib.runs.folder", "terrainlib.cli")


def part_of_module(module: str) -> str:
    """Return the part a dotted module name belongs to."""
    second = [*module.split("."), "__init__"][1]
    if second in BASE or second == "__version__":
        return "base"
    return "cli" if second in CLI or second.startswith("_") else second


def part_of_file(path: Path) -> str:
    """Return the part a source file belongs to."""
    if LIBRARY not in path.parents:
        return "pages"
    return part_of_module(module_name(path))


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    """Return all source files of the app and the library."""
    pages = [*ROOT.glob("streamlit_app.py"), *ROOT.glob("pages/*.py")]
    return sorted([*pages, *LIBRARY.rglob("*.py")])


def imports(path: Path, *, at_start: bool = False) -> Iterator[str]:
    """Yield the dotted names that a file imports, with the names taken from them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _at_start(tree) if at_start else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_start(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _at_start(node)


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources(), ids=label)
def test_imports_run_one_way(path: Path) -> None:
    own = ORDER.index(part_of_file(path))
    reached = {
        name: part_of_module(name)
        for name in imports(path)
        if name.startswith("terrainlib.")
    }
    places = {
        name: ORDER.index(part) for name, part in reached.items() if part in ORDER
    }
    assert {name for name, place in places.items() if place < own} == set()


@pytest.mark.parametrize("path", sources(), ids=label)
def test_nothing_builds_on_the_command_line(path: Path) -> None:
    if part_of_file(path) != "cli":
        names = {name for name in imports(path) if name.startswith("terrainlib.")}
        assert "cli" not in {part_of_module(name) for name in names}


@pytest.mark.parametrize("path", sources(), ids=label)
def test_streamlit_is_imported_by_pages_and_ui_only(path: Path) -> None:
    if part_of_file(path) not in MAY_IMPORT_STREAMLIT:
        assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"streamlit"})


@pytest.mark.parametrize("part", ["mask", "ui"])
def test_the_rooms_of_a_part_import_one_way(part: str) -> None:
    house = LIBRARY / part
    rooms = {path.parent.name for path in house.glob("*/__init__.py")}
    uses: dict[str, set[str]] = {}
    for path in house.glob("*/*.py"):
        own = path.parent.name
        reached = {name.split(".")[2] for name in imports(path) if name.count(".") > 1}
        uses.setdefault(own, set()).update((reached & rooms) - {own})
    assert set(uses) == rooms
    assert set(TopologicalSorter(uses).static_order()) == rooms  # or CycleError


def test_every_part_of_the_library_has_its_place() -> None:
    parts = {part_of_file(path) for path in sources()}
    assert parts <= set(ORDER)
    assert {"pages", "ui", "runs", "mask", "model", "data", "base"} <= parts


def loaded_after(*modules: str) -> set[str]:
    """Return which heavy packages a fresh interpreter has after importing modules."""
    code = (
        f"import {', '.join(modules)}, sys\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_library_loads_nothing_heavy() -> None:
    assert loaded_after("terrainlib") == set()


def test_the_light_modules_load_nothing_heavy() -> None:
    light = [module_name(path) for path in sorted((LIBRARY / "data").rglob("*.py"))]
    assert loaded_after(*light, *LIGHT_MODULES) == set()


def test_the_user_interface_starts_without_tensorflow_and_matplotlib() -> None:
    modules = [module_name(path) for path in sorted((LIBRARY / "ui").rglob("*.py"))]
    assert loaded_after(*modules) <= {"streamlit"}


@pytest.mark.parametrize("path", sources(), ids=label)
def test_pages_load_nothing_heavy_at_start(path: Path) -> None:
    if part_of_file(path) == "pages":
        roots = {name.split(".")[0] for name in imports(path, at_start=True)}
        assert roots.isdisjoint({"tensorflow", "keras", "matplotlib", "sklearn"})
