"""What decides a ranker's scores beside the model, its heads and its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrank.data.candidates import check_order
from headrank.errors import HeadRankError
from headrank.options.fold import Fold
from headrank.options.loading import LoadOptions
from headrank.options.prompt import PromptOptions
from headrank.ranker.long_lists import deal

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
        method, order, seed, window, fold: see `RankerOptions`.
        prompt: by default the saved ranker's, else the one that the heads were selected or the
            adapter was trained with; a mapping changes some of its fields.
        document_tokens: ``fit`` keeps each passage whole where the context holds the list, and
            else cuts all to the largest equal budget that fits, but never below the heads' own;
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
    fold: Fold | None


@dataclass(frozen=True)
class RankerOptions:
    """What determines a ranker's scores beside the model, its heads and its adapter.

    Attributes:
        method: a name of ``METHODS``; ``icr`` reads all heads, the others selected ones.
        fold: how the heads are joined; None takes the method's own.
        prompt: texts and limits of the prompt; those the heads were selected with.
        order: order of the passages in the prompt (see ``headrank.data.candidates.arrange``). Heads
            are selected on shuffled lists: there position tells them nothing. [ours]
        seed: of the shuffled orders.
        window: longer lists are read in several prompts of at most this many documents (see
            ``headrank.ranker.long_lists``); None reads each list in one prompt.
        fit: passages keep all their tokens where the context holds them, and else the largest
            equal budget that does; the prompt's ``document_tokens`` is then the least budget. A
            list that would need a smaller one is cut to ``document_tokens``, as without ``fit``.
    """

    method: str = "headrank"
    prompt: PromptOptions = field(default_factory=PromptOptions)
    order: str = "shuffled"
    seed: int = 13
    window: int | None = None
    fold: Fold | None = None
    fit: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise HeadRankError(f"method {self.method!r} is unknown; allowed: {', '.join(METHODS)}")
        check_order(self.order)
        deal(1, self.window)
        if self.fold is None:
            object.__setattr__(self, "fold", METHODS[self.method])


def check_budget(value: object) -> int:
    """Return a budget of tokens a document.

    Raises:
        HeadRankError: neither a whole number from 1 nor a word of ``BUDGETS``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise HeadRankError(
            f"document_tokens is {value!r}; allowed: a whole number from 1, {', '.join(BUDGETS)}"
        )
    return value
