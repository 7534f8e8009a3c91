"""Style of code and rules, and pins that agree with each other."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from headrank.codedigest import modules_behind
from tests.workflow.running import environment

CHECKS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "snakefmt": ["snakefmt", "--check", "Snakefile", "rules"],
    "snakemake lint": ["snakemake", "--lint"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_style(root, name):
    program, *arguments = CHECKS[name]
    result = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def rules(root: Path) -> dict[str, str]:
    """Return the text of each rule that runs something."""
    found = {}
    for path in sorted((root / "rules").glob("*.smk")):
        for block in re.split(r"^(?=rule )", path.read_text(), flags=re.M)[1:]:
            name = re.match(r"rule (\w+):", block).group(1)
            if "    script:\n" in block or "    shell:\n" in block:
                found[name] = block
    return found


def test_every_rule_has_an_environment_a_log_and_a_message(root):
    found = rules(root)
    assert len(found) > 20
    for name, block in found.items():
        for directive in ("conda", "log", "message"):
            assert f"    {directive}:\n" in block, f"rule {name} has no {directive}"


def test_every_script_belongs_to_a_rule(root):
    used = set(re.findall(r"scripts/(\w+\.py)", "".join(rules(root).values())))
    assert used == {path.name for path in (root / "workflow/scripts").glob("*.py")}


def test_every_environment_is_used_and_pinned_as_the_lock(root):
    lock = pins((root / "requirements.lock").read_text())
    used = set(re.findall(r"envs/([\w-]+\.yaml)", "".join(rules(root).values())))
    paths = sorted((root / "envs").glob("*.yaml"))
    assert used == {path.name for path in paths}
    for path in paths:
        *conda, pip = yaml.safe_load(path.read_text())["dependencies"]
        assert conda == ["python =3.11", "pip"]
        for pin in pip["pip"]:
            name, version = pin.split(" ==")
            assert lock[canonical(name)] == version, f"{path.name}: {pin}"


def test_every_environment_holds_what_its_scripts_import(root):
    """A package missing there would be taken silently from Snakemake's own environment."""
    distributions = importlib.metadata.packages_distributions()
    for name, block in rules(root).items():
        script = root / "workflow/scripts" / re.search(r"scripts/(\w+\.py)", block).group(1)
        env = root / "envs" / re.search(r"envs/([\w-]+\.yaml)", block).group(1)
        pip = yaml.safe_load(env.read_text())["dependencies"][-1]["pip"]
        pinned = {canonical(pin.split(" ==")[0]) for pin in pip}
        for path in [script, *modules_behind(script, root)]:
            for package in imported(path) - sys.stdlib_module_names - {"headrank"}:
                known = {canonical(dist) for dist in distributions[package]}
                assert known & pinned, f"rule {name}: {path.name} imports {package}, {env.name}"


def imported(path: Path) -> set[str]:
    """Return the top-level packages that a file's import statements name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_lock_holds_the_direct_pins_and_no_address(root):
    text = (root / "requirements.lock").read_text()
    assert not re.search(r"@|://|\+", text)
    lock = pins(text)
    direct = pins((root / "requirements.txt").read_text())
    assert {name: lock.get(name) for name in direct} == direct
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for need in [*project["dependencies"], *(need for extra in extras for need in extra)]:
        assert canonical(re.match(r"[\w.-]+", need).group()) in direct, need


def pins(text: str) -> dict[str, str]:
    """Return ``{package: version}`` of a requirements file."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    pairs = [line.split("==") for line in lines if line]
    return {canonical(name): version for name, version in pairs}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
