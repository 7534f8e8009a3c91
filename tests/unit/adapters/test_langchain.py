"""The compressor with LangChain's own documents."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import QUERY, ranker

documents_of = pytest.importorskip(
    "langchain_core.documents", reason="LangChain's core is not installed: extra langchain"
)
from headrank.adapters.langchain import SCORE, HeadRankCompressor  # noqa: E402


@pytest.fixture(scope="module")
def mine():
    return ranker(order="shuffled")


def documents():
    return [
        documents_of.Document(page_content=text, metadata={"place": i, "head": f"part {i}"})
        for i, text in enumerate(tiny.TEXTS)
    ]


def test_documents_come_back_best_first_with_their_scores(mine):
    given = documents()
    found = HeadRankCompressor(ranker=mine).compress_documents(given, QUERY)
    expected = mine.rerank(QUERY, tiny.TEXTS)
    assert [one.metadata["place"] for one in found] == [one.index for one in expected]
    assert [one.metadata[SCORE] for one in found] == [one.score for one in expected]
    assert [one.page_content for one in found] == [one.passage.text for one in expected]
    assert given == documents()  # the caller's own stay as they were
    waited = asyncio.run(HeadRankCompressor(ranker=mine).acompress_documents(given, QUERY))
    assert waited == found


def test_the_best_are_kept_and_titles_are_read_if_asked(mine):
    top = HeadRankCompressor(ranker=mine, top_n=2).compress_documents(documents(), QUERY)
    assert top == HeadRankCompressor(ranker=mine).compress_documents(documents(), QUERY)[:2]
    titled = HeadRankCompressor(ranker=mine, title_key="head")
    found = titled.compress_documents(documents(), QUERY)
    passages = [{"title": f"part {i}", "text": text} for i, text in enumerate(tiny.TEXTS)]
    assert [one.metadata[SCORE] for one in found] == [
        one.score for one in mine.rerank(QUERY, passages)
    ]
    assert HeadRankCompressor(ranker=mine).compress_documents([], QUERY) == []


def test_it_stands_in_a_chain_behind_a_retriever(mine):
    from langchain_core.runnables import RunnableLambda

    compressor = HeadRankCompressor(ranker=mine, top_n=3)
    chain = RunnableLambda(lambda query: (documents(), query)) | RunnableLambda(
        lambda found: compressor.compress_documents(*found)
    )
    assert chain.invoke(QUERY) == compressor.compress_documents(documents(), QUERY)


@pytest.mark.parametrize("settings", [{"top_n": 0}, {"top": 3}, {"ranker": "no"}])
def test_settings_are_checked(mine, settings):
    with pytest.raises(ValidationError):
        HeadRankCompressor(**{"ranker": mine} | settings)
