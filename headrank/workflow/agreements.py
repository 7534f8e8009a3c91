"""Which methods of an experiment are one method in two layouts, and which of their runs compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrank.workflow.config.layouts import JOINT
from headrank.workflow.experiment import Experiment


def twins(x: Experiment) -> list[tuple[str, str]]:
    """Return joint methods of the experiment, each with the same one in a block layout.

    Both fold alike, heads of selections that differ in the layout alone. Of aligned methods both
    have adapters of the same training: sets, queries, options and seeds.
    """
    attention = [name for name in x.methods if x.declared.get(name, {}).get("kind") == "attention"]
    joint = [name for name in attention if x.layout_of(name) == JOINT]
    return [
        (one, other)
        for one in joint
        for other in attention
        if other not in joint and _made(x, one) == _made(x, other)
    ]


def _made(x: Experiment, name: str) -> tuple:
    """Return what a method is made of, but for its layout."""
    method = x.declared[name]
    selection = None if method["heads"] == "all" else x.selection_of(method["heads"])
    recipe = x.recipes.get(method.get("adapter"), {})
    trained = {key: recipe[key] for key in recipe if key not in ("selection", "layout")}
    return x.fold_of(name), selection, trained, method["reselect"]


def agreement_runs(x: Experiment, model: str) -> list[str]:
    """Return the runs of all pairs."""
    return list(dict.fromkeys(path for _, files in _pairs(x, model) for path in files))


def agreement_pairs(x: Experiment, model: str) -> list[dict[str, Any]]:
    """Return the pairs that are compared, one a training seed, as ``tabulate_agreement`` has them.

    Each joint method is also compared with itself in another order of the prompt, for scale.
    """
    place = {path: number for number, path in enumerate(agreement_runs(x, model))}
    return [told | {"files": [place[path] for path in files]} for told, files in _pairs(x, model)]


def _pairs(x: Experiment, model: str) -> Iterator[tuple[dict[str, str], tuple[str, str]]]:
    """Yield what a pair is called, and its runs."""
    shown = x.report_order
    other_orders = [order for order in x.config["orders"] if order != shown][:1]
    for name in x.sets:
        for joint, block in twins(x):
            told = {"set": name, "first": joint, "first_order": shown}
            own = x.adapters_of(joint)
            runs = [x.run_of((name, model, adapter, shown, joint)) for adapter in own]
            for run, adapter in zip(runs, x.adapters_of(block), strict=True):
                apart = x.run_of((name, model, adapter, shown, block))
                yield told | {"second": block, "second_order": ""}, (run, apart)
            for order in other_orders:
                for run, adapter in zip(runs, own, strict=True):
                    again = x.run_of((name, model, adapter, order, joint))
                    yield told | {"second": joint, "second_order": order}, (run, again)
