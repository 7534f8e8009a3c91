"""Where models and collections come from: one module a kind of source."""
