"""The workflow's configuration, checked as a whole before any job starts.

Pure functions over the config as a dict. Nothing here imports more than the standard
library, Snakemake's own dependency ``jsonschema`` and the exception: the check also runs
where only Snakemake is installed (jobs then bring their own environments).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrank.declared import (
    archive_problems,
    group_problems,
    part_problems,
    shard_problems,
    split_problems,
)
from headrank.errors import HeadRankError
from headrank.grid import split_method, used_recipes, used_selections
from headrank.promptconfig import prompt_problems
from headrank.roles import ALIGNMENT, PROFILING, set_problems, sets_with, validation_problems
from headrank.schema import choice, fill, schema_problems
from headrank.variants import expand, problems

# Aggregations that take a logarithm, which a calibrated (maybe negative) mass has not.
_LOGARITHMIC = ("log-sum", "mean-log-share")
ENCODED = ("dense", "cross-encoder")
"""Kinds of methods that an encoder ranks by."""
LISTWISE = {"window": 20, "stride": 10, "thinking": False, "thinking_tokens": 2048, "batch": 1}
"""What only the listwise protocol of a generative method has, with its defaults."""


def configure(config: dict, schema: Mapping) -> None:
    """Fill the config's defaults in place, add the ablated settings, and check it.

    Args:
        config: as read from YAML.
        schema: the JSON Schema of ``workflow/schemas``.

    Raises:
        HeadRankError: lists every error as ``key is value; allowed: ...``.
    """
    fill(config, schema, schema)
    found = list(schema_problems(config, schema))
    if not found:
        # What is derived, and cross checks, need keys and types of the right form.
        expand(config)
        found = list(schema_problems(config, schema)) or list(cross_problems(config))
    if found:
        count = "1 error" if len(found) == 1 else f"{len(found)} errors"
        raise HeadRankError("\n".join([f"the config has {count}:", *found]))


def cross_problems(config: Mapping) -> Iterator[str]:
    """Yield what is wrong between the parts of a config that has the right form."""
    yield from part_problems(config)
    yield from archive_problems(config)
    yield from split_problems(config)
    yield from set_problems(config)
    yield from shard_problems(config)
    yield from prompt_problems(config)
    yield from _method_problems(config)
    yield from _experiment_problems(config)
    yield from _profiling_problems(config)
    yield from _alignment_problems(config)
    yield from _evaluation_problems(config)
    yield from _ablation_problems(config)
    yield from _latency_problems(config)
    yield from _report_problems(config)
    yield from group_problems(config)
    yield from _estimate_problems(config)


def _method_problems(config: Mapping) -> Iterator[str]:
    for name, method in config["methods"].items():
        path = f"methods.{name}"
        if method["kind"] in ENCODED and method["encoder"] not in config["encoders"]:
            yield choice(f"{path}.encoder", method["encoder"], sorted(config["encoders"]))
        if method["kind"] == "generative":
            yield from _protocol_problems(path, method)
            for number, order in enumerate(method["orders"] or ()):
                if order not in config["orders"]:
                    yield choice(f"{path}.orders.{number}", order, config["orders"])
        if method["kind"] != "attention":
            continue
        if method["heads"] not in ("all", *config["selections"]):
            yield choice(f"{path}.heads", method["heads"], ["all", *sorted(config["selections"])])
        yield from _fold_problems(path, method)
        if method["calibrate"] and not config["reading"]["calibrate"]:
            yield f"{path}.calibrate is true; allowed: false, since reading.calibrate is false"
        chosen = method["heads"] != "all" and not method["truncated"]
        if method["outliers"] and chosen and config["reading"]["tokens"] != "all":
            yield (
                f"{path}.outliers is true for chosen heads; allowed: false, since reading.tokens "
                "is 'none' (set it to 'all', or truncated: true, which reads for itself)"
            )
    if "all" in config["selections"]:
        yield "selections.all has a name that stands for every head; choose another"


def _protocol_problems(path: str, method: Mapping) -> Iterator[str]:
    """Settings of listwise mean nothing to a protocol that writes no answer."""
    if method["protocol"] != "listwise":
        for key, default in LISTWISE.items():
            if method[key] != default:
                yield (
                    f"{path}.{key} is {method[key]!r}; allowed: nothing, since "
                    f"{path}.protocol is {method['protocol']!r} (only listwise has it)"
                )
    elif method["stride"] > method["window"]:
        yield (
            f"{path}.stride is {method['stride']}; allowed: at most {path}.window, "
            f"{method['window']} (documents between windows would never be ranked)"
        )


def _fold_problems(path: str, method: Mapping) -> Iterator[str]:
    """The library's rules for a fold (headrank.methods.Fold), told before any job."""
    aggregation = method["aggregation"]
    if method["outliers"] and not method["calibrate"]:
        yield f"{path}.outliers is true; allowed: false, since {path}.calibrate is false"
    if method["calibrate"] and aggregation in _LOGARITHMIC:
        yield (
            f"{path}.aggregation is {aggregation!r}; allowed with calibrate: sum, mean-z "
            "(calibrated masses can be negative and have no logarithm)"
        )
    if method["outliers"] and aggregation not in ("sum", *_LOGARITHMIC):
        yield f"{path}.aggregation is {aggregation!r}; allowed with outliers: sum"


def _experiment_problems(config: Mapping) -> Iterator[str]:
    experiment, methods, sets = config["experiment"], config["methods"], config["sets"]
    for number, name in enumerate(experiment["models"]):
        if name not in config["models"]:
            yield choice(f"experiment.models.{number}", name, sorted(config["models"]))
    evaluation = sets_with(config, ("evaluation",))
    for number, name in enumerate(experiment["sets"]):
        if name not in sets:
            yield choice(f"experiment.sets.{number}", name, evaluation)
        elif name not in evaluation:
            yield (
                f"experiment.sets.{number} is {name!r}, a set for {sets[name]['role']}; "
                f"allowed: {', '.join(evaluation)}"
            )
    first_stages = sorted(n for n, method in methods.items() if method["kind"] == "first-stage")
    for number, name in enumerate(experiment["methods"]):
        method, first = split_method(name)
        if method not in methods:
            yield choice(f"experiment.methods.{number}", method, sorted(methods))
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
            yield choice(f"profiling.sets.{number}", name, allowed)
    if used_selections(config) and not config["profiling"]["sets"]:
        yield (
            "profiling.sets is []; allowed: at least one set of role profiling, since methods of "
            "the experiment read selected heads"
        )
    for name, selection in config["selections"].items():
        layers = selection["layers"]
        if layers is not None and layers[0] > layers[1]:
            yield f"selections.{name}.layers is {layers}; allowed: [first, last] with first <= last"


def _alignment_problems(config: Mapping) -> Iterator[str]:
    """Recipes name declared selections and sets of role alignment, methods declared recipes."""
    recipes = config["alignments"]
    allowed = sets_with(config, ALIGNMENT)
    for name, recipe in recipes.items():
        path = f"alignments.{name}"
        if recipe["selection"] not in config["selections"]:
            yield choice(f"{path}.selection", recipe["selection"], sorted(config["selections"]))
        for number, training in enumerate(recipe["training"]):
            if training not in allowed:
                yield choice(f"{path}.training.{number}", training, allowed)
    yield from validation_problems(config)
    for name, method in config["methods"].items():
        recipe = method.get("adapter")
        if recipe is None:
            if method.get("reselect"):
                yield f"methods.{name}.reselect is true; allowed: false, since it has no adapter"
            continue
        if recipe not in recipes:
            yield choice(f"methods.{name}.adapter", recipe, sorted(recipes))
        elif method["heads"] != recipes[recipe]["selection"]:
            yield (
                f"methods.{name}.heads is {method['heads']!r}; allowed: "
                f"{recipes[recipe]['selection']!r}, the heads that adapter {recipe} is trained for"
            )
        if method["calibrate"]:
            yield (
                f"methods.{name}.calibrate is true; allowed: false, since readings with an adapter "
                "hold the query's attention alone"
            )
        if method["reselect"] and method["truncated"]:
            yield (
                f"methods.{name}.truncated is true; allowed: false with reselect, since such a "
                "prefill reads the heads that the adapter was trained for"
            )


def _evaluation_problems(config: Mapping) -> Iterator[str]:
    evaluation, methods = config["evaluation"], config["experiment"]["methods"]
    if evaluation["main"] not in evaluation["measures"]:
        yield choice("evaluation.main", evaluation["main"], evaluation["measures"])
    for number, order in enumerate(evaluation["orders"]):
        if order not in config["orders"]:
            yield choice(f"evaluation.orders.{number}", order, config["orders"])
    for number, pair in enumerate(evaluation["comparisons"]):
        for name in pair:
            if name not in methods:
                yield choice(f"evaluation.comparisons.{number}", name, methods)
                continue
            base = split_method(name)[0]
            asked = config["methods"].get(base, {}).get("orders") or config["orders"]
            absent = [order for order in evaluation["orders"] if order not in asked]
            if absent:
                yield (
                    f"evaluation.comparisons.{number} names {name}, which has no run in order "
                    f"{absent[0]} of evaluation.orders; allowed: methods whose orders hold it "
                    f"(methods.{base}.orders)"
                )


def _report_problems(config: Mapping) -> Iterator[str]:
    report, experiment, methods = config["report"], config["experiment"], config["methods"]
    if report["set"] not in (None, *experiment["sets"]):
        yield choice("report.set", report["set"], experiment["sets"])
    if report["baseline"] not in (None, *experiment["methods"]):
        yield choice("report.baseline", report["baseline"], experiment["methods"])
    for number, name in enumerate(report["controls"]):
        if name not in experiment["methods"]:
            yield choice(f"report.controls.{number}", name, experiment["methods"])
    aligned = [name for name in experiment["methods"] if methods.get(name, {}).get("adapter")]
    if report["claims"] not in (None, *aligned):
        yield choice("report.claims", report["claims"], aligned)
    for number, name in enumerate(report["learning_curve"]):
        if name not in aligned:
            yield choice(f"report.learning_curve.{number}", name, aligned)
    if report["ablations"] and not config["ablations"]:
        yield "report.ablations is true; allowed: false, since ablations is {} (or declare some)"
    attention = sorted(name for name, entry in methods.items() if entry["kind"] == "attention")
    selected = [name for name in attention if methods[name]["heads"] != "all"]
    if report["method"] not in (None, *selected):
        yield choice("report.method", report["method"], selected)
    for number, name in enumerate(report["panels"]):
        if name not in attention:
            yield choice(f"report.panels.{number}", name, attention)
    shown = {report["method"], *report["panels"]} & set(selected)
    if shown and not config["profiling"]["sets"]:
        yield (
            "profiling.sets is []; allowed: at least one set of role profiling, since the report "
            f"shows the heads of {', '.join(sorted(shown))}"
        )


def _ablation_problems(config: Mapping) -> Iterator[str]:
    for factor, entry in config["ablations"].items():
        yield from problems(config, factor)
        recipe = config["methods"].get(entry["method"], {}).get("adapter")
        if recipe in config["alignments"] and recipe not in used_recipes(config):
            yield (
                f"ablations.{factor}.method is {entry['method']!r}; allowed: an aligned method of "
                "experiment.methods, whose training sets are checked against the others"
            )


def _latency_problems(config: Mapping) -> Iterator[str]:
    latency = config["latency"]
    if latency["stride"] > latency["window"]:
        yield (
            f"latency.stride is {latency['stride']}; allowed: at most latency.window, "
            f"{latency['window']} (documents between windows would never be ranked)"
        )


def _estimate_problems(config: Mapping) -> Iterator[str]:
    assumed = config["estimate"]["models"]
    known = {**config["models"], **config["encoders"]}
    for name in assumed:
        if name not in known:
            yield choice(f"estimate.models.{name}", name, sorted(known))
    known |= config["collections"]
    for name in config["estimate"]["downloads"]:
        if name not in known:
            yield choice(f"estimate.downloads.{name}", name, sorted(known))
    if assumed and config["estimate"]["source"] is None:
        yield "estimate.source is null; allowed: a sentence that says where estimate.models is from"
