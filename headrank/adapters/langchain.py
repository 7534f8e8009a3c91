"""A LangChain document compressor: reranks what a retriever found."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ConfigDict, Field, InstanceOf

from headrank.io.extras import missing
from headrank.ranker.ranker import HeadRanker

try:
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
except ModuleNotFoundError:
    raise missing("langchain", "headrank.adapters.langchain", "langchain_core") from None

SCORE = "relevance_score"
"""Key of a document's metadata that holds its score, as LangChain's own rerankers name it."""


class HeadRankCompressor(BaseDocumentCompressor):
    """Reranks documents and keeps the best.

    Attributes:
        ranker: reads the list.
        top_n: documents that are kept; None keeps all.
        title_key: of a document's metadata; its text is read before the passage. None reads none.
    """

    model_config = ConfigDict(extra="forbid")

    ranker: InstanceOf[HeadRanker]
    top_n: int | None = Field(default=None, ge=1)
    title_key: str | None = None

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return copies of the documents, best first, with their score in the metadata.

        Raises:
            HeadRankError: as ``HeadRanker.rerank``; no documents give an empty list.
        """
        if not documents:
            return []
        passages = [
            {
                "title": str(one.metadata.get(self.title_key) or "") if self.title_key else "",
                "text": one.page_content,
            }
            for one in documents
        ]
        ranking = self.ranker.rerank(query, passages, top_k=self.top_n)
        return [
            documents[one.index].model_copy(
                update={"metadata": documents[one.index].metadata | {SCORE: one.score}}
            )
            for one in ranking
        ]
