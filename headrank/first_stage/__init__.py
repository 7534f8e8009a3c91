"""The first stage: BM25 as Lucene computes it."""
