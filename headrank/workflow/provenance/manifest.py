"""The manifest: what an experiment's results were made with, so that each can be traced."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import headrank
from headrank.baselines.generation.records import load_records
from headrank.data.trec import Run
from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile
from headrank.io.files import json_sha256, read_json, read_jsonl, sha256, utc
from headrank.models.devices import gpus
from headrank.options.prompt import PromptOptions
from headrank.workflow.config.layouts import prompt_in, recipe_layout
from headrank.workflow.provenance.process import git_state

NAME = "manifest.json"
FORMAT = 2
# What is no result: Snakemake's own clock, states of a training that may go on, and the report,
# which holds nothing but copies.
APART = ("benchmarks", "checkpoints", "report.html", NAME)
PACKAGES = (
    "bm25s",
    "numpy",
    "pandas",
    "peft",
    "pyarrow",
    "pytrec-eval-terrier",
    "scipy",
    "snakemake",
    "tokenizers",
    "torch",
    "transformers",
)


def manifest(
    config: Mapping,
    *,
    models: Mapping[str, str | os.PathLike],
    collections: Mapping[str, str | os.PathLike],
    results: Sequence[str | os.PathLike],
    runs: Mapping[str | os.PathLike, str | os.PathLike],
    folder: str | os.PathLike,
    repository: str | os.PathLike,
    originals: Mapping[str, Mapping] | None = None,
    partial: bool = False,
) -> dict:
    """Return the provenance of an experiment: code, config, versions and hashes.

    Args:
        config: complete, with its defaults filled in.
        models, collections: ``{name: its own provenance file}`` (JSON): the SHA-256 of each
            weights, tokenizer and collection file.
        results: what the experiment asks for.
        runs: ``{run: queries.jsonl of its set}``; queries without a ranking are its failures.
        folder: the results' folder. What else lies there is listed apart, under ``others``:
            readings and other files on the way, and what another config left. Names of files
            count from the folder that it stands in.
        repository: folder of the code.
        originals: `headrank.workflow.provenance.originals.noted` of the user's own files that the
            config names.
        partial: the folder holds some of the results' files: an object store's job is brought
            those that it asks for.

    Raises:
        HeadRankError: a reading, a run or a provenance file is damaged.
    """
    root = Path(folder).parent

    def name(path: str | os.PathLike) -> str:
        return Path(path).relative_to(root).as_posix()

    wanted = {name(path) for path in results}
    others = [path for path in result_files(folder) if name(path) not in wanted]
    readings = [path for path in others if path.suffix == ".npz" and "readings" in path.parts]
    return {
        "format": FORMAT,
        "partial": partial,
        "headrank": headrank.__version__,
        "written": utc(datetime.now(UTC).timestamp()),
        "git": git_state(repository),
        "machine": machine(),
        "packages": versions(PACKAGES),
        # A conda environment of its own may hold other packages than this process.
        "reading_packages": _of_readings(readings, "versions"),
        # On a cluster the manifest is written where no GPU is.
        "reading_gpus": _of_readings(readings, "gpu"),
        "reading_devices": _of_readings(readings, "device"),
        "reading_commits": _of_readings(readings, "git"),
        "seed": config["seed"],
        "config": dict(config),
        "config_sha256": json_sha256(config),
        "prompt_sha256": prompt_digest(config["prompt"]),
        "alignment_prompts_sha256": {
            name: alignment_prompt_digest(config, name) for name in config["alignments"]
        },
        "weights": {
            name: {key: entry.get(key) for key in ("dtype", "device")}
            for name, entry in config["models"].items()
            if name in models
        },
        "models": {name: read_json(path) for name, path in models.items()},
        "collections": {name: read_json(path) for name, path in collections.items()},
        "originals": dict(originals or {}),
        "failures": {
            name(run): missing
            for run, queries in runs.items()
            if (missing := missing_queries(run, queries))
        },
        # Not failures: these stand in a set of an earlier role, and are asked there.
        "dropped_queries": {
            path.parent.name: dropped
            for path in others
            if path.name == "set.json" and path.parent.name in config["sets"]
            if (dropped := read_json(path)["dropped"])
        },
        # Training was in vain: no epoch was better on the validation queries, so epoch 0 was kept.
        "unaligned_adapters": [
            path.parent.as_posix()
            for path in map(Path, sorted(wanted))
            if path.name == "headrank.json" and "adapters" in path.parts
            if read_json(root / path)["best_epoch"] == 0
        ],
        "malformed_answers": {
            name(path): count
            for path in others
            if path.suffix == ".jsonl" and "generation" in path.parts
            if (count := malformed_answers(path))
        },
        "results": {path: sha256(root / path) for path in sorted(wanted)},
        "others": {name(path): sha256(path) for path in others},
    }


def result_files(folder: str | os.PathLike) -> list[Path]:
    """Return every file of a results' folder that a manifest vouches for, sorted.

    Names that start with a dot are files in the making or the system's.
    """
    root = Path(folder)
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and path.relative_to(root).parts[0] not in APART
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def prompt_digest(options: Mapping) -> str:
    """Return the SHA-256 of a prompt's texts and limits, those that are defaults included.

    Raises:
        HeadRankError: as `headrank.options.prompt.PromptOptions`.
    """
    return json_sha256(PromptOptions(**options).described())


def alignment_prompt_digest(config: Mapping, recipe: str) -> str:
    """Return the SHA-256 of a recipe's training prompt, whose documents have their own limit."""
    tokens = config["alignments"][recipe]["document_tokens"]
    prompt = prompt_in(config, recipe_layout(config, recipe))
    return prompt_digest({**prompt, "document_tokens": tokens})


def missing_queries(run: str | os.PathLike, queries: str | os.PathLike) -> list[str]:
    """Return the ids of the queries that a run does not rank; each counts as 0 in every measure."""
    ranked = Run.load(run).rankings
    asked = [record["query_id"] for _, record in read_jsonl(queries)]
    return [query for query in asked if query not in ranked]


def malformed_answers(records: str | os.PathLike) -> int:
    """Return how many answers of a generative method's records lack the form asked for."""
    _, lists = load_records(records)
    return sum(not answer["well_formed"] for found in lists for answer in found["answers"])


def machine() -> dict[str, object]:
    """Return the machine of this process; nothing that names its owner.

    ``gpus`` holds name and driver version of each GPU, and is empty where there is none.
    """
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [{"name": gpu["name"], "driver": gpu["driver"]} for gpu in gpus()],
    }


def _of_readings(readings: Iterable[Path], key: str) -> list:
    """Return the distinct values of one key of the provenance of readings."""
    found: list = []
    for path in readings:
        meta = ArrayFile(path, "reading", "read again").meta
        if "provenance" not in meta:
            raise HeadRankError(f"{path}: no provenance in the reading; delete it and read again")
        made = meta["provenance"].get(key)
        if made and made not in found:
            found.append(made)
    return found


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the version of each package that is installed here."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
