"""The names that ``from headrank import`` gives, and what importing the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import headrank

ROOT = Path(headrank.__file__).parents[1]
HEAVY = {"matplotlib", "numpy", "pandas", "pydantic", "scipy", "torch", "transformers", "yaml"}


def imported(code):
    """Return which heavy packages a new process has imported after some code."""
    code = f"import sys\n{code}\nprint(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", [name for name in headrank.__all__ if name != "__version__"])
def test_a_name_is_the_thing_of_its_module(name):
    module, attribute = headrank._HOMES[name].split(":")
    assert getattr(headrank, name) is getattr(sys.modules[module], attribute)
    assert name in dir(headrank)


def test_names_for_type_checkers_are_those_that_are_imported():
    tree = ast.parse(Path(headrank.__file__).read_text())
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("headrank.")
        for alias in node.names
    }
    assert typed == headrank._HOMES
    assert (
        {*typed, "__version__"} == set(headrank.__all__) == {*headrank.__all__} & {*dir(headrank)}
    )


def test_an_unknown_name_is_an_import_error():
    with pytest.raises(ImportError, match="Reranker"):
        from headrank import Reranker  # noqa: F401
    with pytest.raises(AttributeError, match="module 'headrank' has no attribute 'Reranker'"):
        _ = headrank.Reranker


def test_the_package_and_the_help_import_nothing_heavy():
    assert imported("import headrank; dir(headrank)") == set()
    asked = (
        "from headrank.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    )
    assert imported(asked) == set()
    assert "numpy" in imported("from headrank import Passage")  # the check can see
