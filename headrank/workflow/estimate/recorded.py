"""What earlier runs of a workflow tell about its cost: sizes, lengths and speeds."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from headrank.baselines.generation.records import load_records
from headrank.io.arrays import ArrayFile
from headrank.io.files import read_json, read_jsonl
from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import Known, Shape, Speed


def known(
    config: Mapping,
    results: str | os.PathLike = "results",
    resources: str | os.PathLike = "resources",
    *,
    others: Iterable[str | os.PathLike] = (),
) -> Known:
    """Return what is found below the folders; a run that left nothing tells nothing.

    Speeds are those of whole jobs, the loading of the model included, in seconds of wall
    time as Snakemake's benchmark files record them. Readings count if they were made with
    the model's declared device and dtype.

    Args:
        others: results of other configs, for the speeds of reading, generation and indexing
            alone: their sets and recipes may be others of the same names.

    Raises:
        HeadRankError: a file is damaged.
    """
    results, resources = Path(results), Path(resources)
    folders = [results, *map(Path, others)]
    cards = {n: resources / "collections" / n / "collection.json" for n in config["collections"]}
    documents = {n: read_json(c)["counts"]["documents"] for n, c in cards.items() if c.is_file()}
    sampled = {name: results / "sets" / name / "set.json" for name in config["sets"]}
    models = {n: resources / "models" / n for n in (*config["models"], *config["encoders"])}
    found = Known(
        documents=documents,
        queries={n: read_json(card)["queries"] for n, card in sampled.items() if card.is_file()},
        shapes={
            name: _shape(read_json(models[name] / "config.json"))
            for name in config["models"]
            if (models[name] / "config.json").is_file()
        },
        weights={
            name: sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e9
            for name, folder in models.items()
            if (folder / "headrank.json").is_file()
        },
        archives={p.name: p.stat().st_size / 1e9 for p in (resources / "archives").glob("*")},
        generation=_generation(config, folders),
        indexing=_speed(
            (documents[path.stem], _seconds(path))
            for folder in folders
            for path in sorted((folder / "benchmarks/indexes").glob("*.jsonl"))
            if path.stem in documents
        ),
        **_readings(config, folders),
    )
    return replace(found, training=dict(_training(config, results, found)))


def _shape(card: Mapping) -> Shape:
    """Return the shape that a model's config.json tells."""
    card = card.get("text_config", card)
    return Shape(card["num_hidden_layers"], card["num_attention_heads"])


def _seconds(path: Path) -> float:
    """Return the wall time of one of Snakemake's benchmark files (JSON lines)."""
    return sum(float(record["s"]) for _, record in read_jsonl(path))


def _speed(jobs: Iterable[tuple[float, float]]) -> Speed | None:
    """Return the speed of jobs, each told as (work, seconds); None if nothing was done."""
    jobs = list(jobs)
    work, seconds = sum(work for work, _ in jobs), sum(seconds for _, seconds in jobs)
    return Speed(work / seconds, "measured") if work and seconds else None


def _recorded(folders: Sequence[Path], kind: str, suffix: str) -> Iterator[tuple[Path, Path, Path]]:
    """Yield ``(results, file, its benchmark)`` of the jobs that read or ask a model.

    Only those whose file is there; it counts from the folder of its kind.
    """
    for folder in folders:
        times = folder / "benchmarks" / kind
        for path in sorted(times.glob("*/*/*/*/*.jsonl")):
            file = path.relative_to(times).with_suffix(suffix)
            if (folder / kind / file).is_file():
                yield folder, file, path


def _as_declared(made: Mapping, declared: Mapping) -> bool:
    """Return whether weights were loaded as a model declares it, where ``auto`` is any device."""
    return made["dtype"] == declared["dtype"] and declared["device"] in ("auto", made["device"])


def _readings(config: Mapping, folders: Sequence[Path]) -> dict[str, dict]:
    """Return what readings tell of `Known`: lengths in the first folder, speeds in all."""
    costs = config["estimate"]
    documents, tokens = Counter(), Counter()
    jobs = {"reading": defaultdict(list), "aligned": defaultdict(list)}
    for folder, path, time in _recorded(folders, "readings", ".npz"):
        name, model, adapter, *_ = path.parts
        if name not in config["sets"] or model not in config["models"]:
            continue
        file = ArrayFile(folder / "readings" / path, "reading", "read again")
        if not _as_declared(file.meta["provenance"], config["models"][model]):
            continue
        spans = [file[f"spans.{number}"] for number in range(len(file.meta["queries"]))]
        read, seconds = sum(map(len, spans)), _seconds(time)
        inside = sum(int((one[:, 1] - one[:, 0]).sum()) for one in spans)
        if not (read and seconds):
            continue
        if folder == folders[0]:
            documents[name] += read
            tokens[name] += inside
        # The same parts of a prompt as in the estimate's own lists.
        prompt = inside + read * costs["marker_tokens"] + len(spans) * costs["prompt_tokens"]
        jobs["reading" if adapter == "none" else "aligned"][model].append((prompt, seconds))
    return {
        "document_tokens": {name: tokens[name] / count for name, count in documents.items()},
        **{kind: {m: _speed(parts) for m, parts in of.items()} for kind, of in jobs.items()},
    }


def _generation(config: Mapping, folders: Sequence[Path]) -> dict[tuple[str, str], Speed]:
    """Return the speed of each generative method on each model, in tokens of its prompts."""
    jobs = defaultdict(list)
    for folder, path, time in _recorded(folders, "generation", ".jsonl"):
        _, model, _, method, _ = path.parts
        if model not in config["models"]:
            continue
        settings, lists = load_records(folder / "generation" / path)
        # Lists side by side take another time than one by one.
        batch = config["methods"].get(method, {}).get("batch")
        if settings["method"]["batch"] == batch and _as_declared(settings, config["models"][model]):
            prompts = sum(found["prompt_tokens"] for found in lists)
            jobs[model, method].append((prompts, _seconds(time)))
    return {key: speed for key, parts in jobs.items() if (speed := _speed(parts))}


def _training(config: Mapping, results: Path, found: Known) -> Iterator[tuple[str, Speed]]:
    """Yield the speed of each model's trainings, those of a kind of work summed."""
    plan = Plan(config, found)
    for model in config["models"]:
        jobs = []
        for path in sorted((results / "benchmarks/adapters" / model).glob("*.jsonl")):
            recipe = config["alignments"].get(path.stem.rpartition("-")[0])
            work = math.nan if recipe is None else plan.work(recipe)[2]
            if math.isfinite(work):
                jobs.append((work, _seconds(path)))
        if speed := _speed(jobs):
            yield model, speed
