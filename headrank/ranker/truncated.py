"""The deployed reading: layers up to the deepest selected head, and of that one its edge.

The attention weights of the deepest selected layer need two things of it only: the keys
of every token and the queries of the suffix. So its values, its output projection, its
feed-forward part and the queries of the documents are never computed, and what they would
need is not kept in memory. All layers behind it, and the language-model head, were never
loaded (``load_model(layers=...)``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch

from headrank.data.heads import HeadSet, by_layer
from headrank.errors import HeadRankError, HostFault, Unfit
from headrank.heads.fold import fold_masses, without_outliers
from headrank.models.decoder import LoadedModel
from headrank.options.fold import MAX_LOGIT, Fold
from headrank.reading.document_store import Shelf
from headrank.reading.prefill import read_prompts
from headrank.reading.prompt_tokens import Prompt
from headrank.reading.recording import Recording
from headrank.reading.sliding_window import check_prompt


class _Absent(torch.nn.Module):
    """Stands for a part that the reading leaves before; asked for, it says so."""

    def forward(self, *args: object, **kwargs: object) -> None:
        raise HeadRankError(
            "the model was cut for reading heads and has no output; load it again with "
            "headrank.models.decoder.load_model to use it otherwise"
        )


_PASS = threading.local()
"""``recording``: whether the pass of this thread records rows; threads may share a model."""


class _NoValues(torch.nn.Module):
    """Returns zeros of one head's width, without memory or arithmetic, instead of values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.new_zeros(()).expand(*hidden.shape[:-1], self.width)


class _SuffixQueries(torch.nn.Module):
    """Projects queries while rows are recorded, and else returns zeros of one head's width.

    The layer's hook says which before each pass, in the thread of the pass.
    """

    def __init__(self, projection: torch.nn.Module, width: int) -> None:
        super().__init__()
        self.projection = projection
        self.nothing = _NoValues(width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        recording = getattr(_PASS, "recording", True)
        return self.projection(hidden) if recording else self.nothing(hidden)


def cut_last_layer(model: LoadedModel) -> None:
    """Change the model in place so that its last layer computes keys and suffix queries only.

    Attention modules view their projections as ``[batch, tokens, -1, head dim]``: a
    projection that returns one head's width passes through normalisation and rotation at
    the cost of one head. The recorder travels as a keyword of the forward call; a pass
    that records nothing (of documents alone) needs no queries.

    An adapter must be in place before: its projections are wrapped as they are.
    """
    layer = model.decoder.layers[model.layers - 1]
    attention = layer.self_attn
    attention.q_proj = _SuffixQueries(attention.q_proj, attention.head_dim)
    attention.v_proj = _NoValues(attention.head_dim)
    attention.o_proj = _Absent()
    layer.mlp = _Absent()
    model.decoder.norm = _Absent()

    def announce(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        recorder, blocks = kwargs.get("recorder"), kwargs.get("blocks")
        recorded = [recorder] if blocks is None else [tail.recorder for tail in blocks.tails]
        _PASS.recording = any(one is None or one.targets for one in recorded)

    attention.register_forward_pre_hook(announce, with_kwargs=True)


def score_prompts(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    heads: HeadSet | None,
    options: Fold,
    shelf: Shelf | None = None,
) -> list[list[np.ndarray]]:
    """Return the scores ``[docs]`` of each prompt, one array a query of it.

    With ``options.calibrate`` the last suffix of each prompt is the content-free query
    that the others are compared with; it has no scores of its own.

    Args:
        heads: heads to read; None reads all (ICR).
        shelf: documents of layout ``block`` that are there are not computed again.

    Raises:
        HeadRankError: NaN in the attention, a document that a selected head cannot see (or no
            head at all), or a layer that the model does not have.
    """
    for prompt in prompts:
        check_prompt(model, prompt, heads)
    recording = Recording(
        heads=None if heads is None else by_layer(heads),
        keep_tokens=options.outliers,
        keep_max_logits=options.aggregation == MAX_LOGIT,
    )
    recorders = read_prompts(model, prompts, recording, shelf=shelf)
    queries = len(recorders) - options.calibrate
    scores: list[list[np.ndarray]] = []
    for item, prompt in enumerate(prompts):
        documents = [_joined(recorder.mass, item) for recorder in recorders]
        for mass in documents:
            _check(mass)
        if options.outliers:
            tokens = [_joined(recorder.tokens, item) for recorder in recorders]
            spans = prompt.token_spans
            contrasts = [(own - tokens[-1]).sum(axis=0, dtype=np.float64) for own in tokens[:-1]]
            scores.append([without_outliers(contrast, spans) for contrast in contrasts])
            continue
        if options.aggregation == MAX_LOGIT:
            documents = [_joined(recorder.max_logits, item) for recorder in recorders]
        calibration = documents[-1] if options.calibrate else None
        scores.append([fold_masses(mass, calibration, options) for mass in documents[:queries]])
    return scores


def _check(mass: np.ndarray) -> None:
    """Refuse ``[heads, docs]`` that no ranking can be read from."""
    if not np.isfinite(mass).all():
        raise HostFault(
            "the attention is NaN or infinite; check the model's weights, or use dtype float32"
        )
    unseen = np.flatnonzero(mass.sum(axis=0) == 0)
    if len(unseen):
        told = (
            f"{len(unseen)} of {mass.shape[1]} documents get no attention at all from the heads "
            "that are read: they lie beyond the sliding window of those layers; rerank fewer or "
            "shorter documents"
        )
        raise Unfit(f"{told}, or select heads in layers of full attention", request=told)


def _joined(layers: dict[int, list[torch.Tensor]], item: int) -> np.ndarray:
    """Return ``[heads, ...]`` of one sequence: all recorded layers, one under the other."""
    return torch.cat([layers[layer][item] for layer in sorted(layers)]).cpu().numpy()
