"""What an experiment uses of its config, and how large that is, before anything is fetched."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrank.options.fold import MAX_LOGIT
from headrank.workflow.config.layouts import recipe_layout

# What stands around each document and around them all, for the size of shards alone. Not
# `estimate.marker_tokens` and `prompt_tokens`: a better guess there must not read all sets again.
MARKER_TOKENS = 8
FRAME_TOKENS = 100


def split_method(name: str) -> tuple[str, str | None]:
    """Return ``(method, first stage)`` of a name in the experiment; no ``+`` gives None."""
    method, _, first = name.partition("+")
    return method, first or None


def used_selections(config: Mapping) -> list[str]:
    """Return the head selections that the experiment's methods use, in order of declaration."""
    bases = {split_method(name)[0] for name in config["experiment"]["methods"]}
    used = {config["methods"][name].get("heads") for name in bases if name in config["methods"]}
    return [name for name in config["selections"] if name in used]


def unrecorded(config: Mapping, name: str) -> str | None:
    """Return the key of `reading` that keeps readings from what an attention method folds.

    A truncated method reads for itself, but the report's figures fold readings of it all the same.
    """
    method, reading = config["methods"][name], config["reading"]
    if method["outliers"] and method["heads"] != "all" and reading["tokens"] != "all":
        return "tokens"
    if method["aggregation"] == MAX_LOGIT and not reading["max_logits"]:
        return "max_logits"
    return None


def used_recipes(config: Mapping) -> list[str]:
    """Return the alignment recipes that the experiment's methods use, in order of declaration."""
    bases = [split_method(name)[0] for name in config["experiment"]["methods"]]
    used = {config["methods"][name].get("adapter") for name in bases if name in config["methods"]}
    return [name for name in config["alignments"] if name in used]


def mined_as(config: Mapping) -> dict[str, str]:
    """Return for each alignment recipe the first declared one that mines the very same pairs.

    Recipes that differ in how they train alone (seeds, options, validation) share their pairs:
    mining reads every training list once.
    """
    parts = ("selection", "training", "queries", "documents", "document_tokens", "pairs")
    recipes = config["alignments"]

    def mined(name: str) -> list:
        return [recipe_layout(config, name), *(recipes[name][part] for part in parts)]

    return {
        name: next(first for first in recipes if mined(first) == mined(name)) for name in recipes
    }


def read_sets(config: Mapping) -> list[str]:
    """Return the sets that are read head by head: those evaluated and those profiled."""
    return list(dict.fromkeys([*config["experiment"]["sets"], *config["profiling"]["sets"]]))


def expected_queries(config: Mapping, name: str) -> int | None:
    """Return how many queries a set will hold at most; None if the config does not say.

    The sample's size is ``take``, or else what ``expect`` pins for the split, less ``skip``.
    A pool of rerankable queries, and queries dropped for standing in another role, can only
    make it smaller.
    """
    entry = config["sets"][name]
    source = config["collections"][entry["collection"]]["source"]
    part = source.get("splits", {}).get(entry["split"], source)
    pinned = part.get("expect", {}).get("queries")
    left = None if pinned is None else max(0, pinned - entry["skip"])
    sizes = [size for size in (entry["take"], left) if size is not None]
    return min(sizes, default=None)


def expected_documents(config: Mapping, name: str) -> int | None:
    """Return how many documents a collection will hold at most; None if the config does not say.

    Of a corpus that is exported in part these are as many candidates as are taken (or as the
    first stage keeps, where all are), and under ``judged+scored`` the judged documents.
    """
    source = config["collections"][name]["source"]
    if "documents" in source.get("expect", {}):
        return source["expect"]["documents"]
    if source.get("documents", "all") == "all":
        return None
    parts = [part.get("expect", {}) for part in source.get("splits", {"": source}).values()]
    if not all({"judgments", "queries"} <= part.keys() for part in parts):
        return None
    depth = source.get("depth", config["first_stage"]["depth"])
    judged = source["documents"] == "judged+scored"
    return sum(judged * part["judgments"] + depth * part["queries"] for part in parts)


def list_tokens(config: Mapping) -> int | None:
    """Return the most prompt tokens of one candidate list; None if no budget bounds a document."""
    budget = config["prompt"].get("document_tokens")
    if budget is None:
        return None
    return config["candidates"] * (budget + MARKER_TOKENS) + FRAME_TOKENS


def shards(config: Mapping, name: str) -> int:
    """Return how many jobs read, ask or classify a set: known before anything is fetched.

    With ``reading.tokens_per_shard`` no job gets more tokens of prompts than that, or one
    list where a list alone has more; the config's checks have seen to it that queries and
    tokens are bounded.
    """
    limit = config["reading"]["tokens_per_shard"]
    if limit is None:
        return config["reading"]["shards"]
    queries, tokens = expected_queries(config, name) or 0, list_tokens(config) or 0
    lists = max(1, limit // max(1, tokens))
    return max(1, math.ceil(queries / lists))
