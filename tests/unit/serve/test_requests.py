"""Requests as clients send them, over a socket, and their answers."""

from __future__ import annotations

import inspect

import cohere
import pytest
from cohere.core.api_error import ApiError

from tests.helpers import tiny_models as tiny
from tests.helpers.serving import (
    QUERY,
    expected,
    pairs,
    post,
    running,
    tiny_ranker,
)


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
