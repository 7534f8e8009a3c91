"""What earlier runs of a workflow tell about its cost: sizes, lengths and speeds."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headrank.baselines.generation.records import load_records
from headrank.io.arrays import ArrayFile
from headrank.io.files import read_json, read_jsonl
from headrank.workflow.estimate.stages import training_work
from headrank.workflow.estimate.terms import Known, Shape, Speed

MEASURED = "measured"


@dataclass
class _Sum:
    """Documents, their tokens, lists and seconds of some readings."""

    documents: int = 0
    tokens: int = 0
    lists: int = 0
    seconds: float = 0.0


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
    sets, costs = config["sets"], config["estimate"]
    of_set: dict[str, _Sum] = defaultdict(_Sum)
    of_model: dict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for folder, name, model, adapter, reading in _readings(config, folders):
        kind = "reading" if adapter == "none" else "aligned"
        own = [of_set[name]] if folder == results else []
        for total in (*own, of_model[model, kind]):
            total.documents += reading.documents
            total.tokens += reading.tokens
            total.lists += reading.lists
            total.seconds += reading.seconds
    speeds: dict[str, dict[str, Speed]] = {"reading": {}, "aligned": {}}
    for (model, kind), total in of_model.items():
        # The same parts of a prompt as in the estimate's own lists.
        prompt = total.tokens + total.documents * costs["marker_tokens"]
        prompt += total.lists * costs["prompt_tokens"]
        speeds[kind][model] = Speed(prompt / total.seconds, MEASURED)
    found = Known(
        documents=dict(_documents(config, resources)),
        queries={
            name: read_json(card)["queries"]
            for name in sets
            if (card := results / "sets" / name / "set.json").is_file()
        },
        document_tokens={name: total.tokens / total.documents for name, total in of_set.items()},
        shapes=dict(_shapes(config, resources)),
        weights=dict(_weights(config, resources)),
        archives={
            path.name: path.stat().st_size / 1e9 for path in (resources / "archives").glob("*")
        },
        generation=dict(_generation(config, folders)),
        indexing=_indexing(config, folders, resources),
        **speeds,
    )
    return replace(found, training=dict(_training(config, results, found)))


def _seconds(path: Path) -> float:
    """Return the wall time of one of Snakemake's benchmark files (JSON lines)."""
    return sum(float(record["s"]) for _, record in read_jsonl(path))


def _recorded(folders: Sequence[Path], kind: str) -> Iterator[tuple[Path, Path]]:
    """Yield ``(results, file)`` of the benchmark files of the jobs that read or ask a model."""
    for folder in folders:
        times = folder / "benchmarks" / kind
        for path in sorted(times.glob("*/*/*/*/*.jsonl")):
            yield folder, path.relative_to(times)


def _readings(
    config: Mapping, folders: Sequence[Path]
) -> Iterator[tuple[Path, str, str, str, _Sum]]:
    """Yield ``(results, set, model, adapter, sums)`` of each reading whose time was recorded."""
    for folder, path in _recorded(folders, "readings"):
        name, model, adapter, *_ = path.parts
        readings = folder / "readings" / path.with_suffix(".npz")
        if name not in config["sets"] or model not in config["models"] or not readings.is_file():
            continue
        file = ArrayFile(readings, "reading", "read again")
        made, declared = file.meta["provenance"], config["models"][model]
        if not _as_declared(made, declared):
            continue
        seconds = _seconds(folder / "benchmarks/readings" / path)
        total = _Sum(seconds=seconds, lists=len(file.meta["queries"]))
        for number in range(total.lists):
            spans = file[f"spans.{number}"]
            total.documents += len(spans)
            total.tokens += int((spans[:, 1] - spans[:, 0]).sum())
        if total.documents and total.seconds:
            yield folder, name, model, adapter, total


def _as_declared(made: Mapping, declared: Mapping) -> bool:
    """Return whether weights were loaded as a model declares it, where ``auto`` is any device."""
    return made["dtype"] == declared["dtype"] and declared["device"] in ("auto", made["device"])


def _shapes(config: Mapping, resources: Path) -> Iterator[tuple[str, Shape]]:
    """Yield the shape of each model that is there."""
    for name in config["models"]:
        path = resources / "models" / name / "config.json"
        if path.is_file():
            card = read_json(path)
            card = card.get("text_config", card)
            yield name, Shape(card["num_hidden_layers"], card["num_attention_heads"])


def _weights(config: Mapping, resources: Path) -> Iterator[tuple[str, float]]:
    """Yield the gigabytes of each model and encoder that is there."""
    for name in (*config["models"], *config["encoders"]):
        folder = resources / "models" / name
        if (folder / "headrank.json").is_file():
            sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
            yield name, sum(sizes) / 1e9


def _documents(config: Mapping, resources: Path) -> Iterator[tuple[str, int]]:
    """Yield the number of documents of each collection that is there."""
    for name in config["collections"]:
        card = resources / "collections" / name / "collection.json"
        if card.is_file():
            yield name, read_json(card)["counts"]["documents"]


def _indexing(config: Mapping, folders: Sequence[Path], resources: Path) -> Speed | None:
    """Return the documents a second over all indexes whose time was recorded."""
    documents, seconds = 0, 0.0
    counts = dict(_documents(config, resources))
    for folder in folders:
        for name, count in counts.items():
            time = folder / "benchmarks/indexes" / f"{name}.jsonl"
            if time.is_file():
                documents += count
                seconds += _seconds(time)
    return Speed(documents / seconds, MEASURED) if documents and seconds else None


def _generation(
    config: Mapping, folders: Sequence[Path]
) -> Iterator[tuple[tuple[str, str], Speed]]:
    """Yield the speed of each generative method on each model, in tokens of its prompts."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for folder, path in _recorded(folders, "generation"):
        _, model, _, method, _ = path.parts
        records = folder / "generation" / path
        if model not in config["models"] or not records.is_file():
            continue
        settings, lists = load_records(records)
        if not _as_declared(settings, config["models"][model]):
            continue
        # Lists side by side take another time than one by one.
        declared = config["methods"].get(method, {}).get("batch")
        if settings["method"]["batch"] != declared:
            continue
        total = sums[model, method]
        total[0] += sum(found["prompt_tokens"] for found in lists)
        total[1] += _seconds(folder / "benchmarks/generation" / path)
    for key, (tokens, seconds) in sums.items():
        if tokens and seconds:
            yield key, Speed(tokens / seconds, MEASURED)


def _training(config: Mapping, results: Path, found: Known) -> Iterator[tuple[str, Speed]]:
    """Yield the speed of each model's trainings, those of a kind of work summed."""
    times = results / "benchmarks/adapters"
    for model in config["models"]:
        equivalent, seconds = 0.0, 0.0
        for path in sorted((times / model).glob("*.jsonl")):
            recipe = path.stem.rpartition("-")[0]
            work = training_work(config, recipe, found) if recipe in config["alignments"] else None
            if work is not None:
                equivalent += work.equivalent
                seconds += _seconds(path)
        if seconds:
            yield model, Speed(equivalent / seconds, MEASURED)
