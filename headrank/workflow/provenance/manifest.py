"""The manifest: what an experiment's results were made with, so that each can be traced."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import headrank
from headrank.baselines.generation.records import load_records
from headrank.data.trec import Run
from headrank.io.files import json_sha256, read_json, read_jsonl, sha256, utc
from headrank.io.folders import visible_files
from headrank.options.prompt import PromptOptions
from headrank.workflow.config.layouts import prompt_in, recipe_layout
from headrank.workflow.provenance.process import Host
from headrank.workflow.provenance.readers import distinct, reader_of

NAME = "manifest.json"
FORMAT = 2
# What is no result: Snakemake's own clock, states of a training that may go on, and the report,
# which holds nothing but copies.
APART = ("benchmarks", "checkpoints", "report.html", NAME)


@dataclass(frozen=True)
class Files:
    """The files of an experiment that a manifest tells of.

    Attributes:
        models, collections: ``{name: its own provenance file}`` (JSON): the SHA-256 of each
            weights, tokenizer and collection file.
        results: what the experiment asks for.
        runs: ``{run: queries.jsonl of its set}``; queries without a ranking are its failures.
        folder: the results' folder. What else lies there is listed apart, under ``others``:
            readings and other files on the way, and what another config left. Names of files
            count from the folder that it stands in.
        partial: the folder holds some of the results' files: an object store's job is brought
            those that it asks for.
    """

    models: Mapping[str, str | os.PathLike]
    collections: Mapping[str, str | os.PathLike]
    results: Sequence[str | os.PathLike]
    runs: Mapping[str | os.PathLike, str | os.PathLike]
    folder: str | os.PathLike
    partial: bool = False


def manifest(
    config: Mapping, files: Files, host: Host, originals: Mapping[str, Mapping] | None = None
) -> dict:
    """Return the provenance of an experiment: code, config, versions and hashes.

    Args:
        config: complete, with its defaults filled in.
        host: of this process.
        originals: `headrank.workflow.provenance.originals.noted` of the user's own files that the
            config names.

    Raises:
        HeadRankError: a reading, a run or a provenance file is damaged.
    """
    root = Path(files.folder).parent

    def name(path: str | os.PathLike) -> str:
        return Path(path).relative_to(root).as_posix()

    wanted = dict.fromkeys(sorted(name(path) for path in files.results))
    others = {name(path): path for path in result_files(files.folder) if name(path) not in wanted}
    readings = [p for p in others.values() if p.suffix == ".npz" and "readings" in p.parts]
    readers = [reader_of(path) for path in readings]
    return {
        "format": FORMAT,
        "partial": files.partial,
        "headrank": headrank.__version__,
        "written": utc(datetime.now(UTC).timestamp()),
        "git": host.git,
        "machine": host.machine,
        "packages": host.packages,
        # A conda environment of its own may hold other packages than this process, and on a
        # cluster the manifest is written where no GPU is.
        "reading_packages": distinct(made.get("versions") for made in readers),
        "reading_gpus": distinct(made.get("gpu") for made in readers),
        "reading_devices": distinct(made.get("device") for made in readers),
        "reading_commits": distinct(made.get("git") for made in readers),
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
            if name in files.models
        },
        "models": {name: read_json(path) for name, path in files.models.items()},
        "collections": {name: read_json(path) for name, path in files.collections.items()},
        "originals": dict(originals or {}),
        "failures": {
            name(run): missing
            for run, queries in files.runs.items()
            if (missing := missing_queries(run, queries))
        },
        # Not failures: these stand in a set of an earlier role, and are asked there.
        "dropped_queries": {
            path.parent.name: dropped
            for path in others.values()
            if path.name == "set.json" and path.parent.name in config["sets"]
            if (dropped := read_json(path)["dropped"])
        },
        # Training was in vain: no epoch was better on the validation queries, so epoch 0 was kept.
        "unaligned_adapters": [
            path.parent.as_posix()
            for path in map(Path, wanted)
            if path.name == "headrank.json" and "adapters" in path.parts
            if read_json(root / path)["best_epoch"] == 0
        ],
        "malformed_answers": {
            other: count
            for other, path in others.items()
            if path.suffix == ".jsonl" and "generation" in path.parts
            if (count := malformed_answers(path))
        },
        "results": {path: sha256(root / path) for path in wanted},
        "others": {other: sha256(path) for other, path in others.items()},
    }


def result_files(folder: str | os.PathLike) -> list[Path]:
    """Return every file of a results' folder that a manifest vouches for, sorted.

    Names that start with a dot are files in the making or the system's.
    """
    root = Path(folder)
    return [path for name, path in visible_files(root).items() if Path(name).parts[0] not in APART]


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
