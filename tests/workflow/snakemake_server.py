"""Starts of Snakemake that import it once: each run is a fork of one process that has it.

Snakemake and the workflow's modules take most of the time of a small run. A fork is a process of
its own, with its own working folder, environment and ``sys.argv``, and ends as the program does.
The server is a fresh interpreter: it has neither pytest's modules nor its threads.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_server: subprocess.Popen | None = None


def run(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT
) -> subprocess.CompletedProcess:
    """Run Snakemake with these arguments to its end; stdout and stderr are joined.

    Args:
        arguments: as behind ``python -m snakemake``.
        env: the whole environment of the run.
        cwd: the working folder.
    """
    global _server
    if _server is None or _server.poll() is not None:
        _server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(_server.communicate)
    with tempfile.NamedTemporaryFile("r", prefix="snakemake-", suffix=".log") as shown:
        request = [list(arguments), dict(env), str(cwd), shown.name]
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server of Snakemake ended with status {_server.wait()}")
        return subprocess.CompletedProcess(arguments, int(answer), shown.read())


def _serve() -> None:
    """Answer each line of stdin, a request, with the status of its run."""
    import snakemake.cli

    # What every start loads, by what a first one has loaded in the end.
    for name in _loaded_by(["--snakefile", str(ROOT / "Snakefile"), "--list-target-rules"]):
        if name.startswith(("headrank.", "snakemake.")):
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        arguments, env, cwd, shown = json.loads(line)
        child = os.fork()
        if not child:
            output = os.open(shown, os.O_WRONLY | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd)
            _end_as(snakemake.cli.main, arguments)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{status}\n")
        answers.flush()


def _end_as(main, arguments: list[str]) -> None:
    """End this process with the status that the program's ``main`` ends with."""
    sys.argv = ["snakemake", *arguments]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    status = 1
    try:
        main(arguments)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _loaded_by(arguments: list[str]) -> list[str]:
    """Return the names of all modules that a run with these arguments loads."""
    with tempfile.NamedTemporaryFile("r") as names, tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            import snakemake.cli

            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)

            def main(arguments: list[str]) -> None:
                try:
                    snakemake.cli.main(arguments)
                finally:
                    Path(names.name).write_text("\n".join(sorted(sys.modules)))

            _end_as(main, [*arguments, "--directory", folder])
        os.waitpid(child, 0)
        return names.read().split()


if __name__ == "__main__":
    _serve()
