"""A small experiment whose costs tests know by hand: its config, stages and readings."""

from copy import deepcopy

import numpy as np

from headrank.reading.readings import ListReading
from headrank.workflow.config.checks import configure
from headrank.workflow.estimate.stages import estimate
from tests.helpers.base_config import BASE


def experiment(**changes):
    """Return the checked config of a small experiment: one set of 30 queries, 20 profiled."""
    config = deepcopy(BASE)
    config["sets"]["lee"]["take"] = 30
    config["sets"]["insuranceqa-heads"]["take"] = 20
    config["profiling"]["sets"] = ["insuranceqa-heads"]
    config["experiment"]["sets"] = ["lee"]
    config["experiment"]["methods"] = ["bm25", "icr", "headrank-untuned", "headrank"]
    config["evaluation"]["comparisons"] = []
    config["report"] = {"set": "lee"}
    config["ablations"] = {}
    # Twelve lists of 10 documents of 80 + 8 tokens and 100 for the rest.
    config |= {"candidates": 10, "reading": {"tokens": "none", "tokens_per_shard": 12 * 980}}
    config["methods"]["qrhead"]["truncated"] = config["methods"]["core"]["truncated"] = True
    config["prompt"] = {"document_tokens": 80}
    config["sets"]["insuranceqa-train"]["take"] = 100
    config["alignments"]["insuranceqa"] |= {"documents": 8, "document_tokens": 42}
    assumed = {"layers": 4, "heads": 5, "tokens_per_second": 100}
    config["estimate"] = {"models": {"smollm2": assumed}, "source": "made up for this test"}
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = config
        for name in parents:
            place = place[name]
        place[key] = value
    configure(config)
    return config


def rows(config, found=None):
    return {(stage.stage, stage.model): stage for stage in estimate(config, found)}


def reading(number, shape, documents, tokens, calibrate, keep_tokens, max_logits=False):
    """Return a list's reading of a shape, as the reader makes it."""
    ends = np.arange(1, documents + 1) * (tokens // documents)
    mass = np.full((shape.layers, shape.heads, documents), 0.5, np.float32)
    return ListReading(
        query_id=f"q{number}",
        doc_ids=tuple(f"document-{place}" for place in range(documents)),
        query=mass,
        calibration=mass if calibrate else None,
        spans=np.stack([ends - tokens // documents, ends], axis=1),
        contrast=np.zeros(tokens, np.float32) if calibrate else None,
        tokens=np.zeros((shape.layers, shape.heads, tokens), np.float32) if keep_tokens else None,
        max_logits=mass if max_logits else None,
    )
