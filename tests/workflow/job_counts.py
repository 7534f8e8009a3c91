"""How many jobs of each rule a config asks for, counted without Snakemake."""

from collections import Counter

import yaml
from snakemake.utils import update_config

from headrank.workflow.config.checks import configure


def complete(files):
    """Return the merged config with its defaults."""
    config = {}
    for path in files:
        update_config(config, yaml.safe_load(path.read_text()))
    configure(config)
    return config


def queries(config, name):
    """Return the pinned number of queries of a set that takes all."""
    entry = config["sets"][name]
    source = config["collections"][entry["collection"]]["source"]
    return source.get("splits", {}).get(entry.get("split"), source)["expect"]["queries"]


def ablated(config, shards, models):
    """Return the jobs of the ablations on the report's set and order, if they are asked for."""
    if not config["report"].get("ablations"):
        return {}
    shard = shards[config["report"]["set"]]
    jobs = Counter(ablation_table=models, ablation_figure=models, evaluate_ablations=1)
    for factor in config["ablations"].values():
        method, count = config["methods"][factor["method"]], len(factor["values"])
        recipe = config["alignments"].get(method.get("adapter"))
        runs = models * count * (len(recipe["seeds"]) if recipe else 1)
        if factor["key"] == "truncated":
            jobs.update(rank_truncated=runs * shard, join_run=runs)
            continue
        jobs["rank_by_attention"] += runs
        if factor["key"].startswith("alignment."):
            jobs.update(align=runs, read=runs * shard)
        if factor["key"].startswith("alignment.pairs."):
            # Training alone reads no pairs of its own.
            jobs["mine_pairs"] += models * count
        if factor["key"] == "reselect":
            jobs["read"] += runs * sum(shards[name] for name in config["profiling"]["sets"])
    # The default of a factor is evaluated even if the experiment leaves its method out.
    defaults = {factor["method"] for factor in config["ablations"].values()}
    jobs["rank_by_attention"] += models * len(defaults - {*config["experiment"]["methods"]})
    return jobs


def layout(config, method):
    """Return the layout of an attention method, as its heads have it."""
    if "adapter" in method:
        method = {"heads": config["alignments"][method["adapter"]]["selection"]}
    return config["selections"].get(method["heads"], method).get("layout", "joint")


def grid(files):
    """Return the jobs a rule that a preset's grid implies, counted from its YAML."""
    config = {}
    for path in files:
        update_config(config, yaml.safe_load(path.read_text()))
    experiment, profiling = config["experiment"], config["profiling"]["sets"]
    models, orders = len(experiment["models"]), len(config["orders"])
    sets = experiment["sets"]
    methods = [config["methods"][name.partition("+")[0]] for name in experiment["methods"]]
    seeds = [
        len(config["alignments"].get(m.get("adapter"), {"seeds": [0]})["seeds"]) for m in methods
    ]
    runs = [
        (name, method, count if "heads" in method else 0)
        for name, method, count in zip(experiment["methods"], methods, seeds, strict=True)
    ]
    read = [(layout(config, m), m.get("adapter"), n) for _, m, n in runs if "heads" in m]
    # Each adapter, and the model as it came, is read in each order, or in blocks once.
    readings = sum(n * (orders if how == "joint" else 1) for how, _, n in set(read))
    adapters = sum({m["adapter"]: n for _, m, n in runs if "adapter" in m}.values())
    layouts = {how for how, _, _ in read}
    recipes = config["alignments"].values()
    training = {name for recipe in recipes for name in [*recipe["training"], recipe["validation"]]}
    used = {*sets, *profiling, *training}
    collections = {config["sets"][name]["collection"] for name in used}
    retrieved = {
        (e["collection"], e.get("split", "test")) for n, e in config["sets"].items() if n in used
    }
    limit = config.get("reading", {}).get("tokens_per_shard")
    # A document has its budget and 8 tokens around it; 100 stand around all.
    one = config["candidates"] * (config["prompt"]["document_tokens"] + 8) + 100
    jobs = {
        name: -(-queries(config, name) // (limit // one)) if limit else 1
        for name in {*sets, *profiling}
    }
    cells = len(sets) * models * orders
    shards = models * orders * sum(jobs[name] for name in sets)
    folds = [(m, n) for name, m, n in runs if n and "+" not in name]
    own = [n for n in collections if config["collections"][n].get("first_stage") == "own"]
    extra = ablated(config, jobs, models)
    assert config["report"].get("ablations", False) == bool(extra)
    encoders = Counter(method["encoder"] for method in methods if "encoder" in method)
    kinds = Counter(method["kind"] for method in methods if "encoder" in method)
    return extra | {
        "model": models + len(encoders),
        **({"rank_by_encoder": kinds["dense"] * len(sets)} if kinds["dense"] else {}),
        **(
            {"rank_by_cross_encoder": kinds["cross-encoder"] * sum(jobs[name] for name in sets)}
            if kinds["cross-encoder"]
            else {}
        ),
        "collection": len(collections),
        "index": len(collections) - len(own),
        "retrieve": len(retrieved),
        "query_set": len(used),
        "read": models * readings * sum(jobs[name] for name in sets)
        + models * len(layouts) * sum(jobs[name] for name in profiling)
        + extra.get("read", 0),
        "profile": models * ("joint" in layouts),
        "profile_apart": models * len(layouts - {"joint"}),
        "mine_pairs": models * len(recipes) + extra.get("mine_pairs", 0),
        "align": models * adapters + extra.get("align", 0),
        "rank_by_attention": cells * sum(n for m, n in folds if not m.get("truncated"))
        + extra.get("rank_by_attention", 0),
        "rank_truncated": shards * sum(n for m, n in folds if m.get("truncated"))
        + extra.get("rank_truncated", 0),
        "join_run": cells * sum(n for m, n in folds if m.get("truncated"))
        + kinds["cross-encoder"] * len(sets)
        + extra.get("join_run", 0),
        "fuse": cells * sum(n for name, _, n in runs if "+" in name),
        "rank_by_first_stage": len(sets),
        "rank_at_random": len(sets),
        "first_stage_check": 1,
        "evaluate": 1,
        "manifest": 1,
    }
