"""The postprocessor with LlamaIndex's own nodes."""

from __future__ import annotations

import pytest

from headrank.errors import HeadRankError
from tests.helpers import tiny_models as tiny
from tests.helpers.rankers import QUERY, ranker

schema = pytest.importorskip(
    "llama_index.core.schema", reason="llama-index-core is not installed; it brings 28 packages"
)
from headrank.adapters.llama_index import HeadRankPostprocessor  # noqa: E402


@pytest.fixture(scope="module")
def mine():
    return ranker(order="shuffled")


def nodes():
    return [
        schema.NodeWithScore(node=schema.TextNode(text=text, metadata={"page": i}), score=0.5)
        for i, text in enumerate(tiny.TEXTS)
    ]


def test_nodes_come_back_best_first_with_their_scores(mine):
    given = nodes()
    found = HeadRankPostprocessor(ranker=mine).postprocess_nodes(given, query_str=QUERY)
    expected = mine.rerank(QUERY, tiny.TEXTS)
    assert [one.node.metadata["page"] for one in found] == [one.index for one in expected]
    assert [one.score for one in found] == [one.score for one in expected]
    assert [one.score for one in given] == [0.5] * 6
    top = HeadRankPostprocessor(ranker=mine, top_n=2)
    assert top.postprocess_nodes(given, query_bundle=schema.QueryBundle(QUERY)) == found[:2]


def test_no_nodes_no_query_and_metadata(mine):
    own = HeadRankPostprocessor(ranker=mine)
    assert own.postprocess_nodes([], query_str=QUERY) == []
    with pytest.raises(HeadRankError, match="there is no query"):
        own.postprocess_nodes(nodes())
    told = HeadRankPostprocessor(ranker=mine, metadata_mode=schema.MetadataMode.ALL)
    scores = {one.score for one in told.postprocess_nodes(nodes(), query_str=QUERY)}
    assert scores != {one.score for one in own.postprocess_nodes(nodes(), query_str=QUERY)}
