"""What a wheel of the package holds: all that a user without the repository needs."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from headrank.cli.fetch import installed_configs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def members(tmp_path_factory) -> set[str]:
    """Return the names of the files in a wheel that is built here, from a copy and offline."""
    # Its number is asked, not the package: importing that here meets distutils, imported before.
    found = [one.version for one in distributions(name="setuptools")]
    if not found or int(found[0].partition(".")[0]) < 77:
        pytest.skip("setuptools 77 builds the wheel; Python 3.12 and later bring none")
    source = tmp_path_factory.mktemp("wheel") / "source"
    source.mkdir()
    for name in ("headrank", "config"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_and_its_data(members):
    wanted = [
        path
        for path in (ROOT / "headrank").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {path.suffix for path in wanted} >= {".py", ".json", ".typed"}
    assert {path.relative_to(ROOT).as_posix() for path in wanted} <= members


def test_the_wheel_holds_the_presets_and_the_command(members):
    presets = {f"share/headrank/config/{path.name}" for path in (ROOT / "config").glob("*.yaml")}
    assert "share/headrank/config/config.yaml" in presets
    assert presets == {name.partition(".data/data/")[2] for name in members if ".data/" in name}
    assert any(name.endswith(".dist-info/entry_points.txt") for name in members)
    assert any(name.endswith("licenses/LICENSE") for name in members)


def test_the_wheel_holds_nothing_else(members):
    tops = {name.partition("/")[0].partition("-")[0] for name in members}
    assert tops == {"headrank"}
    assert not [name for name in members if name.startswith(("tests/", "workflow/"))]


def test_an_installed_config_is_found_through_the_record(tmp_path, monkeypatch):
    """As pip installs it: the record names the file relative to site-packages."""
    site = tmp_path / "lib/site-packages"
    info = site / "headrank-9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: headrank\nVersion: 9\n")
    (info / "RECORD").write_text("../../share/headrank/config/config.yaml,,\nheadrank/x.py,,\n")
    config = tmp_path / "share/headrank/config/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    monkeypatch.setattr(sys, "path", [str(site)])
    (found,) = installed_configs()
    assert found.resolve() == config


def needed_at_once(module: str, seen: set[str]) -> set[str]:
    """Return the packages of others that importing a module imports, itself and through ours."""
    path = ROOT / (module.replace(".", "/") + ".py")
    path = path if path.is_file() else path.with_suffix("") / "__init__.py"
    if module in seen or not path.is_file():
        return set()
    seen.add(module)
    found: set[str] = set()
    for node in ast.parse(path.read_bytes()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            ours = name.partition(".")[0] == "headrank"
            found |= needed_at_once(name, seen) if ours else {name.partition(".")[0]}
    return found


def test_a_ranker_needs_no_extra():
    """An adapter needs peft, but only who loads one: the extra `align` is not asked of others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {re.split(r"[^\w]", one)[0] for one in project["dependencies"]}
    base |= {"pydantic_core", "tokenizers"}  # pydantic and transformers bring them
    seen: set[str] = set()
    needed = needed_at_once("headrank.ranker.ranker", seen)
    assert {"headrank.ranker.saved", "headrank.models.decoder"} <= seen
    assert {"torch", "transformers"} <= needed
    assert needed - set(sys.stdlib_module_names) - base == set()
