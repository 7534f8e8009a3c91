"""A program named ``conda`` for machines without one: what Snakemake asks of it, made with venv.

The workflow's environments name Python, pip and what pip installs, nothing else. For such a file
an environment is this interpreter's venv with these packages; any other file is refused. So what
is tested is the pins and the jobs that run with them. Conda's own solver and its channels are not.

    python conda_standin.py PREFIX      writes PREFIX/bin/conda and PREFIX/bin/activate
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

VERSION = "26.1.0"
ACTIVATE = """\
export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"
"""
PYTHON = f"python ={sys.version_info.major}.{sys.version_info.minor}"


def create(file: Path, prefix: Path) -> None:
    """Make the environment of a file."""
    import yaml

    *conda, pip = yaml.safe_load(file.read_text())["dependencies"]
    if conda != [PYTHON, "pip"] or list(pip) != ["pip"]:
        sys.exit(f"{file}: the stand-in makes environments of {PYTHON} and pip alone")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(prefix)], check=True)
    requirements = prefix / "requirements.txt"
    requirements.write_text("".join(f"{line}\n" for line in pip["pip"]))
    # As conda runs it: from the environment, and nothing of the caller's path.
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [str(prefix / "bin/python"), *install, "--requirement", str(requirements)],
        env=given,
        check=True,
    )
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/history").touch()


def answer(prefix: Path, arguments: list[str]) -> None:
    """Do what one call asks for."""
    parser = argparse.ArgumentParser(prog="conda")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prefix", "-p", type=Path)
    options, others = parser.parse_known_args(arguments)
    match [word for word in others if not word.startswith("-")]:
        case [] if "--version" in others:
            print(f"conda {VERSION}")
        case ["info"]:
            system = f"{sys.platform}-{'64' if platform.machine() == 'x86_64' else 'aarch64'}"
            print(json.dumps({"conda_prefix": str(prefix), "platform": system}))
        case ["config", "channel_priority"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create"]:
            create(options.file.resolve(), options.prefix.resolve())
        case ["clean"]:
            pass
        case _:
            sys.exit(f"the stand-in does not know: conda {shlex.join(arguments)}")


def write(prefix: Path, python: str) -> None:
    """Write the program, which an interpreter with PyYAML runs, and what activates."""
    (prefix / "bin").mkdir(parents=True)
    program = prefix / "bin/conda"
    words = [python, str(Path(__file__).resolve()), "--as", str(prefix)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    (prefix / "bin/activate").write_text(ACTIVATE)


if __name__ == "__main__":
    if sys.argv[1] == "--as":
        answer(Path(sys.argv[2]), sys.argv[3:])
    else:
        write(Path(sys.argv[1]).resolve(), sys.executable)
