"""The queue: its bound, its order, what is dropped, what is read side by side."""

from __future__ import annotations

import http.client
import socket
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from headrank.errors import HeadRankError
from headrank.models.devices import OutOfMemory
from headrank.serve.options import Keys, Limits, is_loopback, listen
from tests.helpers import tiny_models as tiny
from tests.helpers.serving import WaitingRanker, post, running, tiny_ranker, until

DOCUMENTS = ["short", "a longer one"]


def ask(url: str, query: str, documents=DOCUMENTS) -> httpx.Response:
    return post(url, {"query": query, "documents": documents})


def test_a_full_queue_refuses_with_the_time_to_wait_and_loses_nothing():
    ranker = WaitingRanker()
    with running(ranker, limits=Limits(queue=3)) as server, ThreadPoolExecutor(3) as pool:
        inside = [pool.submit(ask, server.url, f"q{number}") for number in range(3)]
        until(lambda: server.gate.inside == 3)
        found = ask(server.url, "one too many")
        assert found.status_code == 429
        assert int(found.headers["retry-after"]) >= 1
        assert "3 requests are inside, this server takes 3" in found.json()["message"]
        # What tells of the server needs no room.
        assert httpx.get(server.url + "/health").status_code == 200
        assert "headrank_inside 3.0" in httpx.get(server.url + "/metrics").text
        ranker.go.set()
        assert [one.result().status_code for one in inside] == [200] * 3
        assert ask(server.url, "there is room again").status_code == 200
    assert "one too many" not in ranker.seen
    assert server.gate.inside == 0


def test_the_time_to_wait_follows_what_requests_took():
    ranker = WaitingRanker()
    with running(ranker, limits=Limits(queue=2)) as server, ThreadPoolExecutor(2) as pool:
        server.gate.worker.seconds = 4.2
        inside = [pool.submit(ask, server.url, f"q{number}") for number in range(2)]
        until(lambda: server.gate.inside == 2)
        assert ask(server.url, "one too many").headers["retry-after"] == "9"
        ranker.go.set()
        assert [one.result().status_code for one in inside] == [200] * 2


def test_what_takes_too_long_gets_504_and_is_not_begun():
    ranker = WaitingRanker()
    with running(ranker, limits=Limits(timeout=0.5)) as server, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, server.url, "runs")
        until(lambda: ranker.seen == ["runs"])
        second = pool.submit(ask, server.url, "waits")
        assert [one.result().status_code for one in (first, second)] == [504, 504]
        assert "was being read" in first.result().json()["message"]
        assert "still waited" in second.result().json()["message"]
        assert server.gate.worker.waiting == 0
        ranker.go.set()
        assert ask(server.url, "next").status_code == 200
    assert ranker.seen == ["runs", "next"]


def test_the_job_of_a_client_that_left_is_dropped():
    ranker = WaitingRanker()
    with running(ranker) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, server.url, "runs")
        until(lambda: ranker.seen == ["runs"])
        port = int(server.url.rpartition(":")[2])
        body = b'{"query": "left", "documents": ["a", "b"]}'
        head = b"POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            until(lambda: server.gate.worker.waiting == 1)
        until(lambda: server.gate.worker.waiting == 0)
        until(lambda: server.gate.inside == 1)
        ranker.go.set()
        assert first.result().status_code == 200
        text = httpx.get(server.url + "/metrics").text
    assert ranker.seen == ["runs"]
    assert 'headrank_requests_total{method="POST",route="/rerank",status="499"} 1.0' in text


def test_one_request_s_fault_is_nobody_else_s():
    ranker = WaitingRanker()
    with running(ranker, limits=Limits(batch_tokens=10_000)) as server:
        with ThreadPoolExecutor(8) as pool:
            first = pool.submit(ask, server.url, "first")
            until(lambda: ranker.seen == ["first"])
            queries = ["good", "fail", "refuse", "attention", "unfit", "other", "fine"]
            others = []
            for number, query in enumerate(queries, start=1):
                others.append(pool.submit(ask, server.url, query))
                until(lambda number=number: server.gate.worker.waiting == number)
            ranker.go.set()
            found = [one.result() for one in (first, *others)]
        assert httpx.get(server.url + "/health").status_code == 200
    assert [one.status_code for one in found] == [200, 200, 500, 422, 500, 422, 500, 200]
    assert found[3].json()["message"] == "the list is too long; send fewer documents"
    assert found[5].json()["message"] == "send shorter documents"
    for one in (found[2], found[4], found[6]):
        told = one.json()
        assert told["message"] == f"the server failed; its log has more under {told['id']}"


class FullRanker(WaitingRanker):
    """Has memory for one list at a time, and none for some.

    Attributes:
        held: for each pass, if what the one before it took was still there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken, self.held = None, []

    def rerank_lists(self, lists, *, batch: int = 1):
        lists = list(lists)
        self.held.append(self.taken is not None and self.taken() is not None)
        memory = np.zeros(8)
        self.taken = weakref.ref(memory)
        if len(lists) > 1:
            raise OutOfMemory("two lists do not fit")
        yield from super().rerank_lists(lists, batch=batch)


def test_lists_that_do_not_fit_together_are_read_alone_in_the_memory_that_they_had():
    ranker = FullRanker()
    limits = Limits(batch_tokens=10_000)
    with running(ranker, limits=limits) as server, ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, server.url, "first")
        until(lambda: ranker.seen == ["first"])
        others = []
        for number, query in enumerate(["memory", "good"], start=1):
            others.append(pool.submit(ask, server.url, query))
            until(lambda number=number: server.gate.worker.waiting == number)
        ranker.go.set()
        found = [one.result() for one in (first, *others)]
    assert [one.status_code for one in found] == [200, 422, 200]
    assert "needs more memory than this server has" in found[1].json()["message"]
    assert ranker.held == [False] * 4


def test_waiting_requests_are_read_side_by_side_within_the_budget():
    ranker = WaitingRanker()
    tokens = sum(map(len, DOCUMENTS))
    limits = Limits(batch_tokens=3 * tokens)
    with running(ranker, limits=limits) as server, ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, server.url, "first")
        until(lambda: ranker.seen == ["first"])
        others = []
        for number in range(1, 8):
            # The last but one is longer than the budget: it is read alone.
            documents = ["x" * 4 * tokens, "y"] if number == 6 else DOCUMENTS
            others.append(pool.submit(ask, server.url, f"q{number}", documents))
            until(lambda number=number: server.gate.worker.waiting == number)
        ranker.go.set()
        assert {one.result().status_code for one in (first, *others)} == {200}
    assert ranker.batches == [1, 3, 2, 1, 1]
    assert ranker.seen == ["first", *(f"q{number}" for number in range(1, 8))]


def test_side_by_side_scores_equal_the_library_s_up_to_rounding():
    ranker = tiny_ranker()
    queries = [f"what does a policy pay {number} " + "more " * number for number in range(6)]
    with running(ranker, limits=Limits(batch_tokens=4096)) as server, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda query: ask(server.url, query, tiny.TEXTS), queries))
    for query, answer in zip(queries, answers, strict=True):
        alone = {one.index: one.score for one in ranker.rerank(query, tiny.TEXTS)}
        found = {one["index"]: one["relevance_score"] for one in answer.json()["results"]}
        assert found == pytest.approx(alone, rel=1e-4)


def test_the_server_answers_while_the_model_reads():
    ranker = WaitingRanker()
    with running(ranker) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, server.url, "runs")
        until(lambda: ranker.seen == ["runs"])
        begun = time.monotonic()
        for _ in range(20):
            assert httpx.get(server.url + "/health").status_code == 200
        assert time.monotonic() - begun < 30 and not first.done()
        ranker.go.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queue": 0}, "queue is 0; give more than 0"),
        ({"timeout": -1.0}, "timeout is -1.0; give more than 0"),
        ({"batch_tokens": -1}, "batch_tokens is -1; give 0 or more"),
    ],
)
def test_bounds_that_let_nothing_in_are_refused(changes, message):
    with pytest.raises(HeadRankError, match=message):
        Limits(**changes)


@pytest.mark.parametrize("key", ["short", "with a space in between", "Schlüssel-0123456789"])
def test_keys_that_protect_nothing_are_refused(key):
    with pytest.raises(HeadRankError, match="API key 1"):
        Keys([key])


def test_the_key_is_compared_in_constant_time_with_each_key(monkeypatch):
    compared = []
    monkeypatch.setattr(
        "headrank.serve.options.hmac.compare_digest",
        lambda one, other: compared.append(len(one)) or one == other,
    )
    keys = Keys(["first-key-0123456789", "second-key-0123456789"])
    assert keys.admits(b"Bearer first-key-0123456789")
    assert not keys.admits(b"Bearer x")
    assert not keys.admits(None)
    assert compared == [32] * 6


def test_hosts_of_this_machine_alone_are_told_from_others():
    assert all(map(is_loopback, ("127.0.0.1", "127.5.0.1", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1")))
    with pytest.raises(HeadRankError, match="has no address"):
        is_loopback("no.such.host.invalid")


def test_a_port_that_is_taken_is_told():
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(HeadRankError, match=f"port {port} of 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)


def test_a_connection_that_asks_nothing_is_closed():
    """Silent ones would take the room of everybody."""
    ranker = WaitingRanker()
    ranker.go.set()
    with running(ranker, limits=Limits(timeout=0.5)) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.settimeout(30)
            assert silent.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.settimeout(30)
            half.sendall(b"POST /rerank HTTP/1.1\r\nHost:")
            assert half.recv(1) == b""
        # Answered requests buy no time for the half of another.
        again = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(2):
            again.request("GET", "/health")
            assert again.getresponse().read()
        again.sock.sendall(b"G")
        assert again.sock.recv(1) == b""
        again.close()
        assert ask(server.url, "still here").status_code == 200


def test_a_worker_without_a_list_ends_at_once():
    ranker = WaitingRanker()
    with running(ranker) as server:
        assert server.gate.worker.stop(timeout=30)
