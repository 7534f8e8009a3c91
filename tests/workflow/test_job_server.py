"""Jobs in forks of the server of jobs do what jobs in processes of their own do."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.workflow import job_server
from tests.workflow.running import environment

TELL = """
import sys
shared = "pandas" in sys.modules
import json, os, tempfile
import beside
print(json.dumps({
    "shared": shared, "ours": [n for n in sys.modules if n.startswith(("headrank", "tests"))],
    "name": __name__, "arguments": sys.argv, "file": __file__, "folder": os.getcwd(),
    "variables": dict(os.environ), "temporary": tempfile.gettempdir(), "beside": beside.VALUE,
}))
print("beside it", file=sys.stderr)
"""
# Snakemake's variables of a job.
THREADS = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def start():
    """Return a function that starts a script's text in a fork of one server."""
    # The path of a socket has about a hundred bytes at most.
    with tempfile.TemporaryDirectory(prefix="jobs-") as name:
        yield from starts(Path(name))


def starts(folder: Path):
    """Yield the function while the server runs, with its files in a folder."""
    server = subprocess.Popen(
        [sys.executable, job_server.__file__, "serve", str(folder / "socket")],
        stdin=subprocess.PIPE,
    )
    while not (folder / "socket").exists():
        assert server.poll() is None
        time.sleep(0.01)
    client = [sys.executable, "-I", "-S", job_server.__file__, "run", str(folder / "socket")]
    (folder / "beside.py").write_text("VALUE = 3")

    def start(text: str, program: list[str] = client, **variables: str) -> subprocess.Popen:
        script = folder / "tmp123.job.py"
        script.write_text(text)
        return subprocess.Popen(
            [*program, str(script)],
            cwd=folder,
            env=environment() | THREADS | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    yield start
    server.communicate()


def told(process: subprocess.Popen) -> dict:
    shown, beside = process.communicate()
    assert (process.returncode, beside) == (0, "beside it\n")
    return json.loads(shown)


@pytest.mark.slow
def test_a_fork_finds_what_a_process_finds(start, tmp_path):
    own = {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    for variables in ({}, own):
        fork = told(start(TELL, **variables))
        plain = told(start(TELL, [sys.executable], **variables))
        assert (fork.pop("shared"), plain.pop("shared")) == (True, False)
        assert fork["ours"] == []
        assert fork == plain
    assert fork["temporary"] == str(tmp_path)


def test_another_variable_than_the_server_s_makes_it_a_process(start):
    """A library may have read it when it was imported."""
    told(start(TELL))
    found = told(start(TELL, HF_HOME="/elsewhere"))
    assert not found["shared"]
    assert found["variables"]["HF_HOME"] == "/elsewhere"
    assert told(start(TELL))["shared"]


@pytest.mark.parametrize(
    ("text", "status", "shown"),
    [
        ("import sys; sys.exit('this is why')", 1, "this is why\n"),
        ("raise SystemExit(3)", 3, ""),
        ("raise ValueError('that is why')", 1, "ValueError: that is why\n"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_a_fork_fails_as_a_process_does(start, text, status, shown):
    process = start(text)
    assert process.communicate()[1].endswith(shown)
    assert process.returncode == status


def test_a_job_ends_with_its_caller(start):
    process = start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    job = Path("/proc", process.stdout.readline().strip())
    assert job.exists()
    process.kill()
    process.communicate()
    end = time.monotonic() + 60
    while job.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
