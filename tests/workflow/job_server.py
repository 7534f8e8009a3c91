"""Jobs of the workflow that share what they import: each is a fork of one process that has it.

torch, transformers and their like take most of the time of a small job. A fork is a process of its
own, with its own working folder, environment, output and ``sys.argv``; our own modules it imports
itself, and it ends as the program does. The server is a fresh interpreter: it has neither
pytest's modules nor Snakemake's threads.

    python job_server.py serve SOCKET          answers until its standard input ends
    python -I -S job_server.py run SOCKET SCRIPT    runs a script as `python SCRIPT` would
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys

# What a library reads when it is imported must be the server's: a job to which anything else but
# these is another value than to the server is a plain process.
THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
OWN = {
    *("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "PYTEST_CURRENT_TEST"),
    *("TMPDIR", "TMP", "TEMPDIR", "TEMP", "VECLIB_MAXIMUM_THREADS"),
    *(f"{library}_NUM_THREADS" for library in THREADS),
}
# The server imports offline, as most scripts do. These may fetch, and import little.
FETCHING = ("fetch_archive.py", "build_collection.py")
# No module of HeadRank: that each script imports what it needs is part of what a run shows.
LIBRARIES = (
    *("bm25s", "matplotlib.backends.backend_agg", "matplotlib.figure", "nltk", "numba", "pandas"),
    *("psutil", "pyarrow.parquet", "pydantic", "pytrec_eval", "scipy.sparse", "scipy.stats"),
    *("snakemake.iocontainers", "snakemake.script"),
)
OF_MODELS = (
    *("torch", "safetensors.torch", "transformers", "peft", "gguf"),
    *(f"transformers.models.{name}.modeling_{name}" for name in ("bert", "llama", "qwen3")),
)


def run(server: str, script: str) -> int:
    """Run a script in a fork of the server, or as a program; return its status.

    A script whose environment the server has not, or that may fetch, becomes this process.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server)
        request = {"script": script, "cwd": os.getcwd(), "env": dict(os.environ)}
        data = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(connection, [data], [0, 1, 2])
        if sent < len(data):  # a server that has answered all of it is gone
            connection.sendall(data[sent:])
        with connection.makefile() as answers:
            answer = answers.readline()
    if not answer:
        sys.exit("the server of jobs ended")
    status = json.loads(answer)
    if status is None:
        os.execv(sys.executable, [sys.executable, script])
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def serve(path: str) -> None:
    """Answer each job with the status of its fork until standard input ends.

    A job whose caller is gone is killed: so Snakemake's end is that of its jobs.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen(64)
    os.rename(f"{path}.new", path)  # who finds it is answered
    woken, wake = socket.socketpair()
    for one in (woken, wake):
        one.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    jobs: dict[int, socket.socket] = {}
    env: dict[str, str] | None = None
    while True:
        watched = [sys.stdin, listener, woken, *jobs.values()]
        ready = select.select(watched, [], [])[0]
        gone = [pid for pid, connection in jobs.items() if connection in ready]
        for pid in [*jobs] if sys.stdin in ready else gone:
            os.kill(pid, signal.SIGKILL)
        if sys.stdin in ready:
            return
        if woken in ready:
            woken.recv(4096)
        for pid in [*jobs]:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _answer(jobs.pop(pid), status)
        if listener in ready:
            connection = listener.accept()[0]
            request, streams = _request(connection)
            if env is None:
                env = _inherited(request["env"])
            if _inherited(request["env"]) != env or request["script"].endswith(FETCHING):
                _answer(connection, None)
            else:
                _load(request["env"], request["script"])
                pid = os.fork()
                if not pid:
                    for one in (listener, woken, wake, connection, *jobs.values()):
                        one.close()
                    _end_as(request, streams)
                jobs[pid] = connection
            for stream in streams:
                os.close(stream)


def _answer(connection: socket.socket, status: int | None) -> None:
    """Tell a caller how its job ended, None if it is to run it itself; it may be gone."""
    with connection, contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{json.dumps(status)}\n".encode())


def _request(connection: socket.socket) -> tuple[dict, list[int]]:
    """Return what a caller asks for, and its three streams."""
    data, streams, *_ = socket.recv_fds(connection, 1 << 16, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 16)
    return json.loads(data), streams


def _inherited(env: dict[str, str]) -> dict[str, str]:
    """Return the variables that must be the server's; Snakemake's own are no job's."""
    ours = (name for name in env if name not in OWN and not name.startswith("SNAKEMAKE_"))
    return {name: env[name] for name in ours}


def _end_as(request: dict, streams: list[int]) -> None:
    """End this process, a fork, as `python SCRIPT` ends."""
    import atexit
    import tempfile
    import traceback
    import types

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    tempfile.tempdir = None
    script = request["script"]
    sys.argv = [script]
    sys.path[0] = os.path.dirname(script)
    # As a start of torch takes them from the variable that Snakemake sets for each job.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    status = 1
    try:
        with open(script, "rb") as file:
            exec(compile(file.read(), script, "exec"), vars(main))
        status = 0
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _load(env: dict[str, str], script: str) -> None:
    """Import the libraries that a script of its kind needs, as a job of this environment would."""
    import gc
    import importlib

    os.environ.clear()
    os.environ.update(env, HF_HUB_OFFLINE="1")
    with open(script, encoding="utf-8") as file:
        of_models = script.endswith("prepare_model.py") or "HF_HUB_OFFLINE" in file.read()
    absent = [n for n in LIBRARIES + (OF_MODELS if of_models else ()) if n not in sys.modules]
    for name in absent:
        importlib.import_module(name)
    if absent:
        # A fork that collects garbage would copy all that was loaded.
        gc.freeze()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(run(*sys.argv[2:]))
