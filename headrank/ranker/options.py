"""What decides a ranker's scores beside the model, its heads and its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrank.data.candidates import check_order
from headrank.errors import HeadRankError
from headrank.options.checks import check_mapping, check_whole, made_of
from headrank.options.fold import Fold
from headrank.options.loading import LoadOptions
from headrank.options.prompt import PromptOptions

BUDGETS = ("fit", "heads")
"""Words for a budget of tokens a document; see `RankerKeywords`."""

METHODS = {
    "headrank": Fold(aggregation="log-sum"),
    "icr": Fold(calibrate=True, outliers=True),
    "qrhead": Fold(calibrate=True, outliers=True),
    "core": Fold(calibrate=True, outliers=True),
}
"""How each method joins the heads it reads; all but ICR read a selected few."""


class RankerKeywords(LoadOptions, total=False):
    """What a ranker may be asked for; None or left out: as the saved ranker or the heads have it.

    Keys:
        method: a name of ``METHODS``; by default the saved ranker's, else the one that the heads
            were selected for, else ``headrank``, which is also what an adapter is trained for.
        order, seed, window: see `RankerOptions`.
        fold: by default the saved ranker's, the adapter's, else the method's; a mapping changes
            some of its fields.
        prompt: by default the saved ranker's, else the one that the heads were selected or the
            adapter was trained with; a mapping changes some of its fields.
        document_tokens: ``fit`` keeps each passage whole where the context holds the list, and
            else cuts all to the largest equal budget that fits, but never below the heads' own,
            if they have one; in block layouts a passage keeps what has room before the query.
            ``heads`` cuts to the heads' own budget, as the workflow does; a number cuts to that.
            By default the saved ranker's, ``fit`` with the heads' prompt, and the prompt's own
            budget where ``prompt`` names it.
        dtype, device, revision: see `headrank.options.loading.LoadOptions`. The revision is that
            of a saved ranker on the hub, whose card names the base model's own.
    """

    method: str | None
    prompt: PromptOptions | Mapping[str, object] | None
    document_tokens: int | str | None
    order: str | None
    seed: int | None
    window: int | None
    fold: Fold | Mapping[str, object] | None


@dataclass(frozen=True)
class RankerOptions:
    """What determines a ranker's scores beside the model, its heads and its adapter.

    Attributes:
        method: a name of ``METHODS``; ``icr`` reads all heads, the others selected ones.
        fold: how the heads are joined; None takes the method's own, and a mapping changes some of
            its fields.
        prompt: texts and limits of the prompt; those the heads were selected with. A mapping of
            its fields does too.
        order: order of the passages in the prompt (see ``headrank.data.candidates.arrange``). Heads
            are selected on shuffled lists: there position tells them nothing. [ours]
        seed: of the shuffled orders.
        window: longer lists are read in several prompts of at most this many documents (see
            ``headrank.ranker.long_lists``); None reads each list in one prompt.
        fit: passages keep all their tokens where the context holds them, and else the largest
            equal budget that does; the prompt's ``document_tokens``, if set, is then the least
            budget. A list that would need a smaller one is cut to ``document_tokens``, as without
            ``fit``.

    Raises:
        HeadRankError: a value of another type, or one that is not allowed.
    """

    method: str = "headrank"
    prompt: PromptOptions = field(default_factory=PromptOptions)
    order: str = "shuffled"
    seed: int = 13
    window: int | None = None
    fold: Fold | None = None
    fit: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise HeadRankError(f"method {self.method!r} is unknown; allowed: {', '.join(METHODS)}")
        check_order(self.order)
        if not isinstance(self.fit, bool):
            raise HeadRankError(f"fit is {self.fit!r}; allowed: True or False")
        settled = {
            "prompt": made_of("prompt", self.prompt, PromptOptions),
            "seed": check_whole("seed", self.seed, 0),
            "window": self.window,
            "fold": fold_of(self.fold, METHODS[self.method]),
        }
        if self.window is not None:
            settled["window"] = check_whole("window", self.window, 2, "None for one prompt")
        for name, value in settled.items():
            object.__setattr__(self, name, value)


def fold_of(given: object, own: Fold) -> Fold:
    """Return a fold: as given, the method's own, or that with some fields changed by a mapping.

    Raises:
        HeadRankError: something else, or fields that `headrank.options.fold.Fold` refuses.
    """
    if given is None or isinstance(given, Fold):
        return given or own
    return replace(own, **check_mapping("fold", given, Fold))


def check_budget(value: object) -> int:
    """Return a budget of tokens a document.

    Raises:
        HeadRankError: neither a whole number from 1 nor a word of ``BUDGETS``.
    """
    return check_whole("document_tokens", value, 1, " or ".join(BUDGETS))
