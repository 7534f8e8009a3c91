"""The rooms of the library: imports go one way, and one room alone knows the workflow."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "headrank"
# Each room may import what stands before it.
ORDER = [
    "errors",
    "io",
    "settings",
    "options",
    "data",
    "sources",
    "collections",
    "first_stage",
    "models",
    "reading",
    "heads",
    "baselines",
    "evaluation",
    "align",
    "ranker",
    "serve",
    "adapters",
    "fitting",
    "timing",
    "report",
    "workflow",
    "cli",
]
# The time stamp that Snakemake leaves in a folder must not pass for a user's file.
WORKFLOW = re.compile(r"(?<!\.)[Ss]nakemake(?!_timestamp)|\b(?:results|resources)/")


def room_of(file):
    """Return the room of a module: the first folder, or the module itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file):
    """Yield line and room of every import of ours, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module == "headrank":
            names = [f"headrank.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "headrank" and rest.split(".")[0] in ORDER:
                yield node.lineno, rest.split(".")[0]


def to_the_right(file):
    """Return the imports of a module that no room of its place may have."""
    place = ORDER.index(room_of(file))
    return [f"{file}:{line}: {room}" for line, room in imported(file) if ORDER.index(room) > place]


def test_every_module_is_in_a_room_and_imports_none_to_its_right():
    files = [file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py"]
    assert len(files) > 100
    assert {room_of(file) for file in files} <= set(ORDER)
    assert [wrong for file in files for wrong in to_the_right(file)] == []


def test_an_import_to_the_right_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    file = tmp_path / "data" / "lists.py"
    file.parent.mkdir()
    file.write_text("def f():\n    from headrank import heads\n    import headrank.io.files\n")
    assert to_the_right(file) == [f"{file}:2: heads"]


def spoken(file):
    """Return a module's names and strings, without docstrings and comments."""
    tree = ast.parse(file.read_bytes())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield ast.unparse(node)


@pytest.mark.parametrize("room", ORDER[: ORDER.index("workflow")])
def test_only_the_workflow_knows_snakemake_and_the_folders_of_results(room):
    files = [*(PACKAGE / room).rglob("*.py"), *PACKAGE.glob(f"{room}.py")]
    told = [f"{file}: {text}" for file in files for text in spoken(file) if WORKFLOW.search(text)]
    assert told == []
