"""HeadRank: passage reranking read from the attention of a few heads in one prefill."""

__version__ = "0.1.0"
