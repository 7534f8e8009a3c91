"""What decides the records of a job that reads lists one by one: its checkpoint is named by it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from headrank.data.candidates import CandidateList, lists_digest
from headrank.models.decoder import LoadedModel
from headrank.models.versions import versions
from headrank.reading import sliding_window
from headrank.reading.document_store import state_of
from headrank.reading.prompt import PromptBuilder


def job_settings(
    model: LoadedModel,
    adapter: str | os.PathLike | None,
    builder: PromptBuilder,
    lists: Sequence[CandidateList],
    code: str,
) -> dict[str, object]:
    """Return what all such jobs depend on; each adds its heads, seed and options.

    Args:
        code: version or digest of the code that reads.
    """
    return {
        **state_of(model, adapter),
        "tokenizer": model.tokenizer_digest,
        "wrapper": builder.wrapper,
        **sliding_window.provenance(model),
        # Another number of threads changes last digits.
        "threads": torch.get_num_threads(),
        "lists": lists_digest(lists),
        "code": code,
        "versions": versions(),
    }
