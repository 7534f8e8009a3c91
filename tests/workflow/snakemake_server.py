"""Starts of Snakemake that import it once: each run is a fork of one process that has it.

Snakemake and the workflow's modules take most of the time of a small run. A fork is a process of
its own, with its own working folder, environment and ``sys.argv``, and ends as the program does.
The server is a fresh interpreter: it has neither pytest's modules nor its threads. What its jobs
import is shared too, see `job_server`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/workflow/config/tiny.yaml"
_server: subprocess.Popen | None = None


def run(
    arguments: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT, code: str | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake with these arguments to its end; stdout and stderr are joined.

    Args:
        arguments: as behind ``python -m snakemake``, or behind ``python -c``.
        env: the whole environment of the run.
        cwd: the working folder.
        code: a program that runs in place of Snakemake's own.
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
        request = [list(arguments), dict(env), str(cwd), shown.name, code]
        _server.stdin.write(json.dumps(request) + "\n")
        _server.stdin.flush()
        answer = _server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server of Snakemake ended with status {_server.wait()}")
        return subprocess.CompletedProcess(arguments, int(answer), shown.read())


def _serve() -> None:
    """Answer each line of stdin, a request, with the status of its run."""
    _prepare()
    answers = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryDirectory(prefix="jobs-") as folder, _jobs(Path(folder) / "socket"):
        _answer_each(answers)


def _prepare() -> None:
    """Do once what every start does: import, and parse what the scripts import."""
    plan = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(TINY), "--dry-run"]
    for name in _loaded_by([*plan, "--quiet", "all"]):
        # asyncio's modules, loaded by name and not by what needs them, break its loop.
        if name.partition(".")[0] not in sys.stdlib_module_names:
            with contextlib.suppress(ImportError):  # a name that a module gave itself
                importlib.import_module(name)
    from headrank.workflow.provenance.code_digest import code_digest

    for script in (ROOT / "workflow/scripts").glob("*.py"):
        code_digest(script, ROOT)
    gc.freeze()


def _answer_each(answers: TextIO) -> None:
    import snakemake.cli

    for line in sys.stdin:
        arguments, env, cwd, shown, code = json.loads(line)
        child = os.fork()
        if not child:
            output = os.open(shown, os.O_WRONLY | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd)
            if code is None:
                _end_as(snakemake.cli.main, ["snakemake", *arguments])
            else:
                own = {"__name__": "__main__"}
                _end_as(lambda _, code=code, own=own: exec(code, own), ["-c", *arguments])
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(f"{status}\n")
        answers.flush()


@contextlib.contextmanager
def _jobs(path: Path) -> Iterator[None]:
    """Let scripts run in forks of a server that listens there, while the block lasts.

    Those of an environment of conda's run in it, as they do everywhere.
    """
    from snakemake.script import PythonScript

    program = [sys.executable, str(ROOT / "tests/workflow/job_server.py")]
    server = subprocess.Popen([*program, "serve", str(path)], stdin=subprocess.PIPE)
    end = time.monotonic() + 300
    while not path.exists():
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server of jobs does not listen (status {server.returncode})")
        time.sleep(0.01)
    start = shlex.join([program[0], "-I", "-S", program[1], "run", str(path)])
    as_program = PythonScript.execute_script

    def execute(script: PythonScript, fname: str, edit: bool = False) -> None:
        if script.conda_env or script.container_img or script.env_modules:
            as_program(script, fname, edit)
        else:
            script._execute_cmd(f"{start} {{fname:q}}", fname=fname, is_python_script=True)

    PythonScript.execute_script = execute
    try:
        yield
    finally:
        server.communicate()


def _end_as(main: Callable[[list[str]], object], argv: list[str]) -> None:
    """End this process with the status that the program's ``main`` ends with."""
    sys.argv = argv
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    status = 1
    try:
        main(argv[1:])
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
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

            _end_as(main, ["snakemake", *arguments, "--directory", folder])
        os.waitpid(child, 0)
        return names.read().split()


if __name__ == "__main__":
    _serve()
