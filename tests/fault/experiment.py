"""A whole experiment of seconds: a random Llama, eight documents, every step of the chain."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import yaml

from headrank.io.files import write_jsonl
from tests.helpers.models import save

WORDS = ["apple", "bread", "cheese", "dates", "eggs", "flour", "grapes", "honey"]
CONFIG = {
    "models": {
        "tiny": {
            "source": {"kind": "local", "path": "given/model"},
            "format": "safetensors",
            "dtype": "float32",
        }
    },
    "collections": {"food": {"source": {"kind": "local", "path": "given/food"}}},
    "sets": {
        "exam": {"collection": "food", "role": "evaluation"},
        "heads": {"collection": "food", "split": "train", "role": "profiling"},
        "train": {"collection": "food", "split": "more", "role": "alignment", "take": 3},
        "valid": {"collection": "food", "split": "more", "role": "alignment", "skip": 3},
    },
    "first_stage": {"depth": 8},
    "candidates": 6,
    "prompt": {"document_tokens": 24},
    "orders": ["shuffled"],
    "profiling": {"sets": ["heads"]},
    "selections": {"headrank": {"criterion": "graded", "heads": 4, "entropy_weight": 0.1}},
    "alignments": {
        "own": {
            "selection": "headrank",
            "training": ["train"],
            "validation": "valid",
            "seeds": [1],
            "documents": 4,
            "document_tokens": 16,
            "pairs": {"per_query": 4, "per_boundary": 4},
            "options": {"epochs": 1, "checkpoint_every": 1},
        }
    },
    "methods": {
        "bm25": {"kind": "first-stage"},
        "random": {"kind": "random"},
        "icr": {"heads": "all", "calibrate": True, "outliers": True},
        "headrank-untuned": {"heads": "headrank", "aggregation": "log-sum"},
        "headrank": {"heads": "headrank", "aggregation": "log-sum", "adapter": "own"},
    },
    "experiment": {
        "models": ["tiny"],
        "sets": ["exam"],
        "methods": ["bm25", "random", "icr", "headrank-untuned", "headrank"],
    },
    "evaluation": {"comparisons": [["headrank", "bm25"]], "resamples": 1000},
}
# What the experiment is for: every run, its evaluation and its main table.
TARGETS = ["results/tables/main.md", "results/evaluation/significance.csv"]


def write(folder: Path, change: Callable[[dict], object] | None = None) -> Path:
    """Write model, collection and config into a working folder; return the config's path."""
    save(folder / "given/model", max_position_embeddings=1024)
    collection(folder / "given/food")
    config = deepcopy(CONFIG)
    if change is not None:
        change(config)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def collection(folder: Path, queries: int = 4) -> None:
    """Write the collection: query N of a split asks for a word, two documents are relevant."""
    folder.mkdir(parents=True)
    write_jsonl(
        folder / "corpus.jsonl",
        (
            {"doc_id": f"d{n}", "title": word.title(), "text": f"{word} and {WORDS[n - 1]} here"}
            for n, word in enumerate(WORDS)
        ),
    )
    asked = {"test": "Where is {}?", "train": "Who sells {}?", "more": "What is {} and honey?"}
    write_jsonl(
        folder / "queries.jsonl",
        (
            {"query_id": f"{split}{n}", "text": text.format(WORDS[n]), "split": split}
            for split, text in asked.items()
            for n in range(queries)
        ),
    )
    (folder / "qrels.tsv").write_text(
        "".join(
            f"{split}{n} 0 d{n} 2\n{split}{n} 0 d{n + 1} 1\n{split}{n} 0 d{n + 2} 0\n"
            for split in asked
            for n in range(queries)
        )
    )


def without_model(config: dict) -> None:
    """Change the config to one whose methods load no model."""
    for key in ("selections", "alignments"):
        del config[key]
    config["sets"] = {name: config["sets"][name] for name in ("exam", "heads")}
    config["methods"] = {name: config["methods"][name] for name in ("bm25", "random")}
    config["experiment"]["methods"] = ["bm25", "random"]
    config["evaluation"]["comparisons"] = [["bm25", "random"]]
