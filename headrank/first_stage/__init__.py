"""The first stage: BM25 as Lucene computes it."""

from headrank.io.extras import need

# NLTK is needed by the stems of English alone: it is looked for where they are made.
need("retrieval", "headrank.first_stage", "bm25s", "numba", "regex", "scipy")
