"""What the report's studies, tables and figures take from an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrank.workflow.config.ablations import settings
from headrank.workflow.config.layouts import JOINT
from headrank.workflow.config.usage import split_method, used_recipes
from headrank.workflow.experiment import Cell, Experiment


def unaligned_panels(x: Experiment) -> dict[str, dict[str, Any]]:
    """Return heads and fold of the panels' methods without an adapter."""
    return {
        name: {"heads": x.declared[name]["heads"], "fold": x.fold_of(name)}
        for name in x.report["panels"]
        if "adapter" not in x.declared[name]
    }


def counted(x: Experiment, model: str) -> dict[str, dict[str, Any]]:
    """Return selection, fold, readings and profile of each panel of selected heads, unaligned."""
    found = {}
    for name, panel in unaligned_panels(x).items():
        if panel["heads"] != "all":
            layout = x.layout_of(name)
            found[name] = {
                "selection": x.selection_of(panel["heads"]),
                "fold": panel["fold"],
                "readings": x.readings([x.report_set], model, layout=layout),
                "profile": x.profile(model, layout),
            }
    return found


def counted_files(x: Experiment, model: str, kind: str) -> list[str]:
    """Return the ``readings`` or the ``profile`` of all these panels, each once."""
    found = [panel[kind] for panel in counted(x, model).values()]
    paths = [path for part in found for path in ([part] if isinstance(part, str) else part)]
    return list(dict.fromkeys(paths))


def control_readings(x: Experiment, model: str) -> dict[str, list[str]]:
    """Return the readings of the report's method by prompt order; in a block layout the same."""
    layout = x.layout_of(x.report["method"])
    return {
        order: x.readings([x.report_set], model, order=order, layout=layout)
        for order in x.config["orders"]
    }


def flat(paths: Mapping[str, Sequence[str]]) -> list[str]:
    """Return files that are sorted by name, each once."""
    return list(dict.fromkeys(path for part in paths.values() for path in part))


def listed_readings(x: Experiment, model: str) -> list[str]:
    """Return readings that tell each document's place in the report's order."""
    layouts = [x.layout_of(name) for name in middle_methods(x, model)]
    return x.readings([x.report_set], model, layout=min(layouts, key=_joint_first))


def _joint_first(layout: str) -> bool:
    return layout != JOINT


def counted_panels(x: Experiment) -> bool:
    """Return whether a panel's method without an adapter reads selected heads."""
    return any(method["heads"] != "all" for method in unaligned_panels(x).values())


def panels(x: Experiment, model: str) -> dict[str, dict[str, Any]]:
    """Return each panel's fold, and each seed's heads and readings on the report's set."""
    return {
        name: {
            "fold": x.fold_of(name),
            "seeds": [
                {
                    "readings": x.readings(
                        [x.report_set], model, adapter, layout=x.layout_of(name)
                    ),
                    "heads": x.folded_heads(name, model, adapter),
                }
                for adapter in x.adapters_of(name)
            ],
        }
        for name in x.report["panels"]
    }


def panel_files(x: Experiment, model: str, kind: str) -> list[str]:
    """Return the ``readings`` or ``heads`` of all panels."""
    found = [seed[kind] for panel in panels(x, model).values() for seed in panel["seeds"]]
    return list(dict.fromkeys(path for paths in found for path in paths))


def unaligned(x: Experiment, name: str) -> str | None:
    """Return the experiment's method that is this aligned one without its adapter, if any."""
    method = x.declared.get(name, {})
    if "adapter" not in method:
        return None
    plain = {k: v for k, v in method.items() if k != "adapter"} | {"reselect": False}
    return next((other for other in x.methods if x.declared.get(other) == plain), None)


def middle_cells(x: Experiment, model: str) -> list[tuple[str, str]]:
    """Return method and path of the runs whose middle zone is followed."""
    return [
        (method, x.run_of((name, own, adapter, order, method)))
        for name, own, adapter, order, method in x.cells
        if (name, own, order) == (x.report_set, model, x.report_order) and "+" not in method
    ]


def middle_methods(x: Experiment, model: str) -> list[str]:
    """Return the methods whose middle zone is followed, a name a run."""
    return [method for method, _ in middle_cells(x, model)]


def middle_before(x: Experiment, model: str) -> dict[str, str]:
    """Return for each aligned method of them the one without its adapter."""
    pairs = {method: unaligned(x, method) for method in middle_methods(x, model)}
    return {method: plain for method, plain in pairs.items() if plain}


def evaluation_files(x: Experiment) -> list[str]:
    """Return the values of every run, and the tests between methods where pairs are declared."""
    names = ["per_query.parquet"]
    names += ["significance.csv"] if x.config["evaluation"]["comparisons"] else []
    return [f"{x.results}/evaluation/{name}" for name in names]


def read_sets_of(x: Experiment, model: str) -> dict[str, list[str]]:
    """Return for each set the shards of one reading that a run of it folds; no set without one.

    What is cut depends on the tokenizer and the prompt, not on adapter or order.
    """
    found: dict[str, list[str]] = {}
    folded = x.folded_methods()
    for name, own, adapter, order, method in x.cells:
        if own == model and split_method(method)[0] in folded and name not in found:
            layout = x.layout_of(method)
            found[name] = x.readings([name], model, adapter, order, layout=layout)
    return found


def cut_files(x: Experiment, models: Sequence[str]) -> list[str]:
    """Return what says how many documents of some models' lists were cut."""
    return [f"{x.results}/studies/{model}/cut.csv" for model in models if read_sets_of(x, model)]


def study_options(x: Experiment) -> dict[str, Any]:
    """Return what the studies measure."""
    return {
        "measure": x.config["evaluation"]["main"],
        "relevance_level": x.collection_of(x.report_set)["relevance_level"],
        "confidence": x.config["evaluation"]["confidence"],
        "seed": x.config["seed"],
    }


def reference_methods(x: Experiment) -> list[str]:
    """Return the methods that the learning curve is set against."""
    kinds = ("first-stage", "dense", "cross-encoder")
    return [
        name
        for name in x.methods
        if x.declared.get(name, {}).get("kind") in kinds or name == x.report["method"]
    ]


def adapter_cards(x: Experiment, model: str, methods: Sequence[str]) -> list[str]:
    """Return the cards of some methods' adapters: they tell how many queries each saw."""
    return [x.adapter_file(model, adapter) for name in methods for adapter in x.adapters_of(name)]


def adapter_tables(x: Experiment, wildcards: Any, name: str) -> list[str]:
    """Return training tables of a recipe's adapters, in the order of its seeds."""
    return [
        x.adapter_file(wildcards.model, f"{wildcards.recipe}-{seed}", f"{name}.csv")
        for seed in x.recipes[wildcards.recipe]["seeds"]
    ]


def mined_recipes(x: Experiment) -> list[str]:
    """Return the recipes that pairs are mined for: the first of those that share theirs."""
    return list(dict.fromkeys(x.mined_as[recipe] for recipe in used_recipes(x.config)))


def published_splits(x: Experiment) -> list[tuple[str, str]]:
    """Return the collections and splits with published first stages to compare ours with."""
    return [
        (name, split) for name in x.used_collections() for split in x.collections[name]["published"]
    ]


def ablated_cells(x: Experiment) -> list[Cell]:
    """Return the runs of every ablated setting, on the report's set and order."""
    methods = dict.fromkeys(setting.method for setting in settings(x.config))
    return [
        (x.report_set, model, adapter, x.report_order, method)
        for model in x.model_names
        for method in methods
        for adapter in x.adapters_of(method)
    ]


def relevance_levels(x: Experiment, names: Sequence[str]) -> Mapping[str, int]:
    """Return the least relevant grade of each set."""
    return {name: x.collection_of(name)["relevance_level"] for name in names}
