"""Heads: profiled, selected, and folded into one score a document."""
