"""HeadRank: passage reranking read from the attention of a few heads in one prefill."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrank.align.options import AlignOptions
    from headrank.data.candidates import Passage
    from headrank.fitting import AlignRecipe, LabelledQuery, align_heads, profile_heads
    from headrank.options.prompt import PromptOptions
    from headrank.options.selection import SELECTIONS, SelectionOptions
    from headrank.ranker.ranker import HeadRanker

__version__ = "0.2.0"
__all__ = [
    "SELECTIONS",
    "AlignOptions",
    "AlignRecipe",
    "HeadRanker",
    "LabelledQuery",
    "Passage",
    "PromptOptions",
    "SelectionOptions",
    "__version__",
    "align_heads",
    "profile_heads",
]

# Where the names above are imported from when they are first asked for: torch and pandas load
# in seconds, and `headrank --help` needs neither.
_HOMES = {
    "AlignOptions": "headrank.align.options:AlignOptions",
    "AlignRecipe": "headrank.fitting:AlignRecipe",
    "HeadRanker": "headrank.ranker.ranker:HeadRanker",
    "LabelledQuery": "headrank.fitting:LabelledQuery",
    "Passage": "headrank.data.candidates:Passage",
    "PromptOptions": "headrank.options.prompt:PromptOptions",
    "SELECTIONS": "headrank.options.selection:SELECTIONS",
    "SelectionOptions": "headrank.options.selection:SelectionOptions",
    "align_heads": "headrank.fitting:align_heads",
    "profile_heads": "headrank.fitting:profile_heads",
}


def __getattr__(name: str) -> object:
    """Return one of the package's names, imported now."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name].split(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the package's names, those not yet imported too."""
    return sorted({*globals(), *__all__})
