"""Versions of the packages that decide a number."""

from __future__ import annotations

import importlib.metadata

# What a model's scores depend on.
PACKAGES = ("numpy", "peft", "tokenizers", "torch", "transformers")


def versions() -> dict[str, str]:
    """Return ``{package: version}`` of what a model's scores and gradients depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
