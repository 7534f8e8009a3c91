"""Requests as clients send them, over a socket: answers, refusals, keys, log and counts."""

from __future__ import annotations

import io
import json

import cohere
import httpx
import pytest
from cohere.core.api_error import ApiError
from prometheus_client.parser import text_string_to_metric_families

from headrank.reading.document_store import DocumentStore
from headrank.serve import log
from headrank.serve.options import Keys, Limits
from tests.helpers import tiny_models as tiny
from tests.helpers.serving import KEY, WaitingRanker, running, tiny_ranker

QUERY = "what does a policy pay"
LIMITS = Limits(documents=8, characters=2000, body=20_000)


@pytest.fixture(scope="module")
def ranker():
    return tiny_ranker()


@pytest.fixture(scope="module")
def url(ranker):
    with running(ranker, ("tiny", "rerank-tiny"), limits=LIMITS) as server:
        yield server.url


def post(url: str, body: object = None, path: str = "/v1/rerank", **more) -> httpx.Response:
    return httpx.post(url + path, json=body, timeout=60, **more)


def expected(ranker, documents=tiny.TEXTS, query=QUERY) -> list[tuple[int, float]]:
    """Return places and scores of the library alone, best first."""
    return [(one.index, one.score) for one in ranker.rerank(query, documents)]


def pairs(results) -> list[tuple[int, float]]:
    return [(one["index"], one["relevance_score"]) for one in results]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_scores_and_order_are_the_library_s_to_the_last_bit(path, url, ranker):
    found = post(url, {"query": QUERY, "documents": tiny.TEXTS}, path)
    assert found.status_code == 200
    answer = found.json()
    assert pairs(answer["results"]) == expected(ranker)
    assert answer["model"] == "tiny"
    assert answer["id"] == found.headers["x-request-id"]
    _, tokens = ranker.work(tiny.candidates(QUERY, QUERY))
    assert answer["usage"] == {"total_tokens": tokens}


def test_cohere_s_clients_work(url, ranker):
    first = cohere.Client(api_key="none", base_url=url)
    answer = first.rerank(
        model="rerank-tiny",
        query=QUERY,
        documents=[{"text": text} for text in tiny.TEXTS],
        top_n=3,
        return_documents=True,
    )
    assert [(one.index, one.relevance_score) for one in answer.results] == expected(ranker)[:3]
    assert [one.document.text for one in answer.results] == [
        tiny.TEXTS[index] for index, _ in expected(ranker)[:3]
    ]
    second = cohere.ClientV2(api_key="none", base_url=url)
    answer = second.rerank(model="tiny", query=QUERY, documents=list(tiny.TEXTS), top_n=100)
    assert [(one.index, one.relevance_score) for one in answer.results] == expected(ranker)
    assert answer.meta.api_version.version == "2"
    with pytest.raises(ApiError) as error:
        second.rerank(model="rerank-v3.5", query=QUERY, documents=list(tiny.TEXTS))
    assert error.value.status_code == 404
    assert "this server has tiny, rerank-tiny" in error.value.body["message"]


def test_titles_are_read_and_given_back(url, ranker):
    documents = [{"title": "Terms", "text": tiny.TEXTS[1]}, {"text": tiny.TEXTS[2], "title": None}]
    body = {"query": QUERY, "documents": documents, "return_documents": True}
    results = post(url, body).json()["results"]
    plain = [{"title": "Terms", "text": tiny.TEXTS[1]}, {"text": tiny.TEXTS[2]}]
    assert pairs(results) == expected(ranker, plain)
    assert [one["document"] for one in sorted(results, key=lambda one: one["index"])] == plain


def test_a_whole_number_may_have_a_decimal_point(url):
    results = post(url, {"query": QUERY, "documents": tiny.TEXTS, "top_n": 2.0}).json()["results"]
    assert len(results) == 2


def test_the_same_text_twice_has_two_places(url):
    results = post(url, {"query": QUERY, "documents": [tiny.TEXTS[0]] * 3}).json()["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2]


def test_cut_passages_are_told(ranker):
    short = tiny_ranker(document_tokens=5)
    with running(short) as server:
        answer = post(server.url, {"query": QUERY, "documents": tiny.TEXTS}).json()
    assert "6 of 6 passages were cut" in answer["meta"]["warnings"][0]
    assert pairs(answer["results"]) == expected(short)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"documents": ["a"]}, 422, "query is missing"),
        ({"query": QUERY, "documents": []}, 422, "documents is empty; give at least 1"),
        ({"query": QUERY, "documents": ["a", 7]}, 422, "documents[1] is a int; give a text, or an"),
        (
            {"query": QUERY, "documents": [{"text": "a", "image": "b"}]},
            422,
            "documents[0].image is unknown; allowed: text, title",
        ),
        ({"query": QUERY, "documents": [{"title": "a"}]}, 422, "documents[0].text is missing"),
        ({"query": QUERY, "documents": ["a"], "topn": 3}, 422, "topn is unknown; allowed: query,"),
        ({"query": QUERY, "documents": ["a"], "top_n": 0}, 422, "top_n: Input should be greater"),
        ({"query": QUERY, "documents": ["a"], "top_n": "3"}, 422, "top_n: Input should be a valid"),
        ({"query": QUERY, "documents": ["a"], "top_n": 1.5}, 422, "top_n: Input should be a valid"),
        ({"query": QUERY, "documents": ["a"], "top_n": True}, 422, "top_n: Input should be a val"),
        ({"query": " ", "documents": ["a"]}, 422, "the query is empty"),
        ({"query": QUERY, "documents": ["a", "\u200b"]}, 422, "passage 2 of 2 is empty"),
        ({"query": QUERY, "documents": ["a", "\ud800"]}, 422, "half of a surrogate pair"),
        (
            {"query": QUERY, "documents": ["a"] * 9},
            422,
            "the request has 9 documents, this server takes 8; send fewer, or start the server "
            "with a larger --documents",
        ),
        (
            {"query": QUERY, "documents": ["a" * 1990]},
            422,
            "the request has 2012 characters, this server takes 2000",
        ),
        ({"query": QUERY, "documents": ["a"], "model": "b"}, 404, "model 'b' is not served"),
        ([], 422, "the body: Input should be"),
        (None, 422, "the body is empty; send a JSON object"),
    ],
)
def test_what_is_no_request_is_told_in_one_sentence(body, status, message, url):
    # Half a pair is no text that a client could send; its escape in JSON is.
    content = b"" if body is None else json.dumps(body).encode()
    found = post(url, content=content, headers={"Content-Type": "application/json"})
    assert found.status_code == status
    answer = found.json()
    assert message in answer["message"]
    assert "\n" not in answer["message"]
    assert answer["id"] == found.headers["x-request-id"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b'{"query": ', "application/json", 400, "the body is no JSON, from character 10 on"),
        (b'{"query": "a", "documents": ["b"]}', "text/plain", 422, "Content-Type: application/"),
        (b"[" * 10_000, "application/json", 400, "no JSON"),
        (b"\xff\xfe", "application/json", 400, "no JSON"),
    ],
)
def test_other_bodies_are_refused(content, kind, status, message, url):
    found = post(url, content=content, headers={"Content-Type": kind})
    assert found.status_code == status
    assert message in found.json()["message"]


def test_a_list_beyond_the_model_s_context_is_refused_with_its_remedy(ranker):
    with running(ranker) as server:
        found = post(server.url, {"query": QUERY, "documents": list(tiny.TEXTS) * 30})
    assert found.status_code == 422
    assert "rerank fewer candidates at once" in found.json()["message"]


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(url):
    large = {"query": QUERY, "documents": ["a" * 30_000]}
    found = post(url, large)
    assert found.status_code == 413
    assert "bytes, this server takes 20000" in found.json()["message"]

    def parts():
        for _ in range(1000):
            yield b" " * 1000

    # No length is told beforehand.
    found = post(url, content=parts(), headers={"Content-Type": "application/json"})
    assert found.status_code == 413
    assert "more than 20000 bytes" in found.json()["message"]


def test_a_body_that_does_not_come_is_refused(ranker):
    def slow():
        yield b"{"
        import time

        time.sleep(3)
        yield b"}"

    with running(ranker, limits=Limits(timeout=0.5)) as server:
        found = post(server.url, content=slow(), headers={"Content-Type": "application/json"})
    assert found.status_code == 408
    assert "did not come within 0.5 s" in found.json()["message"]


def test_unknown_paths_and_methods_have_the_same_form(url):
    found = httpx.get(url + "/v1/embeddings")
    assert (found.status_code, found.json().keys()) == (404, {"id", "message"})
    assert "/v1/rerank" in found.json()["message"]
    other = httpx.get(url + "/v1/rerank")
    assert (other.status_code, other.headers["allow"]) == (405, "POST")
    assert other.json()["message"] == "GET is not for this path; send POST"


def test_health_and_models_tell_what_is_served(url):
    assert httpx.get(url + "/health").json()["status"] == "ok"
    first, second = httpx.get(url + "/v1/models").json()["data"]
    assert (first["id"], second["id"]) == ("tiny", "rerank-tiny")
    assert (first["method"], first["heads"], first["limits"]["documents"]) == ("headrank", "3", 8)


def test_a_key_is_asked_for_but_at_health(ranker):
    with running(ranker, keys=Keys(["another-key-0123456789", KEY])) as server:
        body = {"query": QUERY, "documents": tiny.TEXTS}
        for header in ({}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}):
            found = post(server.url, body, headers=header)
            assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in (KEY[:-1], KEY + "0", KEY.upper(), "x"):
            found = post(server.url, body, headers={"Authorization": f"Bearer {wrong}"})
            assert found.status_code == 401
        assert httpx.get(server.url + "/metrics").status_code == 401
        assert httpx.get(server.url + "/v1/models").status_code == 401
        assert httpx.get(server.url + "/health").status_code == 200
        assert post(server.url, body, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        client = cohere.ClientV2(api_key=KEY, base_url=server.url)
        answer = client.rerank(model="tiny", query=QUERY, documents=list(tiny.TEXTS))
        assert len(answer.results) == len(tiny.TEXTS)


def test_counts_are_what_prometheus_reads(ranker):
    stored = tiny_ranker(prompt={"layout": "block"}, store=DocumentStore(2**24))
    with running(stored) as server:
        for _ in range(2):
            found = post(server.url, {"query": QUERY, "documents": tiny.TEXTS})
            assert pairs(found.json()["results"]) == expected(
                tiny_ranker(prompt={"layout": "block"})
            )
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
        post(server.url, content=secret.encode(), headers={"X-Request-ID": secret})
        httpx.get(f"{server.url}/{secret}?q={secret}", headers={"User-Agent": secret})
        httpx.request(secret.upper(), server.url)
    text = stream.getvalue()
    assert "swordfish" not in text.lower()
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 404, 422, 422, 500, 500, 422, 404, 404]
    first = requests[0]
    assert (first["documents"], first["characters"], first["route"]) == (3, 42, "/v1/rerank")
    assert first["read"] <= first["seconds"]
    fault, other = [line for line in lines if line["event"] == "fault"]
    assert (fault["error"], other["error"]) == ("ValueError", "HeadRankError")
    assert other["id"] == requests[5]["id"]
    assert "of the text" not in text
    assert any("rerank_lists" in place for place in fault["places"])


def test_the_description_of_the_endpoints_is_whole(url):
    found = httpx.get(url + "/openapi.json").json()
    assert {"/v1/rerank", "/v2/rerank", "/rerank", "/health", "/metrics"} <= found["paths"].keys()
    (body,) = found["paths"]["/v1/rerank"]["post"]["requestBody"]["content"].values()
    assert body["schema"]["$ref"].rpartition("/")[2] in found["components"]["schemas"]
    assert "429" in found["paths"]["/v1/rerank"]["post"]["responses"]
