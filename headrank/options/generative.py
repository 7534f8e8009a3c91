"""How a model is asked for a ranking in words."""

from __future__ import annotations

from typing import Literal, get_args

from headrank.settings.classes import Rules, options
from headrank.settings.fields import fields_of
from headrank.settings.kinds import Flag, Positive, whole
from headrank.settings.words import shown

Protocol = Literal["listwise", "pointwise", "query-likelihood"]
PROTOCOLS = get_args(Protocol)


@options("generative")
class GenerativeOptions:
    """A protocol and its settings."""

    protocol: Protocol
    """`listwise`: the model writes the order of a window's passages, and windows slide from the end
    of the list to its head [paper: sliding windows]. `pointwise`: log-odds of yes against no.
    `query-likelihood`: mean log-probability of the query's tokens.
    """
    window: whole(2) = 20
    """`listwise` only: passages that are ordered together [RankGPT's]."""
    stride: Positive = 10
    """`listwise` only: passages by which the window moves, at most `window` [RankGPT's]."""
    thinking: Flag = False
    """`listwise` only: the model thinks first, if its chat template offers that (Qwen3's does;
    others are refused).
    """
    thinking_tokens: Positive = 2048
    """`listwise` only: most tokens of thoughts."""
    batch: Positive = 1
    """`listwise` only: lists whose answers are written side by side. Prompts are read one by one,
    then each step writes a token of every list. This pays on a GPU; it may change a word where two
    are nearly as likely.
    """

    def rules(self) -> Rules:
        """Yield settings of listwise with another protocol, and windows that leave gaps."""
        if self.protocol != "listwise":
            for key, field in fields_of(GenerativeOptions).items():
                value = getattr(self, key)
                if key != "protocol" and value != field.default:
                    yield (
                        key,
                        f"is {shown(value)}; allowed: nothing, since protocol is "
                        f"{self.protocol!r} (only listwise has it)",
                    )
        elif self.stride > self.window:
            yield (
                "stride",
                f"is {self.stride}; allowed: at most window, {self.window} (documents between "
                "windows would never be ranked)",
            )
