"""Reading attention through transformers' registration interface.

One attention function, registered once, serves every architecture that routes through
``AttentionInterface``. It leaves the output to SDPA; where a :class:`Recorder` asks, it
also computes the softmax rows of a few query positions, averages them and folds them
into document sums at once, so no ``[n, n]`` matrix exists at any time, with or without
autograd. The recorder travels as a keyword of the model's forward call: no global state.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from headrank.models.copies import to_device
from headrank.models.products import slow_backward

IMPLEMENTATION = "headrank"


class ReadingComplete(Exception):
    """Leaves the forward pass once the deepest layer wanted has been seen."""


@dataclass(frozen=True)
class Target:
    """What to read for one sequence of the batch.

    Attributes:
        rows: positions ``[start, stop)`` of the query's tokens in the whole sequence.
        documents: number of documents.
        places: ``[document tokens]`` key positions of documents, in the order in which their mass
            is told.
        owners: ``[document tokens]`` the document of each.
    """

    rows: tuple[int, int]
    documents: int
    places: torch.Tensor
    owners: torch.Tensor

    @classmethod
    def of(
        cls,
        rows: tuple[int, int],
        index: np.ndarray,
        documents: int,
        device: torch.device,
        order: np.ndarray | None = None,
    ) -> Target:
        """Return the target on a device.

        Args:
            index: ``[keys]`` document of each key position, -1 for none; it may be shorter
                than the sequence (later positions belong to no document).
            order: `places`; by default they ascend.
        """
        places = np.flatnonzero(index >= 0) if order is None else order
        return cls(rows, documents, to_device(places, device), to_device(index[places], device))

    @functools.cached_property
    def members(self) -> torch.Tensor:
        """Return ``[document tokens, docs]`` float32: 1 where a token is of a document, else 0."""
        numbers = torch.arange(self.documents, device=self.owners.device)
        return (self.owners[:, None] == numbers).float()

    def sums(self, kept: torch.Tensor) -> torch.Tensor:
        """Return ``[heads, docs]``: each document's sum of ``[heads, document tokens]``."""
        if kept.is_cuda:
            # index_add is done by atomics there: in any order, so not twice with the same bits.
            return kept @ self.members
        return kept.new_zeros(len(kept), self.documents).index_add(1, self.owners, kept)


@dataclass
class Recorder:
    """Collects document sums layer by layer during one forward pass.

    Attributes:
        targets: one for each sequence of the batch; none records nothing.
        layers: layers to record; None records all.
        heads: heads to record in each layer, ``{layer: [head, ...]}``; None keeps all.
        deepest: the pass ends in this layer, before its attention output is computed.
        keep_tokens: also keep the mass of every document token.
        keep_max_logits: also keep each document's largest logit.
        mass: ``{layer: [one [heads, docs] tensor a sequence]}``: for each document, the sum
            over its tokens of the mean attention over the rows (a head's score of it).
        tokens: ``{layer: [one [heads, document tokens] tensor a sequence]}``.
        max_logits: as ``mass``: for each document, the mean over the rows of the largest logit
            (before the softmax) of its tokens; -inf where a row sees none of them.
    """

    targets: Sequence[Target] = ()
    layers: frozenset[int] | None = None
    heads: dict[int, list[int]] | None = None
    deepest: int | None = None
    keep_tokens: bool = False
    keep_max_logits: bool = False
    mass: dict[int, list[torch.Tensor]] = field(default_factory=dict)
    tokens: dict[int, list[torch.Tensor]] = field(default_factory=dict)
    max_logits: dict[int, list[torch.Tensor]] = field(default_factory=dict)

    def observe(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> None:
        """Record one layer; raise :class:`ReadingComplete` in the deepest one.

        Args:
            query: ``[batch, heads, new tokens, dim]``, after rotary embedding.
            key: ``[batch, key heads, all tokens, dim]``, cached ones included.
            mask: ``[batch, 1, new tokens, all tokens]``, boolean or additive; None is causal.
        """
        if self.targets and (self.layers is None or layer in self.layers):
            heads = None if self.heads is None else self.heads[layer]
            sums, tokens, largest = [], [], []
            for item, target in enumerate(self.targets):
                logits = _logits(query, key, mask, scaling, item, target.rows, heads)
                if self.keep_max_logits:
                    largest.append(_max_logits(logits, target))
                rows = logits.softmax(-1).mean(1)
                kept = rows[:, target.places]
                sums.append(target.sums(kept))
                tokens.append(kept)
            self.mass[layer] = sums
            if self.keep_tokens:
                self.tokens[layer] = tokens
            if self.keep_max_logits:
                self.max_logits[layer] = largest
        if layer == self.deepest:
            raise ReadingComplete


def _logits(
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    item: int,
    rows: tuple[int, int],
    heads: list[int] | None,
) -> torch.Tensor:
    """Return ``[heads, rows, keys]`` float32: what the softmax is taken of; -inf is not seen."""
    offset = key.shape[2] - query.shape[2]
    start, stop = rows[0] - offset, rows[1] - offset
    groups = query.shape[1] // key.shape[1]
    q, k = query[item, :, start:stop], key[item]
    if heads is None:
        # Grouped queries share a key head: no copy of the keys a query head.
        q, k = q.float().reshape(key.shape[1], groups * (stop - start), -1), k.float()
    else:
        # Chosen first: keys of other heads are not copied. Lists of heads would be moved to a GPU
        # as tensors, which waits for it; views of single heads are not.
        q = torch.stack([q[head] for head in heads]).float()
        k = torch.stack([k[head // groups] for head in heads]).float()
    logits = (q @ k.transpose(1, 2)).mul_(scaling).reshape(-1, stop - start, key.shape[2])
    if mask is None:
        seen = torch.arange(key.shape[2], device=key.device)
        last = torch.arange(rows[0], rows[1], device=key.device)
        logits = logits.masked_fill(seen > last[:, None], float("-inf"))
    else:
        part = mask[item, :, start:stop]
        if part.dtype == torch.bool:
            logits = logits.masked_fill(~part, float("-inf"))
        else:
            logits = logits + part
    return logits


def _max_logits(logits: torch.Tensor, target: Target) -> torch.Tensor:
    """Return ``[heads, docs]``: the largest logit of each document's tokens, mean over the rows."""
    heads, rows, _ = logits.shape
    found = logits.new_full((heads, rows, target.documents), float("-inf"))
    owners = target.owners.expand(heads, rows, -1)
    return found.scatter_reduce(2, owners, logits[:, :, target.places], "amax").mean(1)


def sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **kwargs: object,
) -> torch.Tensor:
    """Return the output ``[batch, tokens, heads, dim]`` of transformers' SDPA attention.

    Its inputs are changed where a kernel for them is slow or takes much memory.
    """
    if mask is None and query.is_cuda and query.dtype == torch.float32:
        key, value = (per_query_head(states, query) for states in (key, value))
    kind = query.dtype
    if slow_backward(query, module.training):
        query, key, value = query.float(), key.float(), value.float()
        mask = mask.float() if mask is not None and mask.is_floating_point() else mask
    return sdpa_attention_forward(module, query, key, value, mask, **kwargs)[0].to(kind)


def per_query_head(states: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Return the keys or values of key heads as ``[batch, heads, keys, dim]``, one a query head.

    Of the kernels that keep no matrix of all tokens by all, those for groups of query heads take
    no float32.
    """
    return repeat_kv(states, query.shape[1] // states.shape[1])


class Blocks(Protocol):
    """What takes SDPA's place where documents are read apart:
    ``headrank.reading.block_attention``.
    """

    def attend(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        recorder: Recorder | None,
        **kwargs: object,
    ) -> torch.Tensor:
        """Return the output ``[1, rows, heads, dim]`` of one layer."""
        ...


def headrank_attention(  # noqa: PLR0913  transformers calls it so
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    recorder: Recorder | None = None,
    blocks: Blocks | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Return SDPA's output ``[batch, tokens, heads, dim]``; feed the recorder on the way.

    Args:
        blocks: says what each row sees, in place of the mask.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if blocks is not None:
        return blocks.attend(module, query, key, value, scale, recorder, **kwargs), None
    if recorder is not None:
        recorder.observe(module.layer_idx, query, key, attention_mask, scale)
    return sdpa(module, query, key, value, attention_mask, scaling=scaling, **kwargs), None


AttentionInterface.register(IMPLEMENTATION, headrank_attention)
# Without its own mask entry transformers builds no mask for an unknown implementation, and
# a suffix over a cached prefix would be masked wrongly without any error.
AttentionMaskInterface.register(IMPLEMENTATION, sdpa_mask)
