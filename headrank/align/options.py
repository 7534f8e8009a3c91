"""Settings of alignment training, with the advice that measurements gave beside each default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from headrank.settings.classes import options
from headrank.settings.kinds import AboveZero, Flag, FromZero, Positive, Share, whole_or_word

Projections = Literal["query-key", "attention", "all"]
Schedule = Literal["constant", "linear", "cosine"]
Reference = Literal["none", "frozen"]
Tokens = Literal["all", "query"]
Scale = Literal["log", "min-max", "max-logit"]
Regulariser = Literal["graded-kl", "middle-spread", "none"]
PROJECTIONS = get_args(Projections)
SCALES = get_args(Scale)
REGULARISERS = get_args(Regulariser)


def tokens_of(card: Mapping) -> str:
    """Return which tokens an adapter changes, by its card; those of earlier versions change all."""
    found = card.get("options", {})
    return found.get("tokens", "all") if isinstance(found, Mapping) else "all"


@options("alignment")
class AlignOptions:
    """How an adapter is trained. Every field changes the result."""

    rank: Positive = 8
    """Rank of LoRA [ours]. LoRA adapts the layers up to the deepest selected one."""
    alpha: Positive = 16
    """Scale of LoRA: the adapter counts `alpha / rank` times."""
    dropout: Share = 0.0
    """Dropout of LoRA, a share of its inputs."""
    projections: Projections = "query-key"
    """What LoRA adapts in each layer: `query-key`, `attention` (also values and output) or `all`
    (also the feed-forward part) [ours].
    """
    tokens: Tokens = "all"
    """Which tokens the adapter changes: `all`, or those of the `query` alone, for documents read
    apart (layout `block` or `block-tenth`) [ours]. Documents are then computed by the model without
    it: training encodes each once, whatever the epochs, and a store of documents serves the
    unaligned heads and every such adapter.
    """
    learning_rate: AboveZero = 0.001
    """Highest learning rate of AdamW; `warmup` leads up to it."""
    schedule: Schedule = "linear"
    """The rate after the warm-up: `constant`, or `linear` or `cosine` down to zero."""
    warmup: Share = 0.1
    """Share of all steps in which the rate rises linearly."""
    epochs: Positive = 2
    """Passes over the training lists; each shuffles every list anew."""
    batch: Positive = 2
    """Lists whose gradients are added up for one step."""
    micro_batch: whole_or_word(1, "auto", " of lists") = "auto"
    """Lists of a step that one pass holds side by side (one in layout `block+query`); `auto`: all
    of them on a GPU or where the query's tokens alone train, else one. Out of memory halves it.
    Several at once round otherwise than one.
    """
    clip: AboveZero = 1.0
    """Largest norm of the gradient."""
    beta: AboveZero = 1.0
    """Sharpness of the preference loss."""
    reference: Reference = "none"
    """`none`: the loss takes the model as it is; `frozen`: it compares with the unaligned model, as
    DPO does.
    """
    scale: Scale = "log"
    """Relevance before the loss: `log` of the mass; the mass stretched between its `min-max`; or
    `max-logit`, the mean of the heads' largest logits of a document [ours], for methods whose
    `aggregation` is the same.
    """
    regulariser: Regulariser = "graded-kl"
    """What works against homogenisation: `graded-kl` (towards the grades of the list),
    `middle-spread` (a hinge on the spread in the middle of the prompt) or `none`.
    """
    regulariser_weight: FromZero = 1.0
    """Its factor in the loss."""
    spread_floor: AboveZero = 0.5
    """Spread below which `middle-spread` acts, in units of relevance."""
    both_layouts: Flag = False
    """Train each list in a joint prompt and with its documents read apart, the two losses averaged,
    so that one adapter serves both layouts [ours]. Heads, pairs and validation stay in their own.
    """
    patience: Positive = 2
    """Stop after this many epochs without a better nDCG@10 on the validation set."""
    checkpoint_every: Positive = 20
    """Steps between checkpoints, from which a killed run goes on."""
