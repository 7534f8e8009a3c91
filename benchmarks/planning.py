"""CPU time of planning (`snakemake -n`) against the number of jobs, on grids made up for it.

python -m benchmarks.planning 10 20 40 80
python -m benchmarks.planning --configfile config/paper.yaml
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.command import write
from headrank.errors import HeadRankError
from headrank.io.files import write_jsonl

ROOT = Path(__file__).resolve().parents[1]
QUERIES, SHARDS = 40, 4
"""Queries of each evaluated set, and the jobs that read them."""

_DOCUMENT_TOKENS, _CANDIDATES = 32, 5
_SPLITS = {"test": QUERIES, "heads": 5, "train": 5, "valid": 5}


def made_up(folder: Path, sets: int, models: int = 3) -> Path:
    """Write a grid of so many collections and models, all local; return its config.

    Collections have the splits of an experiment with profiling and training, a set each is
    evaluated, and every kind of method runs in three prompt orders.
    """
    names = [f"collection-{number}" for number in range(sets)]
    for name in names:
        _collection(folder / "data" / name)
    decoders = [f"model-{number}" for number in range(models)]
    for name in decoders:
        (folder / "weights" / name).mkdir(parents=True)
        (folder / "weights" / name / "config.json").write_text("{}")
    config = _config(names, decoders)
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def _collection(folder: Path) -> None:
    """Write a collection in our layout; queries of every split are their own."""
    folder.mkdir(parents=True)
    documents = ({"doc_id": f"d{n}", "title": "", "text": f"passage {n}"} for n in range(10))
    write_jsonl(folder / "corpus.jsonl", documents)
    queries = [(split, number) for split, count in _SPLITS.items() for number in range(count)]
    write_jsonl(
        folder / "queries.jsonl",
        (
            {"query_id": f"{split}-{n}", "text": f"what of {split} {n}", "split": split}
            for split, n in queries
        ),
    )
    lines = [f"{split}-{n} 0 d{n % 10} 1\n" for split, n in queries]
    (folder / "qrels.tsv").write_text("".join(lines))


def _config(names: list[str], models: list[str]) -> dict:
    """Return the config of a grid."""
    first = names[0]
    roles = {"heads": "profiling", "train": "alignment", "valid": "alignment"}
    # Of all its sets only the first collection's select heads and train.
    sets = {name: {"collection": name, "role": "evaluation", "take": QUERIES} for name in names}
    sets |= {
        split: {"collection": first, "split": split, "role": role, "take": _SPLITS[split]}
        for split, role in roles.items()
    }
    one = _CANDIDATES * (_DOCUMENT_TOKENS + 8) + 100
    return {
        "models": {
            name: {"source": {"kind": "local", "path": f"weights/{name}"}, "format": "safetensors"}
            for name in models
        },
        "collections": {
            name: {"source": {"kind": "local", "path": f"data/{name}"}} for name in names
        },
        "sets": sets,
        "first_stage": {"depth": 10},
        "candidates": _CANDIDATES,
        "prompt": {"document_tokens": _DOCUMENT_TOKENS},
        "reading": {"tokens": "none", "tokens_per_shard": QUERIES // SHARDS * one},
        "orders": ["shuffled", "first-stage", "reversed"],
        "profiling": {"sets": ["heads"]},
        "selections": {
            "core": {"criterion": "contrastive", "heads": 8},
            "headrank": {"criterion": "graded", "heads": 8},
        },
        "alignments": {
            "own": {
                "selection": "headrank",
                "training": ["train"],
                "validation": "valid",
                "seeds": [1, 2],
            }
        },
        "methods": {
            "bm25": {"kind": "first-stage"},
            "random": {"kind": "random"},
            "icr": {"heads": "all", "calibrate": True, "outliers": True},
            "core": {"heads": "core", "truncated": True},
            "headrank-untuned": {"heads": "headrank", "aggregation": "log-sum"},
            "headrank": {"heads": "headrank", "aggregation": "log-sum", "adapter": "own"},
            "pointwise": {"kind": "generative", "protocol": "pointwise"},
        },
        "experiment": {
            "models": models,
            "sets": names,
            "methods": [
                *("bm25", "random", "icr", "core", "headrank-untuned", "headrank-untuned+bm25"),
                *("headrank", "headrank+bm25", "pointwise"),
            ],
        },
        "evaluation": {"comparisons": [["headrank", "bm25"]]},
        "report": {"set": first},
    }


def plan(configs: Sequence[Path], folder: Path) -> dict[str, float]:
    """Return jobs, CPU seconds and wall seconds of one dry run that works in a folder.

    Raises:
        HeadRankError: Snakemake refuses the config.
    """
    before, start = _children(), time.monotonic()
    result = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(folder), "--cores", "1", "--dry-run", "--quiet", "rules"),
            *("--configfile", *(str(path.resolve()) for path in configs)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = re.search(r"^total +(\d+)$", result.stdout, re.M)
    if result.returncode or found is None:
        raise HeadRankError(f"the dry run failed:\n{result.stdout[-2000:]}")
    return {
        "jobs": int(found.group(1)),
        "cpu_seconds": _children() - before,
        "wall_seconds": time.monotonic() - start,
    }


def _children() -> float:
    """Return the CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=int, nargs="*", help="evaluated sets, one grid each")
    parser.add_argument("--configfile", type=Path, nargs="+", help="plan these instead")
    parser.add_argument("--output", help="CSV; default: a table on stdout")
    options = parser.parse_args(arguments)
    if bool(options.sets) == bool(options.configfile):
        parser.error("name either numbers of sets or --configfile")
    rows = []
    for count in options.sets or [None]:
        with tempfile.TemporaryDirectory(prefix="planning-") as folder:
            work = Path(folder)
            configs = options.configfile or [made_up(work, count)]
            name = {"sets": count} if count else {"configs": " ".join(p.stem for p in configs)}
            rows.append(name | plan(configs, work))
    write(pd.DataFrame(rows), options.output)


if __name__ == "__main__":
    main()
