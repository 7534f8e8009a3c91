"""What earlier runs of a workflow tell about its cost: sizes, lengths and speeds."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from headrank.baselines.generation.records import load_records
from headrank.io.arrays import ArrayFile
from headrank.io.files import read_json, read_jsonl
from headrank.workflow.estimate.own_folders import own_corpora, own_queries
from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import Known, Shape, Speed
from headrank.workflow.job import RESUMED

# What a set is sampled by: a card of other values tells another number of queries.
SAMPLING = ("collection", "split", "pool", "take", "skip")


class Job(NamedTuple):
    """One recorded job.

    ``key`` is that of its speed in `Known`, ``work`` counts tokens (or documents), and ``seconds``
    are wall time. Of a reading: ``name`` of its set, ``documents`` and the tokens ``inside`` them.
    """

    key: tuple[str, ...]
    work: float
    seconds: float
    name: str = ""
    documents: int = 0
    inside: int = 0


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
    collections = _cards(resources / "collections", config["collections"], "collection.json")
    shapes = _cards(resources / "models", config["models"], "config.json")
    weights = _cards(resources / "models", config["models"] | config["encoders"], "headrank.json")
    documents = {name: card["counts"]["documents"] for name, card in collections.items()}
    own = own_corpora(config)
    jobs = list(_jobs(config, results, documents))
    found = Known(
        documents={name: one.documents for name, one in own.items()} | documents,
        queries=own_queries(config)
        | {
            name: card["queries"]
            for name, card in _cards(results / "sets", config["sets"], "set.json").items()
            if _sampled_so(card, config, name)
        },
        document_tokens=_rates((job.name, job.inside, job.documents) for job in jobs),
        corpus_tokens={name: one.tokens for name, one in own.items()},
        shapes={name: _shape(card) for name, card in shapes.items()},
        weights={name: _gigabytes((resources / "models" / name).rglob("*")) for name in weights},
        archives={path.name: _gigabytes([path]) for path in (resources / "archives").glob("*")},
    )
    jobs += [job for folder in others for job in _jobs(config, Path(folder), documents)]
    jobs += _trainings(config, results, found)
    speeds = _rates((job.key, job.work, job.seconds) for job in jobs)
    return replace(found, speeds={key: Speed(rate, "measured") for key, rate in speeds.items()})


def _cards(folder: Path, names: Iterable[str], card: str) -> dict[str, dict]:
    """Return the cards of the folders that are there, by name."""
    paths = {name: folder / name / card for name in names}
    return {name: read_json(path) for name, path in paths.items() if path.is_file()}


def _sampled_so(card: Mapping, config: Mapping, name: str) -> bool:
    """Return whether a set was sampled as the config samples it now."""
    asked = {key: config["sets"][name][key] for key in SAMPLING}
    asked |= {"candidates": config["candidates"], "seed": config["seed"]}
    return asked.items() <= card.items()


def _shape(card: Mapping) -> Shape:
    """Return the shape that a model's config.json tells."""
    card = card.get("text_config", card)
    return Shape(card["num_hidden_layers"], card["num_attention_heads"])


def _gigabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e9


def _seconds(path: Path) -> float:
    """Return the wall time of one of Snakemake's benchmark files (JSON lines)."""
    return sum(float(record["s"]) for _, record in read_jsonl(path))


def _rates(parts: Iterable[tuple[Any, float, float]]) -> dict[Any, float]:
    """Return the sum of the first numbers over that of the second by key, where both are told."""
    above, below = Counter(), Counter()
    for key, one, other in parts:
        above[key] += one
        below[key] += other
    return {key: above[key] / below[key] for key in above if above[key] and below[key]}


def _jobs(config: Mapping, folder: Path, documents: Mapping[str, int]) -> Iterator[Job]:
    """Yield a folder's jobs that index, read or ask a model as this config does.

    Only those whose file is there: benchmarks outlive what was deleted. A job that went on behind
    a killed one is passed over: its benchmark holds a part of its time.
    """
    times = folder / "benchmarks"
    for path in sorted((times / "indexes").glob("*.jsonl")):
        if path.stem in documents:
            yield Job(("indexing",), documents[path.stem], _seconds(path))
    for kind, suffix, told in (("readings", ".npz", _reading), ("generation", ".jsonl", _answers)):
        for path in sorted((times / kind).glob("*/*/*/*/*.jsonl")):
            file = folder / path.relative_to(times).with_suffix(suffix)
            mark = (folder / "checkpoints" / path.relative_to(times)).with_suffix(RESUMED)
            if path.parts[-4] in config["models"] and file.is_file() and not mark.exists():
                yield from told(config, file, _seconds(path))


def _as_declared(made: Mapping, declared: Mapping) -> bool:
    """Return whether weights were loaded as a model declares it, where ``auto`` is any device."""
    return made["dtype"] == declared["dtype"] and declared["device"] in ("auto", made["device"])


def _reading(config: Mapping, path: Path, seconds: float) -> Iterator[Job]:
    """Yield the job of a reading ``SET/MODEL/ADAPTER/ORDER/SHARD.npz`` of a declared set."""
    costs, (name, model, adapter) = config["estimate"], path.parts[-5:-2]
    if name not in config["sets"]:
        return
    file = ArrayFile(path, "reading", "read again")
    spans = [file[f"spans.{number}"] for number in range(len(file.meta["queries"]))]
    read, inside = sum(map(len, spans)), sum(int((s[:, 1] - s[:, 0]).sum()) for s in spans)
    # The same parts of a prompt as in the estimate's own lists.
    prompt = inside + read * costs["marker_tokens"] + len(spans) * costs["prompt_tokens"]
    made = file.meta["provenance"]
    if read and seconds and _as_declared(made, config["models"][model]):
        key = ("reading" if adapter == "none" else "aligned", model)
        cut = made["prompt"]["document_tokens"]
        # Documents that were cut elsewhere tell a speed, and not how long documents are.
        same = cut == config["prompt"].get("document_tokens")
        yield Job(key, prompt, seconds, name, read if same else 0, inside)


def _answers(config: Mapping, path: Path, seconds: float) -> Iterator[Job]:
    """Yield the job of a record of answers ``SET/MODEL/ORDER/METHOD/SHARD.jsonl``.

    Lists side by side take another time than one by one, so the batch is the config's.
    """
    model, _, method = path.parts[-4:-1]
    made, lists = load_records(path)
    batch = config["methods"].get(method, {}).get("batch")
    if made["method"]["batch"] == batch and _as_declared(made, config["models"][model]):
        prompts = sum(one["prompt_tokens"] for one in lists)
        yield Job(("generation", model, method), prompts, seconds)


def _trainings(config: Mapping, results: Path, found: Known) -> Iterator[Job]:
    """Yield the trainings of the config's recipes."""
    plan = Plan(config, found)
    for path in sorted((results / "benchmarks/adapters").glob("*/*.jsonl")):
        recipe, model = config["alignments"].get(path.stem.rpartition("-")[0]), path.parent.name
        work = math.nan if recipe is None else plan.work(recipe)[2]
        resumed = (results / "checkpoints" / model / f"{path.stem}{RESUMED}").exists()
        if model in config["models"] and math.isfinite(work) and not resumed:
            yield Job(("training", model), work, _seconds(path))
