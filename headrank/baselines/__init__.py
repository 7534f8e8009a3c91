"""Other ways of ranking the same lists."""
