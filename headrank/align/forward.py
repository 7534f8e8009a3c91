"""The training-time reading: selected heads of one list, with or without gradients."""

from __future__ import annotations

import contextlib

import torch

from headrank.data.heads import HeadSet
from headrank.models.attention import ReadingComplete, Recorder, Target
from headrank.models.decoder import LoadedModel
from headrank.reading.apart import trace_blocks
from headrank.reading.prompt import Prompt
from headrank.reading.sliding_window import check_prompt


def selected_mass(model: LoadedModel, prompt: Prompt, heads: HeadSet) -> torch.Tensor:
    """Return ``[selected heads, docs]`` float32 masses of the query's suffix.

    One pass over the whole prompt without a cache, so gradients flow through the recorded
    attention back to every layer below; nothing behind the deepest selected head's
    attention weights is computed.

    Raises:
        HeadRankError: a document out of a head's sliding window: its log mass has no meaning.
    """
    check_prompt(model, prompt, heads)
    chosen: dict[int, list[int]] = {}
    for layer, head in sorted(heads.pairs):
        chosen.setdefault(layer, []).append(head)
    if prompt.blocks is not None:
        recorder = trace_blocks(model, prompt, chosen, heads.deepest)
        return torch.cat([recorder.mass[layer][0] for layer in sorted(chosen)])
    suffix = prompt.suffixes[0]
    start = len(prompt.prefix)
    ids = torch.tensor([prompt.prefix + suffix.ids], device=model.device)
    target = Target(
        rows=(start + suffix.rows[0], start + suffix.rows[1]),
        index=torch.from_numpy(prompt.document_index()).to(model.device),
        documents=len(prompt.spans),
    )
    recorder = Recorder(
        targets=(target,), layers=frozenset(chosen), heads=chosen, deepest=heads.deepest
    )
    with contextlib.suppress(ReadingComplete):
        model.decoder(input_ids=ids, use_cache=False, recorder=recorder)
    return torch.cat([recorder.mass[layer][0] for layer in sorted(chosen)])
