"""What an experiment will cost, from its config: jobs, tokens, disk and hours of each stage.

Nothing is fetched or run. Sizes are upper bounds where the config only bounds them (a
document's tokens, the layers that are read); hours are those of one device that does
one job after another, so N devices need an N-th. A speed is measured
(`headrank.workflow.estimate.recorded`) or assumed by the config with its source, and each row says
which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from headrank.baselines.generation import windows
from headrank.sources.pypi import pinned_files
from headrank.workflow.config.keys import stored_dtype
from headrank.workflow.config.usage import split_method
from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import (
    MINING,
    UNKNOWN,
    Known,
    Speed,
    Stage,
    list_bytes,
    record_bytes,
    run_bytes,
)

# LoRA on more projections, against queries and keys alone: values and output are as large
# again; gate, up and down of Qwen3-4B add 3.6 times as much.
PROJECTIONS = {"query-key": 1.0, "attention": 2.0, "all": 5.6}
RANK = 8
# Bytes of a parameter. Safetensors are published in bfloat16.
STORED = {"bfloat16": 2, "float32": 4}


def estimate(config: Mapping, known: Known | None = None) -> list[Stage]:
    """Return the stages of an experiment in the order of the data.

    Args:
        config: complete, as `headrank.workflow.config.checks.configure` leaves it.
        known: what earlier runs tell.

    What is neither known nor assumed is NaN: a document's tokens, a model's shape or speed.
    """
    plan = Plan(config, known or Known())
    stages = [*_data(plan), *(_weights(plan, name) for name in plan.x.used_models())]
    for model in plan.x.model_names:
        stages += _readings(plan, model)
        stages += [_generation(plan, model, name) for name in plan.of("generative")]
    stages += [_classification(plan, name) for name in plan.of("cross-encoder")]
    return [*stages, _rankings(plan)]


def adapter_bytes(config: Mapping, options: Mapping) -> float:
    """Return the size of one adapter, from `estimate.adapter_megabytes` by rank and projections."""
    scale = options["rank"] / RANK * PROJECTIONS[options["projections"]]
    return config["estimate"]["adapter_megabytes"] * 1e6 * scale


def _data(plan: Plan) -> Iterator[Stage]:
    """Yield the rows of downloads, of collections in our layout, their indexes and query sets."""
    costs, known, x = plan.costs, plan.known, plan.x
    collections = {name: x.collections[name] for name in x.used_collections()}
    files, fetched, kept = {}, 0.0, 0.0
    for name in (*collections, *x.used_models()):
        pins = pinned_files((x.collections | x.weights)[name]["source"])
        for pin in pins:
            size = costs["downloads"].get(name, {}).get("gigabytes", UNKNOWN) / len(pins)
            files[pin["file"]] = known.archives.get(pin["file"], size)
    if files:
        size = sum(files.values())
        basis = "measured" if files.keys() <= known.archives.keys() else "assumed"
        yield Stage("archives", "-", len(files), gigabytes=size, basis=basis, fetched=size)
    exported = [n for n, e in collections.items() if e["source"]["kind"] == "ir_datasets"]
    for name in exported:
        told, documents = costs["downloads"].get(name, {}), plan.documents(name)
        size = told.get("gigabytes", documents * costs["download_bytes"] / 1e9)
        fetched += size
        kept += size + told.get("unpacked", documents * costs["document_bytes"] / 1e9)
    if exported:
        # What ir_datasets fetches and unpacks; the collections' jobs do it.
        yield Stage("sources", "-", 0, gigabytes=kept, basis="assumed", fetched=fetched)
    size = plan.documents(*collections) * costs["document_bytes"] / 1e9
    yield Stage("collections", "-", len(collections), gigabytes=size, basis="assumed")
    indexed = [name for name, entry in collections.items() if entry["first_stage"] != "own"]
    count = plan.documents(*indexed)
    row = Stage("indexes", "-", len(indexed), gigabytes=count * costs["index_bytes"] / 1e9)
    assumed = Speed(costs["documents_per_second"], "assumed")
    yield row.at(known.speeds.get(("indexing",), assumed), count)
    # A set holds its documents, its candidates and what its first stage keeps.
    one = plan.candidates * costs["document_bytes"] + run_bytes(plan.candidates)
    one += run_bytes(plan.config["first_stage"]["depth"])
    queries = plan.queries(*x.used_roles())
    size = queries * one / 1e9
    yield Stage("query sets", "-", len(x.used_roles()), queries, gigabytes=size, basis="assumed")


def _weights(plan: Plan, name: str) -> Stage:
    """Return the row of a model's weights, as they lie in `resources/models`."""
    entry, costs = plan.x.weights[name], plan.costs
    form, hub = entry.get("format", "safetensors"), entry["source"]["kind"] == "huggingface"
    parameters = costs["models"].get(name, {}).get("parameters")
    kept = stored_dtype(entry) if form == "gguf" else "bfloat16"
    size = UNKNOWN if parameters is None else parameters * STORED[kept] / 1e9
    size = plan.known.weights.get(name, size)
    # A GGUF file is smaller than what it becomes; how much, its own size must tell.
    told = costs["downloads"].get(name, {}).get("gigabytes", UNKNOWN if form == "gguf" else size)
    basis = "measured" if name in plan.known.weights else "assumed"
    return Stage("weights", name, 1, gigabytes=size, basis=basis, fetched=told if hub else 0.0)


def _readings(plan: Plan, model: str) -> Iterator[Stage]:
    """Yield the rows of what one model reads head by head, and of what is trained in between."""
    calibrate = plan.config["reading"]["calibrate"]
    plain, aligned, own = plan.read(model)
    if plain:
        yield _reading(plan, "readings", model, plain, calibrate)
    mined = set()
    for name in plan.recipes:
        pairs, trained = _training(plan, model, name)
        yield from [trained] if plan.x.mined_as[name] in mined else [pairs, trained]
        mined.add(plan.x.mined_as[name])
    if aligned:
        yield _reading(plan, "aligned readings", model, aligned, False)
    if own:
        # They read as much, at most, and keep only the ranking.
        row = _reading(plan, "truncated rankings", model, own, calibrate)
        yield replace(row, gigabytes=plan.run_gigabytes(row.queries))


def _reading(
    plan: Plan, title: str, model: str, times: Mapping[str, int], calibrate: bool
) -> Stage:
    """Return the reading of sets, each so many times, by one model."""
    documents, budget, shape = plan.candidates, plan.budget, plan.shape(model)
    reading = plan.config["reading"]
    kept = {"calibrate": calibrate, "keep_tokens": reading["tokens"] == "all"}
    kept["max_logits"] = reading["max_logits"]

    def one(name: str) -> tuple[float, float]:
        inside = documents * plan.document_tokens(name, budget)
        size = list_bytes(shape, documents, inside, **kept)
        return plan.list_tokens(name, documents, budget), size

    row = plan.stage(title, model, times, one)
    speed = plan.speed(model, "aligned" if title.startswith("aligned") else "reading")
    return row.at(speed, row.tokens)


def _training(plan: Plan, model: str, name: str) -> tuple[Stage, Stage]:
    """Return the mining of a recipe's pairs and the training of its adapters."""
    recipe = plan.x.recipes[name]
    queries, seeds = plan.queries(*recipe["training"]), len(recipe["seeds"])
    if recipe["queries"] is not None:
        queries = min(queries, recipe["queries"])
    lists, tokens, equivalent = plan.work(recipe)
    size = seeds * adapter_bytes(plan.config, recipe["options"]) / 1e9
    read = (0, 0.0) if _unread(recipe) else (queries, lists)
    pairs = Stage(f"{MINING} {name}", model, 1, *read)
    trained = Stage(f"training of {name}", model, seeds, queries, seeds * tokens, size)
    return (
        pairs.at(plan.speed(model), pairs.tokens),
        trained.at(plan.speed(model, "training"), seeds * equivalent),
    )


def _unread(recipe: Mapping) -> bool:
    """Return whether mining reads no list of two grades: no cap can drop a pair of one.

    With more grades the boundaries take turns, which may.
    """
    options, documents = recipe["pairs"], recipe["documents"]
    most = documents * documents // 4  # half of the documents above, half below
    free = options["hardness"] == "random" or most <= min(
        options["per_query"], options["per_boundary"]
    )
    return free and not options["margins"]


def _generation(plan: Plan, model: str, name: str) -> Stage:
    """Return the answers of one generative method; without a say of order, asked once."""
    costs, entry = plan.costs, plan.x.declared[name]

    def work(given: str) -> windows.Work:
        document = plan.document_tokens(given, plan.budget) + costs["marker_tokens"]
        return windows.work(entry, plan.candidates, document, costs["prompt_tokens"])

    def one(given: str) -> tuple[float, float]:
        made = work(given)
        answers = 0 if entry["protocol"] == "query-likelihood" else made.passes
        size = record_bytes(plan.candidates, answers, made.places, made.new_tokens)
        return made.prompt_tokens, size

    asked = dict.fromkeys(
        (given, *plan.x.generations(given, model, order, name))
        for given, of, _, order, method in plan.cells
        if of == model and split_method(method)[0] == name
    )
    row = plan.stage(f"generation by {name}", model, Counter(given for given, *_ in asked), one)
    prompt, new = row.tokens, row.queries * work(plan.x.sets[0]).new_tokens
    row = replace(row, tokens=prompt + new)
    if speed := plan.known.speeds.get(("generation", model, name)):
        return row.at(speed, prompt)
    # A step writes a token of each list of the batch.
    seconds = prompt / plan.speed(model).per_second
    seconds += new / (costs["new_tokens_per_second"] * entry["batch"])
    hours = seconds / 3600
    return replace(row, hours=hours, per_second=prompt / hours / 3600, basis="assumed")


def _classification(plan: Plan, name: str) -> Stage:
    """Return the scores of a cross-encoder, which reads each passage with the query.

    Its texts are cut at the encoder's own limit alone, so that bounds their tokens.
    """
    encoder = plan.x.declared[name]["encoder"]
    tokens = plan.candidates * plan.x.weights[encoder]["max_tokens"]
    one = (tokens, run_bytes(plan.candidates))
    row = plan.stage(f"scores of {name}", encoder, Counter(plan.x.sets), lambda given: one)
    told = plan.costs["models"].get(encoder, {}).get("tokens_per_second", UNKNOWN)
    return row.at(Speed(told, "assumed"), row.tokens)


def _rankings(plan: Plan) -> Stage:
    """Return the cheap rest: one job a run."""
    runs, lists = len(plan.cells), plan.queries(*(cell[0] for cell in plan.cells))
    hours = runs * plan.costs["seconds_per_run"] / 3600
    size = plan.run_gigabytes(lists)
    return Stage("rankings", "-", runs, lists, gigabytes=size, hours=hours, basis="assumed")
