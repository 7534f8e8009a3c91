"""The workflow's configuration, checked as a whole before any job starts.

Each key is checked by its own class (:mod:`headrank.workflow.config.keys`); here is what must fit
between the parts. Nothing here imports numpy or torch: the check also runs where only Snakemake
and its own dependencies are installed (jobs then bring their own environments).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from headrank.errors import HeadRankError
from headrank.options.fold import MAX_LOGIT
from headrank.settings.classes import fill
from headrank.settings.fields import type_of
from headrank.settings.words import explain
from headrank.workflow.config.ablations import expand, problems
from headrank.workflow.config.causes import Unknown, told
from headrank.workflow.config.keys import Config
from headrank.workflow.config.layouts import layout_problems
from headrank.workflow.config.prompts import prompt_problems
from headrank.workflow.config.report_problems import (
    evaluation_problems,
    group_problems,
    report_problems,
)
from headrank.workflow.config.roles import (
    ALIGNMENT,
    PROFILING,
    set_problems,
    sets_with,
    validation_problems,
)
from headrank.workflow.config.source_problems import (
    archive_problems,
    shard_problems,
    split_problems,
)
from headrank.workflow.config.usage import (
    split_method,
    used_recipes,
    used_selections,
)

ENCODED = ("dense", "cross-encoder")
"""Kinds of methods that an encoder ranks by."""
PARTS = ("models", "collections", "sets", "methods", "experiment")
"""What every config must have."""
NAMED = (
    *("models", "encoders", "collections", "sets"),
    *("selections", "alignments", "methods", "ablations"),
)
"""Mappings of a name to what it is; a later file takes one out of them by ``NAME: null``."""


def configure(config: dict) -> None:
    """Fill the config's defaults in place, add the ablated settings, and check it.

    Args:
        config: as read from YAML.

    Raises:
        HeadRankError: lists every error as ``key is value; allowed: ...``; what follows from
            another error is left out.
    """
    take_out(config)
    found = form_problems(config)
    if not found:
        found = told(cross_problems(config))
    if not found:
        expand(config)
        # What is derived has the type of what it is derived from, but for the ablated value.
        found = form_problems(config) or told(cross_problems(config))
    if found:
        count = "1 error" if len(found) == 1 else f"{len(found)} errors"
        raise HeadRankError("\n".join([f"the config has {count}:", *found]))


def take_out(config: dict) -> None:
    """Leave out, in place, what a later file sets to null: one declaration, or all ablations."""
    for part in NAMED:
        entries = config.get(part)
        if isinstance(entries, dict):
            config[part] = {name: entry for name, entry in entries.items() if entry is not None}
    if config.get("ablations", {}) is None:
        config["ablations"] = {}


def form_problems(config: dict) -> list[str]:
    """Return what is wrong with single keys; without any, fill the defaults in place."""
    try:
        made = Config.model_validate(config)
    except ValidationError as error:
        return _whole(config) or explain(error, Config)
    # Of the prompt only what is said is kept: the rest is the library's default, and to spell it
    # out would make every reading anew.
    given = dict(config.get("prompt", {}))
    fill(config, made)
    config["prompt"] = given
    return []


def _whole(config: Any) -> list[str]:
    """Return the one cause of many missing keys: a file that only changes another one."""
    absent = [key for key in PARTS if key not in config] if isinstance(config, dict) else []
    if len(absent) < 3:
        return []
    return [
        f"{', '.join(absent)} are missing: a config is a whole experiment, and only the files that "
        "are named are read; to change the demo, name it first: --configfile config/config.yaml "
        "CHANGES.yaml"
    ]


def check_sources(config: Mapping, path: str | os.PathLike) -> None:
    """Refuse declarations of models, encoders and collections that the workflow would refuse.

    Args:
        config: may lack all other parts.
        path: the file it was read from.

    Raises:
        HeadRankError: lists every error.
    """
    found = []
    for part in ("models", "encoders", "collections"):
        if config.get(part):
            kind = type_of(Config, part)
            try:
                TypeAdapter(kind).validate_python(config[part])
            except ValidationError as error:
                found += explain(error, kind, part)
    if found:
        raise HeadRankError("\n".join(f"{path}: {line}" for line in found))


def cross_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong between the parts of a config that has the right form."""
    yield from archive_problems(config)
    yield from split_problems(config)
    yield from set_problems(config)
    yield from shard_problems(config)
    yield from prompt_problems(config)
    yield from _method_problems(config)
    yield from _experiment_problems(config)
    yield from _profiling_problems(config)
    yield from _alignment_problems(config)
    yield from layout_problems(config)
    yield from evaluation_problems(config)
    yield from _ablation_problems(config)
    yield from report_problems(config)
    yield from group_problems(config)
    yield from _estimate_problems(config)


def _method_problems(config: Mapping) -> Iterator[str]:
    for name, method in config["methods"].items():
        path = f"methods.{name}"
        if method["kind"] in ENCODED and method["encoder"] not in config["encoders"]:
            encoders = sorted(config["encoders"])
            yield Unknown(f"{path}.encoder", method["encoder"], encoders, "encoders")
        if method["kind"] == "generative":
            for number, order in enumerate(method["orders"] or ()):
                if order not in config["orders"]:
                    yield Unknown(f"{path}.orders.{number}", order, config["orders"], "orders")
        if method["kind"] != "attention":
            continue
        if method["heads"] not in ("all", *config["selections"]):
            selections = ["all", *sorted(config["selections"])]
            yield Unknown(f"{path}.heads", method["heads"], selections, "selections")
        if method["calibrate"] and not config["reading"]["calibrate"]:
            yield f"{path}.calibrate is true; allowed: false, since reading.calibrate is false"
        chosen = method["heads"] != "all" and not method["truncated"]
        if method["outliers"] and chosen and config["reading"]["tokens"] != "all":
            yield (
                f"{path}.outliers is true for chosen heads; allowed: false, since reading.tokens "
                "is 'none' (set it to 'all', or truncated: true, which reads for itself)"
            )
        if (
            method["aggregation"] == MAX_LOGIT
            and not method["truncated"]
            and not config["reading"]["max_logits"]
        ):
            yield (
                f"{path}.aggregation is 'max-logit'; allowed: another one, since "
                "reading.max_logits is false (set it to true, or truncated: true, which reads for "
                "itself)"
            )
        recipe = config["alignments"].get(method.get("adapter"))
        trained = recipe is not None and recipe["options"]["scale"] == MAX_LOGIT
        if trained and method["aggregation"] != MAX_LOGIT:
            yield (
                f"{path}.aggregation is {method['aggregation']!r}; allowed: max-logit, since "
                f"alignments.{method['adapter']}.options.scale is 'max-logit': its heads are "
                "trained to rank by that"
            )
    for name, selection in config["selections"].items():
        if selection["criterion"] == MAX_LOGIT and not config["reading"]["max_logits"]:
            yield (
                f"selections.{name}.criterion is 'max-logit'; allowed: another one, since "
                "reading.max_logits is false (set it to true)"
            )
    if "all" in config["selections"]:
        yield "selections.all has a name that stands for every head; choose another"


def _experiment_problems(config: Mapping) -> Iterator[str]:
    experiment, methods, sets = config["experiment"], config["methods"], config["sets"]
    for number, name in enumerate(experiment["models"]):
        if name not in config["models"]:
            yield Unknown(f"experiment.models.{number}", name, sorted(config["models"]), "models")
    evaluation = sets_with(config, ("evaluation",))
    for number, name in enumerate(experiment["sets"]):
        if name not in sets:
            yield Unknown(f"experiment.sets.{number}", name, evaluation, "sets")
        elif name not in evaluation:
            yield (
                f"experiment.sets.{number} is {name!r}, a set for {sets[name]['role']}; "
                f"allowed: {', '.join(evaluation)}"
            )
    first_stages = sorted(n for n, method in methods.items() if method["kind"] == "first-stage")
    for number, name in enumerate(experiment["methods"]):
        method, first = split_method(name)
        if method not in methods:
            yield Unknown(f"experiment.methods.{number}", method, sorted(methods), "methods")
        elif first is not None and (first not in first_stages or method in first_stages):
            yield (
                f"experiment.methods.{number} is {name!r}; allowed after '+': a method of kind "
                f"first-stage ({', '.join(first_stages) or 'none is declared'}), and before it "
                "one of another kind"
            )


def _profiling_problems(config: Mapping) -> Iterator[str]:
    allowed = sets_with(config, PROFILING)
    for number, name in enumerate(config["profiling"]["sets"]):
        if name not in allowed:
            yield Unknown(f"profiling.sets.{number}", name, allowed, "sets")
    if used_selections(config) and not config["profiling"]["sets"]:
        yield (
            "profiling.sets is []; allowed: at least one set of role profiling, since methods of "
            "the experiment read selected heads"
        )


def _alignment_problems(config: Mapping) -> Iterator[str]:
    """Recipes name declared selections and sets of role alignment, methods declared recipes."""
    recipes = config["alignments"]
    allowed = sets_with(config, ALIGNMENT)
    for name, recipe in recipes.items():
        path = f"alignments.{name}"
        if recipe["selection"] not in config["selections"]:
            selections = sorted(config["selections"])
            yield Unknown(f"{path}.selection", recipe["selection"], selections, "selections")
        for number, training in enumerate(recipe["training"]):
            if training not in allowed:
                yield Unknown(f"{path}.training.{number}", training, allowed, "sets")
    yield from validation_problems(config)
    for name, method in config["methods"].items():
        recipe = method.get("adapter")
        if recipe is None:
            continue
        if recipe not in recipes:
            yield Unknown(f"methods.{name}.adapter", recipe, sorted(recipes), "alignments")
        elif method["heads"] != recipes[recipe]["selection"]:
            yield (
                f"methods.{name}.heads is {method['heads']!r}; allowed: "
                f"{recipes[recipe]['selection']!r}, the heads that adapter {recipe} is trained for"
            )


def _ablation_problems(config: Mapping) -> Iterator[str]:
    for factor, entry in config["ablations"].items():
        yield from problems(config, factor)
        recipe = config["methods"].get(entry["method"], {}).get("adapter")
        if recipe in config["alignments"] and recipe not in used_recipes(config):
            # Only used recipes' training sets are checked against the others.
            path = f"ablations.{factor}.method"
            experiment = config["experiment"]["methods"]
            yield Unknown(path, entry["method"], experiment, "experiment.methods")


def _estimate_problems(config: Mapping) -> Iterator[str]:
    assumed = config["estimate"]["models"]
    known = {**config["models"], **config["encoders"]}
    for name in assumed:
        if name not in known:
            yield Unknown(f"estimate.models.{name}", name, sorted(known), "models or encoders")
    known |= config["collections"]
    for name in config["estimate"]["downloads"]:
        if name not in known:
            path = f"estimate.downloads.{name}"
            yield Unknown(path, name, sorted(known), "models, encoders or collections")
    if assumed and config["estimate"]["source"] is None:
        yield "estimate.source is null; allowed: a sentence that says where estimate.models is from"
