"""HeadRank: passage reranking read from the attention of a few heads in one prefill."""

from importlib import import_module

__version__ = "0.2.0"

# Loaded when they are asked for: `headrank --help` needs neither torch nor transformers.
_MODULES = {
    "AlignOptions": "headrank.align.options",
    "HeadRanker": "headrank.ranker",
    "LabelledQuery": "headrank.labelled",
    "Passage": "headrank.lists",
    "PromptOptions": "headrank.prompt",
    "SelectionOptions": "headrank.profile",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str):
    """Return one of the package's public classes."""
    if name not in _MODULES:
        raise AttributeError(f"module 'headrank' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
