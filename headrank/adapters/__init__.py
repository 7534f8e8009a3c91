"""HeadRank inside other libraries: PyTerrier, LangChain, LlamaIndex; each imports its own."""
