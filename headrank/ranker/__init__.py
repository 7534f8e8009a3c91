"""The deployed ranker: one truncated prefill a list."""
