"""What a checkpoint of alignment must agree with, so that a resumed run is the unbroken one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from headrank.align.options import AlignOptions
from headrank.models.versions import versions
from headrank.reading import sliding_window

if TYPE_CHECKING:
    from headrank.align.forward import HeadReader
    from headrank.align.lists import Judged
    from headrank.align.pairs import PairSet


def settings(
    reader: HeadReader,
    judged: Sequence[Judged],
    options: AlignOptions,
    seed: int,
    code: str | None = None,
) -> dict:
    """Return, as JSON's own types, all that is known before pairs are mined.

    Args:
        judged: training lists and validation lists, as they are trained and read.
        code: digest of the code that trains, if the caller knows it.
    """
    model = reader.model
    made = {
        "options": {k: v for k, v in asdict(options).items() if k != "checkpoint_every"},
        "prompt": reader.builder.options.described(),
        "wrapper": reader.builder.wrapper,
        "heads": reader.heads.pairs,
        "model": model.digest,
        "config": model.config_digest,
        "tokenizer": model.tokenizer_digest,
        **sliding_window.provenance(model),
        "dtype": str(model.decoder.dtype),
        "seed": seed,
        "lists": [_digest(one) for one in judged],
        "code": code,
        "versions": versions(),
    }
    return json.loads(json.dumps(made))


def _digest(judged: Judged) -> str:
    """Return the SHA-256 of every text and grade that is seen of some lists."""
    grades = judged.qrels.only(one.query_id for one in judged.lists).grades
    return hashlib.sha256(repr((list(judged.lists), grades)).encode()).hexdigest()


def fingerprint(settings: dict, pairs: PairSet) -> str:
    """Return settings and pairs, as JSON."""
    mined = hashlib.sha256(repr(pairs.pairs).encode()).hexdigest()
    return json.dumps({**settings, "pairs": mined}, sort_keys=True)
