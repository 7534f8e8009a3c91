"""Which code, files and processes made a result."""
