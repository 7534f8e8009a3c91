"""A LlamaIndex node postprocessor: reranks the nodes that a retriever found."""

from __future__ import annotations

from pydantic import Field, InstanceOf

from headrank.errors import HeadRankError
from headrank.ranker.ranker import HeadRanker

try:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ModuleNotFoundError:
    raise ImportError(
        "headrank.adapters.llama_index needs LlamaIndex's core; pip install llama-index-core"
    ) from None


class HeadRankPostprocessor(BaseNodePostprocessor):
    """Reranks nodes and keeps the best.

    Attributes:
        ranker: reads the list.
        top_n: nodes that are kept; None keeps all.
        metadata_mode: what of a node's metadata is read with its text; by default nothing.
    """

    ranker: InstanceOf[HeadRanker]
    top_n: int | None = Field(default=None, ge=1)
    metadata_mode: MetadataMode = MetadataMode.NONE

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows the class."""
        return "HeadRankPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Return the nodes best first, each with its new score.

        Raises:
            HeadRankError: no query, or as ``HeadRanker.rerank``.
        """
        if query_bundle is None:
            raise HeadRankError("there is no query to rank by; give query_bundle or query_str")
        if not nodes:
            return []
        texts = [one.node.get_content(metadata_mode=self.metadata_mode) for one in nodes]
        ranking = self.ranker.rerank(query_bundle.query_str, texts, top_k=self.top_n)
        return [NodeWithScore(node=nodes[one.index].node, score=one.score) for one in ranking]
