"""What make installs, and from where."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def planned(*variables: str) -> str:
    """Return the commands of `make environment` from nothing."""
    call = ["make", "--always-make", "--dry-run", "environment", *variables]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_torch_comes_first_and_from_the_index_that_is_named():
    lines = [line for line in planned().splitlines() if " install " in line]
    assert lines[0].endswith(" torch==2.13.0") and "index" not in lines[0]
    assert "--requirement requirements.lock" in lines[1]
    named = planned("TORCH_INDEX=https://example.org/cpu", "TORCH=torch==2.13.0+cpu")
    assert "--extra-index-url https://example.org/cpu torch==2.13.0+cpu\n" in named


@pytest.mark.parametrize("build", ["2.13.0+cpu", "2.13.0+cu130"])
def test_pip_prefers_a_build_of_the_named_index_to_the_plain_one(tmp_path, build):
    for index, version in (("plain", "2.13.0"), ("named", build)):
        folder = tmp_path / index / "torch"
        folder.mkdir(parents=True)
        name = f"torch-{version}-py3-none-any.whl"
        with zipfile.ZipFile(folder / name, "w") as wheel:
            parts = {"METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"}
            parts |= {"WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
            for part, text in (parts | {"RECORD": ""}).items():
                wheel.writestr(f"torch-{version}.dist-info/{part}", text)
        (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
    call = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--quiet"]
    call += ["--no-deps", "--ignore-installed", "--report", "-"]
    call += ["--index-url", (tmp_path / "plain").as_uri()]
    call += ["--extra-index-url", (tmp_path / "named").as_uri(), "torch==2.13.0"]
    # Neither a file of settings nor a variable of this machine names another index.
    made = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)}
    told = subprocess.run(call, env=made, capture_output=True, text=True, check=True).stdout
    (chosen,) = json.loads(told)["install"]
    assert chosen["metadata"]["version"] == build


@pytest.mark.parametrize(
    ("version", "taken"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)]
)
def test_the_pythons_that_make_takes(tmp_path, version, taken):
    """A stand-in answers for another version; it fails where it is asked to make the folder."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nif sys.argv[1] != '-c': sys.exit('asked to work')\n"
        f"sys.version_info = {version}\nexec(sys.argv[2])\n"
    )
    python.chmod(0o755)
    call = ["make", "environment", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ("asked to work" in done.stderr) == taken
    assert ("Python 3.11 to 3.13 is needed" in done.stdout) == (not taken)


def newest_python(
    tmp_path, minutes: int, *more: str, **scripts: str
) -> subprocess.CompletedProcess:
    """Run CI's step on the newest Python, with stand-ins for all that it would install and test."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mktemp", "timeout", "rm", "mkdir"):
        (tools / name).symlink_to(shutil.which(name))
    for name, text in {"git": 'mkdir -p "$4"', **scripts}.items():
        (tools / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (tools / name).chmod(0o755)
    call = [shutil.which("bash"), str(ROOT / ".ci/newest-python"), str(minutes), *more]
    made = {"PATH": str(tools), "HOME": str(tmp_path)}
    return subprocess.run(call, env=made, capture_output=True, text=True, check=False)


def test_ci_says_when_no_newer_python_was_tested(tmp_path):
    # pyenv's stand-in for a version that is not chosen.
    done = newest_python(tmp_path, 35, **{"python3.13": "echo not found >&2; exit 127"})
    assert done.returncode == 0 and done.stdout.startswith("NOT RUN: neither Python 3.13")


def test_ci_says_when_no_time_is_left_for_a_newer_python(tmp_path):
    done = newest_python(tmp_path, 9, **{"python3.12": "echo 3.12", "make": "exit 3"})
    assert done.returncode == 0 and "NOT RUN on python3.12: 9 minutes are left" in done.stdout


@pytest.mark.parametrize(("ends", "code"), [("exit 0", 0), ("exit 2", 2), ("exit 124", 0)])
def test_ci_fails_where_a_test_fails_on_the_newest_python(tmp_path, ends, code):
    told = f'echo "$PYTEST_ADDOPTS $*"; {ends}'
    done = newest_python(tmp_path, 35, **{"python3.13": "echo 3.13", "make": told})
    assert done.returncode == code
    assert "--exitfirst -C" in done.stdout and "test-fast PYTHON=python3.13" in done.stdout
    assert ("NOT RUN to the end" in done.stdout) == (ends == "exit 124")


@pytest.mark.parametrize(
    ("pip", "ends", "code", "told"),
    [
        ("exit 0", "exit 0", 0, "The fast, torch-free tests on 3.13, at most 8 minutes"),
        ("exit 0", "exit 1", 1, "The fast, torch-free tests on 3.13"),
        ("exit 0", "exit 124", 0, "NOT RUN to the end on python3.13"),
        ("exit 1", "exit 1", 0, "NOT RUN on python3.13: the lock could not be installed there."),
        ("exit 124", "exit 1", 0, "NOT RUN on python3.13: the lock could not be installed there."),
    ],
)
def test_ci_tests_what_needs_no_torch_on_the_newest_python(tmp_path, pip, ends, code, told):
    made = f"""
case "$*" in
  "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"
    printf '#!/bin/bash\\necho "pip $*"; {pip}' > "$3/bin/pip"; chmod +x "$3/bin/pip" ;;
  "-m pytest"*) echo "$PYTHONPATH $PYTEST_ADDOPTS $*"; {ends} ;;
  *) echo 3.13 ;;
esac"""
    tools = {
        "python3.13": made,
        "sed": 'exec /bin/sed "$@"',
        "cp": 'exec /bin/cp "$@"',
        "chmod": 'exec /bin/chmod "$@"',
    }
    done = newest_python(tmp_path, 16, "without-torch", **tools)
    assert done.returncode == code, done.stderr
    assert told in done.stdout
    ran = f"{ROOT}/.ci/without-torch --exitfirst -m pytest -m not slow"
    assert (ran in done.stdout) == (pip == "exit 0")


def test_without_torch_a_test_that_imports_it_is_skipped(tmp_path):
    (tmp_path / "test_a.py").write_text("import torch\n\ndef test_a():\n    assert False\n")
    (tmp_path / "test_b.py").write_text(
        "def test_b():\n    import torch\n    assert False\n\ndef test_c():\n    pass\n"
    )
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT / ".ci/without-torch"), "PATH": os.environ["PATH"]}
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed, 2 skipped" in done.stdout, done.stdout
