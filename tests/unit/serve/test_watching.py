"""What a server tells of itself, over a socket: health, models, counts, log and description."""

from __future__ import annotations

import io
import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrank.ranker.ranker import HeadRanker
from headrank.reading.document_store import DocumentStore
from headrank.serve import log
from headrank.serve.app import read_of
from headrank.serve.options import Limits
from tests.helpers import tiny_models as tiny
from tests.helpers.serving import QUERY, WaitingRanker, expected, pairs, post, running, tiny_ranker


@pytest.fixture(scope="module")
def url():
    with running(tiny_ranker(), ("tiny", "rerank-tiny"), limits=Limits(documents=8)) as server:
        yield server.url


def test_health_and_models_tell_what_is_served(url):
    assert httpx.get(url + "/health").json()["status"] == "ok"
    first, second = httpx.get(url + "/v1/models").json()["data"]
    assert (first["id"], second["id"]) == ("tiny", "rerank-tiny")
    assert (first["method"], first["heads"], first["limits"]["documents"]) == ("headrank", 3, 8)


def test_all_heads_are_a_number_too():
    ranker = HeadRanker.from_pretrained(tiny.folder("qwen3"), method="icr")
    assert read_of(ranker)["heads"] == ranker.model.layers * ranker.model.heads
    with running(ranker) as server:
        text = httpx.get(server.url + "/metrics").text
    assert f'heads="{read_of(ranker)["heads"]}"' in text


def test_counts_are_what_prometheus_reads():
    stored = tiny_ranker(prompt={"layout": "block"}, store=DocumentStore(2**24))
    with running(stored) as server:
        for _ in range(2):
            found = post(server.url, {"query": QUERY, "documents": tiny.TEXTS})
            alone = tiny_ranker(prompt={"layout": "block"})
            assert pairs(found.json()["results"]) == expected(alone)
        httpx.get(server.url + "/secret/of/a/user")
        found = httpx.get(server.url + "/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    samples = {
        (one.name, *sorted(one.labels.values())): one.value
        for family in text_string_to_metric_families(found.text)
        for one in family.samples
    }
    assert samples["headrank_requests_total", "/v1/rerank", "200", "POST"] == 2
    assert samples["headrank_requests_total", "404", "GET", "other"] == 1
    assert samples["headrank_documents_total",] == 2 * len(tiny.TEXTS)
    assert samples["headrank_read_seconds_count",] == 2
    assert samples["headrank_store_hits",] == len(tiny.TEXTS)
    assert samples["headrank_store_misses",] == len(tiny.TEXTS)
    assert samples["process_resident_memory_bytes",] > 0
    assert "secret" not in found.text


def test_the_log_holds_counts_and_no_text():
    stream = io.StringIO()
    log.begin(stream)
    ranker = WaitingRanker()
    ranker.go.set()
    with running(ranker, limits=Limits(characters=1000)) as server:
        secret = "swordfish"
        documents = [f"{secret} {number}" for number in range(3)]
        post(server.url, {"query": secret, "documents": documents, "model": "tiny"})
        post(server.url, {"query": secret, "documents": documents, "model": secret})
        post(server.url, {"query": secret, "documents": [secret * 1000]})
        post(server.url, {"query": secret, secret: documents})
        post(server.url, {"query": "fail", "documents": documents})
        post(server.url, {"query": "attention", "documents": documents})
        post(server.url, {"query": "other", "documents": documents})
        post(server.url, content=secret.encode(), headers={"X-Request-ID": secret})
        httpx.get(f"{server.url}/{secret}?q={secret}", headers={"User-Agent": secret})
        httpx.request(secret.upper(), server.url)
    text = stream.getvalue()
    assert "swordfish" not in text.lower()
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 404, 422, 422, *[500] * 3, 422, 404, 404]
    first = requests[0]
    assert (first["documents"], first["characters"], first["route"]) == (3, 42, "/v1/rerank")
    assert first["read"] <= first["seconds"]
    fault, host, other = [line for line in lines if line["event"] == "fault"]
    assert [one["error"] for one in (fault, host, other)] == [
        "ValueError",
        "HostFault",
        "HeadRankError",
    ]
    assert host["message"] == "the attention is NaN; use dtype float32"
    assert host["id"] == requests[5]["id"]
    assert "message" not in fault | other
    assert "of the text" not in text
    assert any("rerank_lists" in place for place in fault["places"])


def test_the_description_of_the_endpoints_is_whole(url):
    found = httpx.get(url + "/openapi.json").json()
    assert {"/v1/rerank", "/v2/rerank", "/rerank", "/health", "/metrics"} <= found["paths"].keys()
    (body,) = found["paths"]["/v1/rerank"]["post"]["requestBody"]["content"].values()
    assert body["schema"]["$ref"].rpartition("/")[2] in found["components"]["schemas"]
    assert "429" in found["paths"]["/v1/rerank"]["post"]["responses"]
