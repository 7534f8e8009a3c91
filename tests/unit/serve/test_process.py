"""``headrank serve`` as a process: many clients at once, signals, keys, faults before it serves."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import torch

from headrank.cli import main, serve
from headrank.cli.serve import api_keys
from headrank.errors import HeadRankError
from tests.helpers import command_line
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import refused
from tests.helpers.serving import KEY, process, tiny_ranker, until

heads, model = command_line.heads, command_line.model
CLIENTS, REQUESTS = 64, 256
SECONDS = float(os.environ.get("HEADRANK_SERVE_SECONDS", 0))


@pytest.fixture
def arguments(model, heads) -> list[str]:
    return ["--model", model, "--heads", heads, "--name", "tiny", "--port", "0"]


def body(number: int) -> dict:
    """Return a request; 40 differ, in length too."""
    texts = tiny.TEXTS[: 2 + number % 5]
    return {"query": f"what does a policy pay {number % 8}", "documents": list(texts)}


async def ask_all(url: str, requests: int, seconds: float = 0) -> list[tuple[int, httpx.Response]]:
    """Send requests from all clients at once; return each answer with its number.

    Args:
        requests: so many are sent, and more until the seconds are over.
    """
    end = time.monotonic() + seconds
    left = itertools.takewhile(
        lambda number: number < requests or time.monotonic() < end, itertools.count()
    )
    found = []

    async def client() -> None:
        async with httpx.AsyncClient(timeout=120) as own:
            for number in left:
                found.append((number, await own.post(url + "/v1/rerank", json=body(number))))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return found


@pytest.mark.slow
def test_64_clients_lose_nothing_and_memory_stays_bounded(arguments):
    """HEADRANK_SERVE_SECONDS=60 makes it a minute, and `pytest -s` shows what was counted."""
    torch.set_num_threads(1)  # as the server
    ranker = tiny_ranker()
    expected = [
        [(one.index, one.score) for one in ranker.rerank(**_arguments(body(number)))]
        for number in range(40)
    ]
    with process(*arguments) as server:
        asyncio.run(ask_all(server.url, CLIENTS))
        before, began = server.memory(), time.monotonic()
        found = asyncio.run(ask_all(server.url, REQUESTS, SECONDS))
        took, after = time.monotonic() - began, server.memory()
        text = httpx.get(server.url + "/metrics").text
    sent = len(found)
    print(f"{sent} requests from {CLIENTS} clients in {took:.0f} s;", end=" ")
    print(f"resident memory {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")
    assert sent >= REQUESTS
    assert sorted(number for number, _ in found) == list(range(sent))
    assert {answer.status_code for _, answer in found} == {200}
    for number, answer in found:
        results = [(one["index"], one["relevance_score"]) for one in answer.json()["results"]]
        assert results == expected[number % 40]
    assert len({answer.json()["id"] for _, answer in found}) == sent
    assert after - before < 64 * 2**20
    counted = f'requests_total{{method="POST",route="/v1/rerank",status="200"}} {sent + CLIENTS}.0'
    assert counted in text


def _arguments(request: dict) -> dict:
    return {"query": request["query"], "passages": request["documents"]}


@pytest.mark.slow
def test_sigterm_answers_what_is_inside_and_refuses_what_is_new(arguments):
    long = {"query": "what does a policy pay", "documents": [tiny.TEXTS[0]] * 12}
    with process(*arguments) as server, ThreadPoolExecutor(40) as pool:

        def ask() -> int:
            return httpx.post(server.url + "/rerank", json=long, timeout=120).status_code

        assert ask() == 200
        inside = [pool.submit(ask) for _ in range(40)]
        until(lambda: "headrank_inside 0.0" not in httpx.get(server.url + "/metrics").text)
        # A connection that is open when the signal comes.
        with httpx.Client() as client:
            client.get(server.url + "/health")
            server.popen.send_signal(signal.SIGTERM)
            until(lambda: server.events("stopping"))
            found = [future.result() for future in inside]
        assert server.wait() == 0
        (stopping,), (stopped,) = server.events("stopping"), server.events("stopped")
    assert stopping["inside"] > 1 and stopped["unanswered"] == 0
    assert found.count(200) >= stopping["inside"]
    assert set(found) <= {200, 503}


@pytest.mark.slow
def test_while_it_stops_new_requests_get_503_and_a_second_signal_ends_it(arguments):
    with process(*arguments, "--grace", "1000", "--timeout", "1000") as server:
        port = int(server.url.rpartition(":")[2])
        head = b"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port)) as client:
            # Its body never comes, so it stays inside.
            client.sendall(head + b"Content-Length: 100\r\n\r\n{")
            until(lambda: "headrank_inside 1.0" in httpx.get(server.url + "/metrics").text)
            server.popen.send_signal(signal.SIGTERM)
            until(lambda: server.events("stopping"))
            found = httpx.post(server.url + "/rerank", json=body(0))
            assert (found.status_code, found.headers["retry-after"]) == (503, "1000")
            assert "the server is stopping" in found.json()["message"]
            health = httpx.get(server.url + "/health")
            assert (health.status_code, health.json()["status"]) == (503, "stopping")
            assert server.popen.poll() is None
            server.popen.send_signal(signal.SIGINT)
            assert server.wait() == 1
    assert server.events("stopped")[0]["unanswered"] == 1


@pytest.mark.slow
def test_killed_it_starts_again_at_the_same_port(arguments):
    with process(*arguments) as server:
        port = server.url.rpartition(":")[2]
        first = httpx.post(server.url + "/rerank", json=body(3)).json()
        stop = threading.Event()

        def trouble() -> None:
            while not stop.is_set():
                try:
                    httpx.post(server.url + "/rerank", json=body(3), timeout=60)
                except httpx.TransportError:
                    time.sleep(0.01)

        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(trouble)
            until(lambda: len(server.events("request")) > 10)
            server.popen.send_signal(signal.SIGKILL)
            server.wait()
            stop.set()
    arguments[arguments.index("--port") + 1] = port
    with process(*arguments) as server:
        assert server.url.endswith(port)
        again = httpx.post(server.url + "/rerank", json=body(3)).json()
    assert again["results"] == first["results"]


@pytest.mark.slow
def test_stored_documents_outlive_the_server_and_change_no_score(arguments, tmp_path):
    stored = [*arguments, "--layout", "block", "--store", str(tmp_path / "store")]
    found, counts = [], []
    for options in ([*arguments, "--layout", "block"], stored, stored):
        with process(*options) as server:
            found.append(httpx.post(server.url + "/rerank", json=body(4)).json()["results"])
            counts.append(httpx.get(server.url + "/metrics").text)
    assert found[0] == found[1] == found[2]
    documents = len(body(4)["documents"])
    assert "headrank_store" not in counts[0]
    assert f"headrank_store_misses {documents}.0" in counts[1]
    assert f"headrank_store_hits {documents}.0" in counts[2]
    assert "headrank_store_misses 0.0" in counts[2]


@pytest.mark.slow
def test_a_key_of_the_environment_opens_other_addresses(arguments):
    with process(*arguments, "--host", "0.0.0.0", HEADRANK_API_KEY=KEY) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.post(url + "/rerank", json=body(0)).status_code == 401
        headers = {"Authorization": f"Bearer {KEY}"}
        assert httpx.post(url + "/rerank", json=body(0), headers=headers).status_code == 200
        assert KEY.encode() not in open(f"/proc/{server.popen.pid}/cmdline", "rb").read()
        assert KEY not in str(server.lines)


def test_other_addresses_without_a_key_are_refused(arguments, capsys, monkeypatch):
    monkeypatch.delenv("HEADRANK_API_KEY", raising=False)
    said = refused(capsys, ["serve", *arguments, "--host", "0.0.0.0"])
    assert "no API key is set: give one with --api-key-file or HEADRANK_API_KEY" in said
    assert "--without-key" in said


def test_faults_are_told_before_the_model_is_loaded(arguments, capsys, monkeypatch):
    monkeypatch.setattr(serve, "load", lambda args: pytest.fail("the model was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments[-1] = str(taken.getsockname()[1])
        assert "cannot be used" in refused(capsys, ["serve", *arguments])
    assert "no address" in refused(capsys, ["serve", *arguments, "--host", "no.such.invalid"])
    assert "timeout is 0.0" in refused(capsys, ["serve", *arguments, "--timeout", "0"])


def test_sigterm_while_the_model_is_loaded_ends_it(arguments, monkeypatch):
    """Even where it is the first process of a container, which gets no signal without a handler."""
    kept = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(serve, "load", lambda args: signal.raise_signal(signal.SIGTERM))
    # Else a missing handler would end the test's own process.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["serve", *arguments])
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert ended.value.code == 143


def test_without_its_extra_it_says_what_to_install(arguments, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)
    said = refused(capsys, ["serve", *arguments])
    assert 'pip install "fastapi>=0.165" (HeadRank\'s extra serve)' in said


def test_keys_come_from_a_file_and_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("HEADRANK_API_KEY", raising=False)
    assert api_keys(None) == []
    (tmp_path / "keys").write_text("one\n\n two \n")
    assert api_keys(str(tmp_path / "keys")) == ["one", "two"]
    monkeypatch.setenv("HEADRANK_API_KEY", "three")
    assert api_keys(str(tmp_path / "keys")) == ["one", "two", "three"]
    monkeypatch.setenv("HEADRANK_API_KEY", " ")
    with pytest.raises(HeadRankError, match="HEADRANK_API_KEY is set to nothing"):
        api_keys(None)
    (tmp_path / "keys").write_text("\n")
    with pytest.raises(HeadRankError, match="holds no API key"):
        api_keys(str(tmp_path / "keys"))
