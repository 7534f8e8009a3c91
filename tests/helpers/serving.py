"""Servers for tests: one in a thread of this process, one as a process, and a ranker that waits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from headrank.data.candidates import CandidateList
from headrank.errors import HeadRankError, HostFault, Unfit
from headrank.models.devices import OutOfMemory
from headrank.ranker.ranker import HeadRanker
from headrank.ranker.ranking import RankedPassage, ranked
from headrank.serve.app import make_app
from headrank.serve.gate import Gate
from headrank.serve.options import Limits, listen
from headrank.serve.server import config
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import HEADS, ROOT

KEY = "a-key-of-the-tests-0123456789"
JSON = "application/json"
QUERY = "what does a policy pay"
LIMITS = Limits(documents=8, characters=2000, body=20_000)
SECONDS = 120  # that a test waits for what must happen


def tiny_ranker(**options: object) -> HeadRanker:
    """Return a ranker of random weights that says nothing of cut passages."""
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), HEADS, **options)
    ranker.quiet = True
    return ranker


class WaitingRanker:
    """Ranks by length once it is let; fails where a text says so.

    Attributes:
        go: set, it ranks without waiting.
        seen: queries in the order in which they were read, and how many were read at once.
    """

    def __init__(self) -> None:
        self.go, self.seen, self.batches = threading.Event(), [], []

    def work(self, candidates: CandidateList) -> tuple[int, int]:
        if candidates.query == "refuse":
            raise HeadRankError("the list is too long; send fewer documents")
        return 1, sum(len(passage.text) for passage in candidates.passages)

    def rerank_lists(self, lists, *, batch: int = 1) -> Iterator[list[RankedPassage]]:
        lists = list(lists)
        self.batches.append(len(lists))
        self.seen += [one.query for one in lists]
        assert self.go.wait(SECONDS)
        for one in lists:
            if one.query == "fail":
                raise ValueError("of the text: fail")
            if one.query == "attention":
                raise HostFault("the attention is NaN; use dtype float32")
            if one.query == "unfit":
                raise Unfit("of the text: unfit; select other heads", "send shorter documents")
            if one.query == "other":
                raise HeadRankError("of the text: other")
            if one.query == "memory":
                raise OutOfMemory("the list does not fit; use dtype bfloat16")
            scores = np.array([float(len(passage.text)) for passage in one.passages])
            yield ranked(one, scores, dict.fromkeys(one.doc_ids, (1, 1)))


@dataclass
class Running:
    """An application that is served by a thread."""

    gate: Gate
    url: str


@contextlib.contextmanager
def running(ranker, names=("tiny",), **options) -> Iterator[Running]:
    """Serve a ranker on a free port of this machine."""
    gate = make_app(ranker, names, **options)
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(config(gate))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Running(gate, f"http://127.0.0.1:{bound.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        gate.worker.stop(SECONDS)


def until(true) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class Process:
    """``headrank serve`` as a process, its log kept line by line."""

    popen: subprocess.Popen
    lines: list[dict] = field(default_factory=list)
    url: str = ""

    def wait(self) -> int:
        """Return the exit code."""
        return self.popen.wait(SECONDS)

    def memory(self) -> int:
        """Return the bytes of memory that the process has now."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def events(self, name: str) -> list[dict]:
        """Return the log's events of a name."""
        return [line for line in self.lines if line["event"] == name]

    def _follow(self) -> None:
        for line in self.popen.stdout:
            self.lines.append(json.loads(line))


@contextlib.contextmanager
def process(*arguments: str, **variables: str) -> Iterator[Process]:
    """Run the command on the tiny model; kill what is left of it at the end."""
    call = [sys.executable, "-m", "headrank.cli", "serve", "--threads", "1", *arguments]
    made = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    popen = subprocess.Popen(
        call, env=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    found = Process(popen)
    reader = threading.Thread(target=found._follow, daemon=True)
    reader.start()
    try:
        until(lambda: found.events("listening") or popen.poll() is not None)
        if popen.poll() is None:
            (listening,) = found.events("listening")
            found.url = f"http://{listening['host']}:{listening['port']}"
        yield found
    finally:
        if popen.poll() is None:
            popen.send_signal(signal.SIGKILL)
        popen.wait(SECONDS)
        reader.join(SECONDS)
        popen.stdout.close()
        popen.stderr.close()


def post(url: str, body: object = None, path: str = "/v1/rerank", **more) -> httpx.Response:
    """Send a JSON body."""
    return httpx.post(url + path, json=body, timeout=60, **more)


def expected(
    ranker, documents=tiny.TEXTS, query="what does a policy pay"
) -> list[tuple[int, float]]:
    """Return places and scores of the library alone, best first."""
    return [(one.index, one.score) for one in ranker.rerank(query, documents)]


def pairs(results) -> list[tuple[int, float]]:
    """Return places and scores of an answer, in its order."""
    return [(one["index"], one["relevance_score"]) for one in results]
