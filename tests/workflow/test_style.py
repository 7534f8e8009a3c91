"""Style of code and rules, and pins that agree with each other."""

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from headrank.workflow.products import PRODUCTS
from headrank.workflow.provenance.code_digest import modules_behind
from headrank.workflow.script import WAITED_FOR
from tests.workflow.running import environment

CHECKS = {
    "ruff": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "snakefmt": ["snakefmt", "--check", "Snakefile", "rules"],
    "snakemake lint": ["snakemake", "--lint"],
}

# The environments that a model's device chooses between.
BY_DEVICE = {"torch-cpu.yaml", "torch-cuda.yaml"}
CUDA = re.compile(r"cuda-|nvidia-|triton$")
# They come with python and pip, and decide no number.
TOOLS = {"pip", "setuptools"}


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
    """Return the text of each rule that runs something; not of rules that use another's.

    The rule that is made once for each table and figure is called ``product``.
    """
    found = {}
    for path in sorted((root / "rules").glob("*.smk")):
        for block in re.split(r"^(?= *(?:use )?rule\b)", path.read_text(), flags=re.M)[1:]:
            name = re.match(r" *(?:use rule \w+ as|rule) ?(\w*)", block).group(1)
            if not name:  # "report", or product.rule
                name = re.search(r" +name:\n +\"?(\w+)", block).group(1)
            if "    script:\n" in block or "    shell:\n" in block:
                found[name] = block
    return found


def script_of(block: str) -> str:
    """Return the name of a rule's script."""
    return re.search(r"scripts/(\w+)\.py", block).group(1)


def test_every_rule_has_an_environment_a_log_and_a_message(root):
    found = rules(root)
    assert len(found) > 20
    for name, block in found.items():
        for directive in ("conda", "log", "message"):
            assert f"    {directive}:\n" in block, f"rule {name} has no {directive}"


# Rules whose code has no say in what they give, or that follow it in their own way.
UNDIGESTED = {
    "fetch_archive": "the archive's SHA-256 is pinned",
    "estimate": "told anew each time",
    "benchmark": "the benchmarks' files are parameters",
    "product": "the module of its function is a parameter",
    "report": "a user who asks for it again finds the results it shows",
}


def test_every_rule_knows_the_code_behind_its_own_script(root):
    for name, block in rules(root).items():
        script = script_of(block)
        digests = re.findall(r"\bcode\(\"(\w+)\"\)", block)
        assert digests == ([] if name in UNDIGESTED else [script]), name


def test_every_script_belongs_to_a_rule(root):
    used = set(re.findall(r"scripts/(\w+\.py)", "".join(rules(root).values())))
    assert used == {path.name for path in (root / "workflow/scripts").glob("*.py")}


def names(block: str, directive: str) -> list[str]:
    """Return the names that a rule gives in one directive."""
    part = re.search(rf"    {directive}:\n((?: {{8}}.*\n|\n)+)", block)
    return re.findall(r"^ {8}(\w+)=", part.group(1), flags=re.M) if part else []


def test_every_script_takes_what_its_rule_names(root):
    """A job would tell a name that does not fit; here no job need run."""
    for rule, block in rules(root).items():
        tree = ast.parse((root / "workflow/scripts" / f"{script_of(block)}.py").read_text())
        mains = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"]
        if not mains:
            assert rule == "report"
            continue
        taken = mains[0].args
        every = [one.arg for one in (*taken.args, *taken.kwonlyargs)]
        optional = [a.arg for a, d in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if d]
        given = {*names(block, "input"), *names(block, "params")}
        if taken.kwarg is None:
            assert given <= {*every, *WAITED_FOR}, f"rule {rule}: {given - {*every, *WAITED_FOR}}"
        known = {*given, *names(block, "output"), "target", "threads"}
        known |= set(re.findall(r"\{(\w+)\}", block.partition("    params:")[0]))
        if "unpack(" not in block and "**" not in block.partition("    log:")[0]:
            assert {*every} - {*optional} <= known, f"rule {rule}: {set(every) - known}"


def environments(block: str) -> set[str]:
    """Return the environment files of a rule; by the model's device it has two."""
    given = re.search(r"    conda:\n +(.+)\n", block).group(1)
    if given in ("sizes.torch_env", "sizes.encoder_env"):
        return BY_DEVICE
    return {Path(given.strip('"')).name}


def pip_pins(path: Path) -> dict[str, str]:
    """Return ``{package: pinned version}`` of an environment file."""
    *conda, pip = yaml.safe_load(path.read_text())["dependencies"]
    assert conda == ["python =3.11", "pip"]
    pairs = [re.fullmatch(r"(\S+) ={2,3}(\S+)", pin).groups() for pin in pip["pip"]]
    assert len(pairs) == len({canonical(name) for name, _ in pairs}), f"{path}: pinned twice"
    return {canonical(name): version for name, version in pairs}


def test_every_environment_is_used_and_pinned_as_the_lock(root):
    lock = pins((root / "requirements.lock").read_text())
    paths = sorted((root / "envs").glob("*.yaml"))
    used = set().union(*map(environments, rules(root).values()))
    assert used == {path.name for path in paths}
    for path in paths:
        for name, version in pip_pins(path).items():
            if not CUDA.match(name):
                assert lock[name] == version, f"{path.name}: {name} =={version}"


def test_every_environment_pins_what_its_packages_need(root):
    """Without these an environment built later would hold other packages."""
    for path in (root / "envs").glob("*.yaml"):
        pinned = pip_pins(path)
        absent = needs(pinned) - pinned.keys() - TOOLS
        assert not absent, f"{path.name}: {sorted(absent)}"


def test_the_two_builds_of_torch_differ_in_the_libraries_of_cuda_alone(root):
    cpu, cuda = (pip_pins(root / f"envs/torch-{name}.yaml") for name in ("cpu", "cuda"))
    assert cpu.items() <= cuda.items()
    added = cuda.keys() - cpu.keys()
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "triton"} <= added
    assert all(CUDA.match(name) for name in added), added
    # A local version such as +cpu matches `==`, and would come where a mirror offers one.
    assert f"torch ==={cuda['torch']}\n" in (root / "envs/torch-cuda.yaml").read_text()


def test_every_environment_holds_what_its_scripts_import(root):
    """A package missing there would be taken silently from Snakemake's own environment."""
    runs = [
        (name, env, root / "workflow/scripts" / f"{script_of(block)}.py")
        for name, block in rules(root).items()
        for env in environments(block)
    ]
    runs += [(name, "figures.yaml", root / entry.module) for name, entry in PRODUCTS.items()]
    distributions = importlib.metadata.packages_distributions()
    for name, env, first in runs:
        direct = (root / "envs" / env).read_text().partition("# What those need")[0]
        pinned = {canonical(dist) for dist in re.findall(r"- (\S+) ={2,3}", direct)}
        for path in [first, *modules_behind(first, root)]:
            for package in imported(path) - sys.stdlib_module_names - {"headrank"}:
                known = {canonical(dist) for dist in distributions[package]}
                assert known & pinned, f"rule {name}: {path.name} imports {package}, {env}"


def needs(packages: Iterable[str]) -> set[str]:
    """Return every package that these need to be installed, by what is installed here."""
    waiting = [(name, frozenset()) for name in packages if not CUDA.match(name)]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for requirement in map(Requirement, importlib.metadata.requires(name) or []):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in [*extras, ""]):
                waiting.append((canonical(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in seen if not CUDA.match(name)}


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Return the top-level packages that a file's import statements name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return frozenset(found)


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
