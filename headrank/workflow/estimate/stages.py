"""What an experiment will cost, from its config: jobs, tokens, disk and hours of each stage.

Nothing is fetched or run. Sizes are upper bounds where the config only bounds them (a
document's tokens, the layers of an aligned model); hours are those of one device that does
one job after another, so N devices need an N-th. A speed is measured
(`headrank.workflow.estimate.recorded`) or assumed by the config with its source, and each row says
which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from headrank.baselines.generation import windows
from headrank.sources.pypi import pinned_files
from headrank.workflow.config.keys import stored_dtype
from headrank.workflow.config.layouts import method_layout
from headrank.workflow.config.usage import mined_as, split_method
from headrank.workflow.estimate.plan import Plan
from headrank.workflow.estimate.terms import (
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

    Raises:
        HeadRankError: no bound on a document's tokens, or a model whose shape or speed is
            neither known nor assumed; the message names the key.
    """
    plan = Plan(config, known or Known())
    stages = [*_data(plan), *(_weights(plan, name) for name in plan.weights)]
    for model in config["experiment"]["models"]:
        stages += _readings(plan, model) if plan.of("attention") else []
        stages += [_generation(plan, model, name) for name in plan.of("generative")]
    stages += [_classification(plan, name) for name in plan.of("cross-encoder")]
    return [*stages, _rankings(plan)]


def adapter_bytes(config: Mapping, options: Mapping) -> float:
    """Return the size of one adapter, from `estimate.adapter_megabytes` by rank and projections."""
    scale = options["rank"] / RANK * PROJECTIONS[options["projections"]]
    return config["estimate"]["adapter_megabytes"] * 1e6 * scale


def _data(plan: Plan) -> Iterator[Stage]:
    """Yield the rows of downloads, of collections in our layout, their indexes and query sets."""
    costs, known = plan.costs, plan.known
    files, fetched, kept = {}, 0.0, 0.0
    for name, entry in (*plan.collections.items(), *plan.weights.items()):
        told, pins = costs["downloads"].get(name, {}), pinned_files(entry["source"])
        for pin in pins:
            size = told.get("gigabytes", UNKNOWN) / len(pins)
            files[pin["file"]] = known.archives.get(pin["file"], size)
    if files:
        size = sum(files.values())
        basis = "measured" if files.keys() <= known.archives.keys() else "assumed"
        yield Stage("archives", "-", len(files), gigabytes=size, basis=basis, fetched=size)
    exported = [n for n, e in plan.collections.items() if e["source"]["kind"] == "ir_datasets"]
    for name in exported:
        told, documents = costs["downloads"].get(name, {}), plan.documents(name)
        size = told.get("gigabytes", documents * costs["download_bytes"] / 1e9)
        fetched += size
        kept += size + told.get("unpacked", documents * costs["document_bytes"] / 1e9)
    if exported:
        # What ir_datasets fetches and unpacks; the collections' jobs do it.
        yield Stage("sources", "-", 0, gigabytes=kept, basis="assumed", fetched=fetched)
    size = plan.documents(*plan.collections) * costs["document_bytes"] / 1e9
    yield Stage("collections", "-", len(plan.collections), gigabytes=size, basis="assumed")
    indexed = [name for name, entry in plan.collections.items() if entry["first_stage"] != "own"]
    count = plan.documents(*indexed)
    row = Stage("indexes", "-", len(indexed), gigabytes=count * costs["index_bytes"] / 1e9)
    yield row.at(known.indexing or Speed(costs["documents_per_second"], "assumed"), count)
    # A set holds its documents, its candidates and what its first stage keeps.
    one = plan.candidates * costs["document_bytes"] + run_bytes(plan.candidates)
    one += run_bytes(plan.config["first_stage"]["depth"])
    queries = plan.queries(*plan.used_sets)
    yield Stage(
        "query sets",
        "-",
        len(plan.used_sets),
        queries,
        gigabytes=queries * one / 1e9,
        basis="assumed",
    )


def _weights(plan: Plan, name: str) -> Stage:
    """Return the row of a model's weights, as they lie in `resources/models`."""
    entry, costs = plan.weights[name], plan.costs
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
    config, recipes = plan.config, plan.config["alignments"]
    profiled, calibrate = config["profiling"]["sets"], config["reading"]["calibrate"]
    yield _reading(plan, "readings", model, plan.plain(), calibrate)
    ablated = {m["adapter"] for m in plan.ablated.values() if "adapter" in m}
    apart = [name for name in recipes if name in ablated and name not in plan.recipes]
    mined, first = set(), mined_as(config)
    for name in [*plan.recipes, *apart]:
        pairs, trained = _training(plan, model, name)
        yield from [trained] if first[name] in mined else [pairs, trained]
        mined.add(first[name])
    if times := plan.adapted():
        aligned = [(name, times) for name in plan.sets]
        aligned += [(plan.report_set, len(recipes[name]["seeds"])) for name in apart]
        methods = [*plan.of("attention").values(), *plan.ablated.values()]
        chosen = {method["adapter"] for method in methods if method["reselect"]}
        again = sum(len(recipes[name]["seeds"]) for name in chosen)
        aligned += [(name, again) for name in profiled]
        yield _reading(plan, "aligned readings", model, aligned, False)
    times = sum(
        plan.seeds(method) * plan.times(method_layout(config, name))
        for name, method in plan.of("attention").items()
        if method["truncated"]
    )
    once = sum(plan.seeds(m) for m in plan.ablated.values() if m["truncated"])
    if times or once:
        own = [(name, times) for name in plan.sets] + [(plan.report_set, once)]
        # They read as much, at most, and keep only the ranking.
        row = _reading(plan, "truncated rankings", model, own, calibrate)
        yield replace(row, gigabytes=plan.run_gigabytes(row.queries))


def _reading(
    plan: Plan, stage: str, model: str, times: list[tuple[str, int]], calibrate: bool
) -> Stage:
    """Return the reading of sets, each so many times, by one model."""
    documents, budget = plan.candidates, plan.config["prompt"].get("document_tokens")
    keep, shape = plan.config["reading"]["tokens"] == "all", plan.shape(model)

    def size(name: str) -> float:
        inside = documents * plan.document_tokens(name, budget)
        return list_bytes(
            shape,
            documents,
            inside,
            calibrate=calibrate,
            keep_tokens=keep,
            max_logits=plan.config["reading"]["max_logits"],
        )

    counts = plan.lists(times, lambda name: plan.list_tokens(name, documents, budget), size)
    speed = plan.speed(model, "aligned" if stage.startswith("aligned") else "reading")
    return Stage(stage, model, **counts).at(speed, counts["tokens"])


def _training(plan: Plan, model: str, name: str) -> tuple[Stage, Stage]:
    """Return the mining of a recipe's pairs and the training of its adapters."""
    recipe = plan.config["alignments"][name]
    queries, seeds = plan.queries(*recipe["training"]), len(recipe["seeds"])
    if recipe["queries"] is not None:
        queries = min(queries, recipe["queries"])
    lists, tokens, equivalent = plan.work(recipe)
    size = seeds * adapter_bytes(plan.config, recipe["options"]) / 1e9
    pairs = Stage(f"pairs of {name}", model, 1, queries, lists)
    trained = Stage(f"training of {name}", model, seeds, queries, seeds * tokens, size)
    return (
        pairs.at(plan.speed(model), lists),
        trained.at(plan.speed(model, "training"), seeds * equivalent),
    )


def _generation(plan: Plan, model: str, name: str) -> Stage:
    """Return the answers of one generative method; without a say of order, asked once."""
    config, costs, entry = plan.config, plan.costs, plan.used[name]
    ordered = entry["protocol"] == "listwise"
    orders = len(entry["orders"] or config["orders"]) if ordered else 1
    budget = config["prompt"].get("document_tokens")

    def one(given: str) -> windows.Work:
        document = plan.document_tokens(given, budget) + costs["marker_tokens"]
        return windows.work(entry, plan.candidates, document, costs["prompt_tokens"])

    def size(given: str) -> float:
        work = one(given)
        answers = 0 if entry["protocol"] == "query-likelihood" else work.passes
        return record_bytes(plan.candidates, answers, work.places, work.new_tokens)

    times = [(given, orders) for given in plan.sets]
    counts = plan.lists(times, lambda given: one(given).prompt_tokens, size)
    prompt, new = counts["tokens"], counts["queries"] * one(plan.sets[0]).new_tokens
    row = Stage(f"generation by {name}", model, **counts | {"tokens": prompt + new})
    if speed := plan.known.generation.get((model, name)):
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
    encoder = plan.used[name]["encoder"]
    one = plan.candidates * plan.config["encoders"][encoder]["max_tokens"]
    counts = plan.lists([(given, 1) for given in plan.sets], lambda given: one)
    told = plan.costs["models"].get(encoder, {}).get("tokens_per_second", UNKNOWN)
    return Stage(f"scores of {name}", encoder, **counts).at(
        Speed(told, "assumed"), counts["tokens"]
    )


def _rankings(plan: Plan) -> Stage:
    """Return the cheap rest: one job a run."""
    config, models, times = plan.config, len(plan.config["experiment"]["models"]), 0
    for name in config["experiment"]["methods"]:
        entry = plan.used[split_method(name)[0]]
        if entry["kind"] in ("attention", "generative"):
            orders = len(entry.get("orders") or config["orders"])
            times += models * orders * plan.seeds(entry)
        else:
            times += 1
    alone = models * sum(plan.seeds(entry) for entry in plan.ablated.values())
    runs = times * len(plan.sets) + alone
    lists = times * plan.queries(*plan.sets) + alone * plan.queries(plan.report_set)
    hours = runs * plan.costs["seconds_per_run"] / 3600
    size = plan.run_gigabytes(lists)
    return Stage("rankings", "-", runs, lists, gigabytes=size, hours=hours, basis="assumed")
