"""Every conda environment is built, imports what it pins, and carries a real run."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fault.experiment import TARGETS, write
from tests.workflow.running import ROOT, command, environment, snakemake
from tests.workflow.test_style import CUDA as CUDA_LIBRARY
from tests.workflow.test_style import TOOLS, canonical, pip_pins

pytestmark = pytest.mark.slow

CUDA = "torch-cuda.yaml"
LIST = """
import importlib.metadata, json
print(json.dumps([[d.metadata["Name"], d.version] for d in importlib.metadata.distributions()]))
"""
MODULES = {"pytrec-eval-terrier": "pytrec_eval", "pyyaml": "yaml"}
MANAGERS = ("micromamba", "mamba")


def small(config: dict) -> None:
    """Change the experiment to one that needs each environment, and trains nothing."""
    for key in ("selections", "alignments", "profiling"):
        del config[key]
    config["sets"] = {"exam": config["sets"]["exam"]}
    names = ("bm25", "random", "icr")
    config["methods"] = {name: config["methods"][name] for name in names}
    config["experiment"]["methods"] = list(names)
    config["evaluation"]["comparisons"] = [["icr", "bm25"]]


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> dict[str, str]:
    """Return the environment of a process in which there is a program named conda.

    One on PATH is taken. Snakemake asks for `conda` by that name, so of micromamba or mamba alone
    one is made with conda in it. Without any, or without a channel, a stand-in does its work.
    """
    base = environment()
    # The library must reach the scripts by the workflow's own means.
    base.pop("PYTHONPATH", None)
    if shutil.which("conda"):
        return base
    folder = tmp_path_factory.mktemp("conda")
    prefix = folder / "prefix"
    for manager in filter(shutil.which, MANAGERS):
        options = ("--yes", "--channel", "conda-forge", "--prefix", prefix, "conda")
        if run([manager, "create", *options], base).returncode == 0:
            break
    else:
        made = run([sys.executable, ROOT / "tests/workflow/conda_standin.py", prefix], base)
        assert made.returncode == 0, made.stdout
    return base | {
        "PATH": f"{prefix / 'bin'}{os.pathsep}{base['PATH']}",
        "PIP_CACHE_DIR": str(folder / "pip"),
    }


def run(arguments: list, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Run a program to its end; stdout and stderr are joined."""
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(conda, tmp_path_factory) -> Path:
    """Return a working folder in which every environment of the chain was created."""
    folder = tmp_path_factory.mktemp("use-conda")
    config = write(folder, small)
    options = ("--use-conda", "--conda-create-envs-only", *TARGETS)
    result = run(command(folder, config, *options), conda)
    assert result.returncode == 0, result.stdout
    return folder


def environments(folder: Path) -> dict[str, Path]:
    """Return the prefix of each environment file, told by what Snakemake kept of the file."""
    files = {path.read_text(): path.name for path in (ROOT / "envs").glob("*.yaml")}
    prefixes = {}
    for copy in (folder / ".snakemake/conda").glob("*.yaml"):
        (prefix,) = (path for path in copy.parent.glob(f"{copy.stem}*") if path.is_dir())
        prefixes[files[copy.read_text()]] = prefix
    return prefixes


def test_each_environment_imports_what_it_pins(built, conda):
    prefixes = environments(built)
    # A model of this experiment is on the CPU; CUDA's environment takes gigabytes.
    assert {*prefixes, CUDA} == {path.name for path in (ROOT / "envs").glob("*.yaml")}
    for name, prefix in prefixes.items():
        direct = (ROOT / "envs" / name).read_text().partition("# What those need")[0]
        packages = re.findall(r"- (\S+) ==", direct)
        modules = [MODULES.get(package, package.replace("-", "_")) for package in packages]
        # Isolated: neither this folder nor Snakemake's own packages can stand in.
        result = run([prefix / "bin/python", "-I", "-c", f"import {', '.join(modules)}"], conda)
        assert result.returncode == 0, f"{name}: {result.stdout}"
        others = run([prefix / "bin/python", "-I", "-c", "import snakemake"], conda)
        assert others.returncode != 0, f"{name} sees the packages of {sys.prefix}"


def test_each_environment_holds_the_pinned_packages_and_no_other(built, conda):
    for name, prefix in environments(built).items():
        pins = pip_pins(ROOT / "envs" / name)
        listed = run([prefix / "bin/python", "-I", "-c", LIST], conda)
        assert listed.returncode == 0, listed.stdout
        found = {canonical(package): version for package, version in json.loads(listed.stdout)}
        unpinned = found.keys() - pins.keys() - TOOLS
        # The index's own build of torch brings CUDA's libraries for the CPU too.
        assert not [package for package in unpinned if not CUDA_LIBRARY.match(package)], name
        # A mirror may offer a build of torch with a local version, such as +cpu.
        assert {package: found[package].partition("+")[0] for package in pins} == pins


def test_pip_resolves_the_environment_of_cuda(conda, tmp_path):
    """Resolved, not installed: two gigabytes and no GPU here to use them."""
    pins = yaml.safe_load((ROOT / "envs" / CUDA).read_text())["dependencies"][-1]["pip"]
    (tmp_path / "pins.txt").write_text("\n".join(pins))
    plan = tmp_path / "plan.json"
    options = ("--dry-run", "--ignore-installed", "--quiet", "--report", plan)
    pip = [sys.executable, "-m", "pip", "install", *options]
    probe = run([*pip, "--no-deps", pins[0]], conda)
    if probe.returncode or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip(f"no index with CUDA's build for this machine: {probe.stdout[-200:]}")
    result = run([*pip, "--requirement", tmp_path / "pins.txt"], conda)
    assert result.returncode == 0, result.stdout
    planned = {
        canonical(item["metadata"]["name"]): item["metadata"]["version"]
        for item in json.loads(plan.read_text())["install"]
    }
    assert {package: planned[package] for package in planned.keys() - TOOLS} == pip_pins(
        ROOT / "envs" / CUDA
    )


def test_retrieval_reading_and_evaluation_run_in_their_environments(built, conda, tmp_path):
    config = built / "config.yaml"
    result = run(
        [*command(built, config, "--use-conda", *TARGETS, cores=None), "--cores=all"], conda
    )
    assert result.returncode == 0, result.stdout
    rules = {"collection", "index", "evaluate", "model", "read", "main_table"}
    assert rules <= set(re.findall(r"Rule: (\w+)\)", result.stdout))
    assert result.stdout.count("Activating conda environment") >= len(rules)
    plain = tmp_path / "plain"
    plain.mkdir()
    result = snakemake(plain, write(plain, small), *TARGETS)
    assert result.returncode == 0, result.stdout
    made = sorted(path.relative_to(plain) for path in (plain / "results/runs").rglob("*.run"))
    assert len(made) == 3
    for name in [*made, TARGETS[0]]:
        assert (built / name).read_bytes() == (plain / name).read_bytes(), name
