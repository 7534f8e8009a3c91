"""Requests as clients send them, over a socket: answers, refusals and keys."""

from __future__ import annotations

import inspect
import json

import cohere
import httpx
import pytest
from cohere.core.api_error import ApiError
from pydantic import ValidationError

from headrank.errors import HeadRankError
from headrank.options.prompt import PromptOptions
from headrank.ranker.ranker import HeadRanker
from headrank.serve.options import Keys, Limits
from headrank.serve.wire import RerankRequest
from tests.helpers import tiny_models as tiny
from tests.helpers.command_line import HEADS
from tests.helpers.serving import (
    KEY,
    WaitingRanker,
    expected,
    pairs,
    post,
    running,
    tiny_ranker,
)

JSON = "application/json"
QUERY = "what does a policy pay"
LIMITS = Limits(documents=8, characters=2000, body=20_000)


@pytest.fixture(scope="module")
def ranker():
    return tiny_ranker()


@pytest.fixture(scope="module")
def url(ranker):
    with running(ranker, ("tiny", "rerank-tiny"), limits=LIMITS) as server:
        yield server.url


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
    assert pairs(results) == expected(ranker, documents)
    assert [one["document"] for one in sorted(results, key=lambda one: one["index"])] == documents


def test_a_title_alone_is_read_as_python_reads_it(url, ranker):
    documents = [{"title": tiny.TEXTS[1]}, {"text": tiny.TEXTS[2], "title": " "}, "plain"]
    body = {"query": QUERY, "documents": documents, "return_documents": True}
    results = post(url, body).json()["results"]
    assert pairs(results) == expected(ranker, documents)
    sent = {one["index"]: one["document"] for one in results}
    assert sent == {0: {"text": ""} | documents[0], 1: documents[1], 2: {"text": "plain"}}


OWN = [
    {"text": text, "id": f"d{number % 2}", "url": f"https://e.org/{number}"}
    for number, text in enumerate(tiny.TEXTS)
]


def test_other_keys_of_a_document_come_back(url, ranker):
    """Two parts of one document may bear its id: places tell them apart."""
    first = cohere.Client(api_key="none", base_url=url)
    answer = first.rerank(model="tiny", query=QUERY, documents=OWN, return_documents=True)
    assert [(one.index, one.relevance_score) for one in answer.results] == expected(ranker)
    for one in answer.results:
        assert (one.document.text, one.document.id) == (tiny.TEXTS[one.index], OWN[one.index]["id"])
        assert one.document.url == OWN[one.index]["url"]
    nested = [one | {"_id": 7, "metadata": {"page": [1, None]}, "model_config": 1} for one in OWN]
    body = {"query": QUERY, "documents": nested, "return_documents": True}
    for one in post(url, body).json()["results"]:
        assert one["document"] == nested[one["index"]]
    spelt = [{"page_content": text} for text in tiny.TEXTS]
    found = post(url, {"query": QUERY, "documents": spelt}).json()["results"]
    assert pairs(found) == expected(ranker)


FOLLOWED = {"model", "query", "documents", "top_n", "return_documents"}
OF_THE_CLIENT = {"self", "request_options"}
VALUES = {
    "rank_fields": ["title", "text"],
    "max_chunks_per_doc": 10,
    "max_tokens_per_doc": 4096,
    "relevant_spans": {"mode": "enabled"},
    "priority": 3,
}


@pytest.mark.parametrize("version", ["1", "2"])
def test_every_field_of_cohere_s_client_is_taken_and_told(url, ranker, version):
    client = (cohere.Client if version == "1" else cohere.ClientV2)(api_key="none", base_url=url)
    names = set(inspect.signature(client.rerank).parameters) - FOLLOWED - OF_THE_CLIENT
    assert names  # the installed client says what it sends
    given = {name: VALUES[name] for name in names}
    answer = client.rerank(model="tiny", query=QUERY, documents=list(tiny.TEXTS), **given)
    assert [(one.index, one.relevance_score) for one in answer.results] == expected(ranker)
    (told,) = answer.meta.warnings
    assert told.startswith("this server does not follow ")
    assert set(told.removeprefix("this server does not follow ").split(", ")) == names


def test_fields_that_are_not_sent_are_not_told(url):
    body = {"query": QUERY, "documents": tiny.TEXTS, "rank_fields": None}
    assert "warnings" not in post(url, body).json()["meta"]


def test_every_field_of_jina_s_requests_is_followed(url, ranker):
    """https://api.jina.ai/redoc: model, query, documents, top_n, return_documents."""
    body = {"model": "tiny", "query": QUERY, "documents": [{"text": t} for t in tiny.TEXTS]}
    answer = post(url, body | {"top_n": 2, "return_documents": True}).json()
    assert pairs(answer["results"]) == expected(ranker)[:2]
    assert answer["results"][0]["document"] == {"text": tiny.TEXTS[answer["results"][0]["index"]]}
    assert "warnings" not in answer["meta"]


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
