"""The rules of the house, each one test over the tree: imports and sizes."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "terrainlib"

# A part may import those after it and itself; `cli` and `ui` both stand on `runs`.
ORDER = ("pages", "ui", "cli", "runs", "mask", "model", "data", "base")
MAY_IMPORT_STREAMLIT = {"pages", "ui"}
HEAVY = ("tensorflow", "keras", "streamlit", "matplotlib", "sklearn")
LIGHT_MODULES = (
    "terrainlib.mask.sharpen",
    "terrainlib.runs.folder",
    "terrainlib.cli.main",
)
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 50
MAX_FILES_A_FOLDER = 15


def sources() -> list[Path]:
    """Return all source files of the app and the library."""
    pages = [*ROOT.glob("streamlit_app.py"), *ROOT.glob("pages/*.py")]
    return sorted([*pages, *LIBRARY.rglob("*.py")])


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """Return the part that a dotted module name belongs to."""
    if not module.startswith("terrainlib"):
        return "pages"
    second = [*module.split("."), ""][1]
    return "cli" if second == "__main__" else second if second in ORDER else "base"


@cache
def imports(path: Path, at_start: bool = False) -> frozenset[str]:
    """Return the dotted names that a file imports, with the names taken from them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _at_start(tree) if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _at_start(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _at_start(node)


def own_imports(path: Path) -> set[str]:
    """Return what a file imports of the library itself."""
    return {name for name in imports(path) if name.startswith("terrainlib.")}


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


def test_imports_run_one_way() -> None:
    wrong = {
        (module_name(path), name)
        for path in sources()
        for name in own_imports(path)
        if ORDER.index(part_of(name)) < ORDER.index(part_of(module_name(path)))
    }
    assert wrong == set()


def test_the_command_line_and_the_pages_do_not_know_each_other() -> None:
    reached = {
        (module_name(path), part_of(name))
        for path in sources()
        for name in own_imports(path)
        if part_of(module_name(path)) != part_of(name)
    }
    assert {name for name, part in reached if part == "cli"} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in sources()}
    uses: dict[str, set[str]] = {}
    for module, path in modules.items():
        reached = {
            name if name in modules else name.rpartition(".")[0]
            for name in own_imports(path)
        }
        uses[module] = (reached & set(modules)) - {module}
    assert set(TopologicalSorter(uses).static_order()) >= set(modules)  # or CycleError


def test_the_rooms_of_a_part_import_one_way() -> None:
    for part in ("data", "model", "mask", "runs", "ui"):
        rooms = {path.parent.name for path in (LIBRARY / part).glob("*/__init__.py")}
        uses: dict[str, set[str]] = {room: set() for room in rooms}
        for path in (LIBRARY / part).glob("*/*.py"):
            own = path.parent.name
            reached = {
                name.split(".")[2]
                for name in own_imports(path)
                if part_of(name) == part and name.count(".") > 1
            }
            uses[own] |= (reached & rooms) - {own}
        assert set(TopologicalSorter(uses).static_order()) == rooms, part


def test_streamlit_is_imported_by_pages_and_ui_only() -> None:
    found = {
        module_name(path)
        for path in sources()
        if any(name.split(".")[0] == "streamlit" for name in imports(path))
    }
    assert {m for m in found if part_of(m) not in MAY_IMPORT_STREAMLIT} == set()


def test_no_page_ends_before_its_end() -> None:
    """After `st.stop` Streamlit keeps the fragments of what was drawn before.

    One that polls then writes at its old place, which the page may no longer have, and
    the browser shows nothing at all any more.
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in sources()}
    assert {name for name, text in texts.items() if "st.stop(" in text} == set()


def test_tables_are_shown_and_the_address_is_written_in_one_way() -> None:
    ways = {
        r"st\.dataframe\(": "page.py",
        r"st\.query_params(\[.*\] = |\.pop|\.clear|\.update|\.from_dict)": "state.py",
    }
    for way, only in ways.items():
        found = {p.name for p in sources() if re.search(way, p.read_text("utf-8"))}
        assert found == {only}, way


def test_pages_load_nothing_heavy_at_start() -> None:
    heavy = set(HEAVY) - {"streamlit"}
    for path in sources():
        if part_of(module_name(path)) == "pages":
            roots = {name.split(".")[0] for name in imports(path, at_start=True)}
            assert roots.isdisjoint(heavy), path.name


def test_importing_the_library_loads_nothing_heavy() -> None:
    assert loaded_after("terrainlib") == set()


def test_the_loader_and_the_light_modules_load_nothing_heavy() -> None:
    light = [module_name(path) for path in sorted((LIBRARY / "data").rglob("*.py"))]
    assert loaded_after(*light, *LIGHT_MODULES) == set()


def test_the_user_interface_starts_without_tensorflow_and_matplotlib() -> None:
    modules = [module_name(path) for path in sorted((LIBRARY / "ui").rglob("*.py"))]
    assert loaded_after(*modules) <= {"streamlit"}


def test_files_functions_and_folders_keep_their_size() -> None:
    too_large: list[str] = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MAX_FILE_LINES:
            too_large.append(f"{path.name}: a file of {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MAX_FUNCTION_LINES:
                    too_large.append(f"{path.name}: {node.name} has {lines} lines")
    for folder in {path.parent for path in sources()} - {ROOT}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        if len(files) > MAX_FILES_A_FOLDER:
            too_large.append(f"{folder.name}: a folder of {len(files)} files")
    assert too_large == []


def test_no_file_of_the_library_has_an_underscore_in_its_name() -> None:
    special = {"__init__.py", "__main__.py"}
    names = {path.name for path in LIBRARY.rglob("*.py")} - special
    assert {name for name in names if "_" in name} == set()
