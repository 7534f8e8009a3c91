"""Requests that are refused, each with a sentence that says why: bodies, bounds, keys."""

from __future__ import annotations

import json

import cohere
import httpx
import pytest
from pydantic import ValidationError

from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.serve.options import Keys, Limits
from headrank.serve.wire import RerankRequest
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import HEADS
from tests.helpers.serving import (
    JSON,
    KEY,
    QUERY,
    WaitingRanker,
    post,
    running,
    tiny_ranker,
)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"documents": ["a"]}, 422, "query is missing"),
        ({"query": QUERY, "documents": []}, 422, "documents is empty; give at least 1"),
        ({"query": QUERY, "documents": ["a", 7]}, 422, "documents[1] is a int; give a text, or an"),
        ({"query": QUERY, "documents": [{"image": "b"}]}, 422, "'text' is missing among 'image'"),
        ({"query": QUERY, "documents": [{}]}, 422, "passage 1 of 1: 'text' is missing; give"),
        (
            {"query": QUERY, "documents": ["a", {"txt": "b"}]},
            422,
            "passage 2 of 2: key 'txt' is unknown (did you mean 'text'?)",
        ),
        (
            {"query": QUERY, "documents": [{"text": "b", "titel": "c"}]},
            422,
            "key 'titel' is unknown (did you mean 'title'?)",
        ),
        ({"query": QUERY, "documents": [{"text": 5}]}, 422, "documents[0].text: Input should be"),
        ({"query": QUERY, "documents": [{"text": None}]}, 422, "'text' is missing"),
        (
            {"query": QUERY, "documents": ["a"], "x" * 900: 1},
            422,
            "... is unknown; allowed: query",
        ),
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
            "the request has 9 documents, this server takes 8 (--documents); send fewer",
        ),
        (
            {"query": QUERY, "documents": ["a" * 1990]},
            422,
            "the request has 2012 characters, this server takes 2000",
        ),
        (
            {"query": QUERY, "documents": [{"page_content": "a" * 1980, "title": "b" * 10}]},
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
        (b"[" * 10_000, "application/json", 400, "no JSON that can be read: nested too deeply"),
        (b"\xff\xfe", "application/json", 400, "the body is not UTF-8"),
        ('{"query": "a"}'.encode("utf-16"), "application/json", 400, "the body is not UTF-8"),
        (b'{"query": "a", "documents": ["b"], "top_n": NaN}', JSON, 400, "NaN is no JSON value"),
        (
            b'{"query": "a", "query": "b", "documents": ["c"]}',
            JSON,
            422,
            "key 'query' is given",
        ),
        (
            b'{"query": "a", "documents": [{"text": "b", "text": "c"}]}',
            JSON,
            422,
            "'text' is given",
        ),
        (b'{"query": "a", "documents": ["\\ud800"]}', JSON, 422, "half of a surrogate pair"),
        (
            b'{"query": "a", "documents": [{"text": "b", "score": 1e999}]}',
            JSON,
            422,
            "documents[0]: 'score' holds a number that is not finite",
        ),
    ],
)
def test_other_bodies_are_refused(content, kind, status, message, url):
    found = post(url, content=content, headers={"Content-Type": kind})
    assert found.status_code == status
    assert message in found.json()["message"]


def test_a_body_may_begin_with_a_byte_order_mark(url):
    content = b"\xef\xbb\xbf" + json.dumps({"query": "a", "documents": ["b"]}).encode()
    assert post(url, content=content, headers={"Content-Type": JSON}).status_code == 200


# What a request cannot set: options of Python and of the command.
_OPERATOR = ("document_tokens", "window", "overlong", "query_offset", "--window", "select heads")


@pytest.mark.parametrize(
    ("options", "query", "documents", "remedy"),
    [
        ({}, QUERY, list(tiny.TEXTS) * 12, "; send fewer documents, or shorter ones (at most "),
        ({}, QUERY, ["a"] * 500, "; send fewer documents"),
        ({}, "why " * 9000, ["a", "b"], "; shorten the query"),
        ({"layout": "block"}, QUERY, ["bark " * 2000], "; shorten it to at most "),
        ({"layout": "block"}, "why " * 9000, ["a", "b"], "; shorten the query"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_a_client_can_do(options, query, documents, remedy):
    prompt = {"prompt": PromptOptions(**options)}
    ranker = tiny_ranker(**prompt)
    with pytest.raises(HeadRankError) as error:
        ranker.rerank(query, documents)
    with running(ranker) as server:
        found = post(server.url, {"query": query, "documents": documents})
    assert found.status_code == 422
    message = found.json()["message"]
    assert remedy in message
    assert not [word for word in _OPERATOR if word in message.rpartition(";")[2]]
    # The error of Python says the same of the list, and more of what can be done.
    assert str(error.value).startswith(message.rpartition(";")[0])
    for told in (message, str(error.value)):
        assert len(told) < 400 and query[:40] in told


def test_heads_that_cannot_see_a_document_ask_for_a_shorter_list():
    ranker = HeadRanker.from_pretrained(tiny.folder("gemma3"), HEADS)
    documents = list(tiny.TEXTS) * 3
    with pytest.raises(HeadRankError, match="select heads again"):
        ranker.rerank(QUERY, documents)
    with running(ranker) as server:
        found = post(server.url, {"query": QUERY, "documents": documents})
    assert found.status_code == 422
    assert found.json()["message"].endswith("; send fewer or shorter documents")


def test_a_list_that_a_gpu_cannot_hold_asks_for_less():
    ranker = WaitingRanker()
    ranker.go.set()
    with running(ranker) as server:
        found = post(server.url, {"query": "memory", "documents": ["a"]})
    assert found.status_code == 422
    assert found.json()["message"].endswith("than this server has; send fewer or shorter documents")


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


@pytest.mark.slow
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


def test_a_body_of_a_thousand_faults_is_refused_by_the_first():
    """Each would be an error of its own, and all of them gigabytes."""
    with pytest.raises(ValidationError) as told:
        RerankRequest.model_validate({"query": "q", "documents": [1] * 5000})
    assert told.value.error_count() <= 2


def test_of_many_unknown_keys_the_first_is_told(url):
    unknown = {f"k{number}": 0 for number in range(500)}
    found = post(url, {"query": "q", **unknown, "documents": ["a", "b"]})
    assert found.status_code == 422
    assert found.json()["message"].startswith("k0 is unknown; allowed: query, documents")
