"""The library's options, one class a module, importable without numpy or torch."""
