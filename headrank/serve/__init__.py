"""A ranker behind HTTP: requests in the form of Cohere's and Jina's rerank endpoints."""
