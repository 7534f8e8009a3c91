"""What a saved ranker, heads and an adapter tell of how they are to be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrank.align.options import tokens_of
from headrank.data.heads import HeadSet
from headrank.errors import HeadRankError, kind_of
from headrank.heads.named import load_heads
from headrank.io.files import read_json
from headrank.models.decoder import DTYPES
from headrank.options.checks import check_mapping
from headrank.options.fold import MAX_LOGIT, Fold
from headrank.options.loading import LoadOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.options import (
    BUDGETS,
    METHODS,
    RankerKeywords,
    RankerOptions,
    check_budget,
    fold_of,
)
from headrank.settings.words import choice

CARD = "ranker.json"
HEADS = "heads.json"
ADAPTER = "adapter"
ADAPTER_CARD = "headrank.json"  # what an adapter's own folder tells of its training


@dataclass(frozen=True)
class Origin:
    """What a saved ranker, heads and an adapter tell of how they were made.

    The heads' profile goes before the adapter's training: training may cut documents shorter
    than reading does.

    Attributes:
        card: the saved ranker's; empty if there is none.
        heads: None if none are known; those of the adapter then tell as much.
    """

    card: Mapping[str, Any]
    heads: HeadSet | None = None
    adapter: Path | None = None

    @classmethod
    def of(
        cls,
        path: str | os.PathLike,
        heads: HeadSet | str | os.PathLike | None = None,
        adapter: str | os.PathLike | None = None,
    ) -> Origin:
        """Return what is known at these paths, as ``HeadRanker.from_pretrained`` takes them."""
        card = read_json(Path(path) / CARD) if (Path(path) / CARD).is_file() else {}
        return cls(
            card,
            None if heads is None else load_heads(heads),
            None if adapter is None else Path(adapter),
        )

    def prompt(self) -> PromptOptions | None:
        """Return the prompt that the heads are read with; None if nothing names one."""
        saved = self.card.get("options", {})
        if "prompt" in saved:
            return _prompt(saved["prompt"], CARD)
        for where, provenance in self._made():
            if "prompt" in provenance:
                return _prompt(provenance["prompt"], where)
        return None

    def dtype(self) -> str | None:
        """Return the type of the weights that the heads were selected in; None if not known.

        Raises:
            HeadRankError: it is not one that a model can be loaded in.
        """
        found = [("the saved ranker", self.card), *self._made()]
        for where, provenance in found:
            if provenance.get("dtype") is not None:
                if provenance["dtype"] not in DTYPES:
                    raise HeadRankError(
                        f"{where}: dtype is {provenance['dtype']!r}; allowed: {', '.join(DTYPES)}. "
                        "Correct it, or give dtype (--dtype)"
                    )
                return provenance["dtype"]
        return None

    def method(self) -> str | None:
        """Return the method that the heads were selected for; None if not known.

        An adapter trains headrank's score, whatever its heads were selected for.

        Raises:
            HeadRankError: it is not one of ours.
        """
        if self.heads is None or self.adapter is not None:
            return None
        name = provenance_of(self.heads).get("method")
        if name is not None and name not in METHODS:
            raise HeadRankError(
                choice("the heads' provenance: method", name, METHODS)
                + "; correct it, or give method (--method)"
            )
        return name

    def trained_fold(self) -> Fold | None:
        """Return the fold that the adapter was trained for; None if it is the method's own."""
        options = self._trained().get("options", {})
        scale = options.get("scale") if isinstance(options, dict) else None
        return Fold(aggregation=MAX_LOGIT) if scale == MAX_LOGIT else None

    def merges(self) -> bool:
        """Return whether the adapter, if there is one, can be added to the model's weights.

        One of a query's tokens alone cannot: documents are read without it.
        """
        return tokens_of(self._trained()) == "all"

    def loading(self, asked: LoadOptions) -> LoadOptions:
        """Return how the weights are loaded: as asked, by default in the heads' own type.

        Other keywords are left out.
        """
        own = {name: asked[name] for name in LoadOptions.__annotations__ if name in asked}
        return {**own, "dtype": asked.get("dtype") or self.dtype() or "float32"}

    def _made(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield whose provenance it is, and the provenance: of the heads, of the adapter."""
        heads = self.heads
        if heads is None and self.adapter is not None and (self.adapter / HEADS).is_file():
            heads = HeadSet.load(self.adapter / HEADS)
        if heads is not None:
            yield "the heads' provenance", provenance_of(heads)
        if self.adapter is not None:
            yield str(self.adapter / ADAPTER_CARD), self._trained()

    def _trained(self) -> Mapping[str, Any]:
        """Return the adapter's card; empty if there is none."""
        path = None if self.adapter is None else self.adapter / ADAPTER_CARD
        card = read_json(path) if path is not None and path.is_file() else {}
        return card if isinstance(card, dict) else {}


def provenance_of(heads: HeadSet) -> Mapping[str, Any]:
    """Return how heads were made.

    Raises:
        HeadRankError: it is not an object.
    """
    if not isinstance(heads.provenance, Mapping):
        raise HeadRankError(
            f"the heads' provenance is {kind_of(heads.provenance)}; it must be an object, "
            "as `headrank profile` writes it, or be left out"
        )
    return heads.provenance


def _prompt(value: object, where: str) -> PromptOptions:
    """Return the prompt of a file.

    Raises:
        HeadRankError: it is not an object of known fields.
    """
    try:
        return PromptOptions(**check_mapping("prompt", value, PromptOptions))
    except HeadRankError as error:
        raise HeadRankError(f"{where}: {error}") from None


def options_of(origin: Origin, asked: RankerKeywords) -> RankerOptions:
    """Return the options: what is given, else what was saved, else what the heads know."""
    saved, given = origin.card.get("options", {}), asked.get("prompt")
    prompt, fit = given, False
    if not isinstance(given, PromptOptions):
        prompt = origin.prompt() or PromptOptions()
        fit = saved.get("fit", True)
        if given is not None:
            prompt = prompt.changed(**check_mapping("prompt", given, PromptOptions))
            fit = fit and "document_tokens" not in given
            if fit and "overlong" in given:
                # Stop or cut: it is said what happens to a list that does not fit whole.
                prompt, fit = replace(prompt, document_tokens=None), False
    budget = asked.get("document_tokens")
    if budget is not None:
        if budget not in BUDGETS:
            prompt = replace(prompt, document_tokens=check_budget(budget))
        fit = budget == "fit"
    own = {
        name: saved.get(name) if asked.get(name) is None else asked[name]
        for name in ("method", "order", "seed", "window")
    }
    if own["method"] is None:
        own["method"] = origin.method()
    options = RankerOptions(
        prompt=prompt, fit=fit, **{k: v for k, v in own.items() if v is not None}
    )
    fold, method = None, asked.get("method")
    if method is None and "fold" in saved:
        fold = Fold(**saved["fold"])
    elif method in (None, "headrank"):
        fold = origin.trained_fold()
    return replace(options, fold=fold_of(asked.get("fold"), fold or options.fold))
