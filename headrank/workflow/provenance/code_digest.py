"""A digest of the code behind a script: Snakemake sees the script, not what it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGE = "headrank"
# Messages, logs and the writing of files: they decide no number. A change here must not
# repeat hours of reading.
PLUMBING = frozenset(
    {
        "headrank.collections.validation",
        "headrank.workflow.provenance.code_digest",
        "headrank.workflow.provenance.process",
        "headrank.errors",
        "headrank.io.files",
        "headrank.io.folders",
        "headrank.models.devices",
        "headrank.workflow.job",
        "headrank.workflow.script",
        "headrank.io.progress",
        "headrank.settings",
        "headrank.io.targets",
    }
)

# Where statements stand inside a statement.
_INSIDE = ("body", "orelse", "finalbody", "handlers", "cases")


def code_digest(script: Path, root: Path) -> str:
    """Return a 16-digit digest of a script and of every module of ours that it imports.

    Args:
        script: the file a rule runs.
        root: the folder that holds the package.
    """
    result = hashlib.sha256(script.read_bytes())
    for module in sorted(modules_behind(script, root)):
        result.update(module.relative_to(root).as_posix().encode() + module.read_bytes())
    return result.hexdigest()[:16]


def modules_behind(script: Path, root: Path) -> set[Path]:
    """Return the modules of the package that a script imports, directly or not."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        for module in _imports(waiting.pop(), root):
            if module not in found:
                found.add(module)
                waiting.append(module)
    return found


@functools.cache
def _imports(path: Path, root: Path) -> tuple[Path, ...]:
    """Return the package's modules that one file names in its import statements."""
    modules = []
    for node in _run(ast.parse(path.read_bytes()).body):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        modules += [module for name in names for module in _files(name, root)]
    return tuple(modules)


def _run(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements that run, and those inside them.

    What stands under ``if TYPE_CHECKING`` names types, no code. Expressions hold no import, and
    every start of the workflow comes through here, so none is visited.
    """
    for statement in statements:
        if isinstance(statement, ast.If) and getattr(statement.test, "id", "") == "TYPE_CHECKING":
            continue
        yield statement
        for part in _INSIDE:
            yield from _run(getattr(statement, part, ()))


@functools.cache
def _files(name: str, root: Path) -> tuple[Path, ...]:
    """Return the files that run for a dotted name, if it is one of ours that decides a result.

    A package runs before what is in it. The whole package's own ``__init__.py`` is left out: it
    holds the version, and names that it imports from elsewhere when they are asked for.
    """
    package, *parts = name.split(".")
    if package != PACKAGE or not parts:
        return ()
    name = _names(root).get(name, name)
    if any(name == one or name.startswith(f"{one}.") for one in PLUMBING):
        return ()
    files, place = [], root
    for part in name.split("."):
        place /= part
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file() and place != root / PACKAGE:
                files.append(file)
    return tuple(files)


@functools.cache
def _names(root: Path) -> dict[str, str]:
    """Return ``{name: module}`` of what the whole package imports for its users, when asked."""
    tree = ast.parse((root / PACKAGE / "__init__.py").read_bytes())
    return {
        f"{PACKAGE}.{alias.asname or alias.name}": node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
