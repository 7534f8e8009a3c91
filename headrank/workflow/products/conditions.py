"""What products must have, what is said where it lacks, and what several share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headrank.workflow.config.ablations import settings
from headrank.workflow.config.layouts import selection_layout
from headrank.workflow.config.usage import used_recipes
from headrank.workflow.experiment import Experiment
from headrank.workflow.studies import cut_files, mined_recipes
from headrank.workflow.timed import benchmark_parts

# What an experiment must have: values of wildcards, or None where it lacks something.


def always(x: Experiment) -> dict[str, list[str]]:
    return {}


def models(
    condition: Callable[[Experiment], object] = lambda x: True,
) -> Callable[[Experiment], Any]:
    """Return names of every model of the experiment where a condition holds."""
    return lambda x: {"model": x.model_names} if condition(x) else None


def reads(x: Experiment) -> bool:
    return x.reads


def recipes(x: Experiment) -> dict[str, list[str]] | None:
    recipes = used_recipes(x.config)
    return {"model": x.model_names, "recipe": recipes} if recipes else None


def mined(x: Experiment) -> dict[str, list[str]] | None:
    recipes = mined_recipes(x)
    return {"model": x.model_names, "recipe": recipes} if recipes else None


def ordered(x: Experiment) -> dict[str, list[str]] | None:
    return {} if x.reads and {"reversed", "shuffled"} <= set(x.config["orders"]) else None


def compared(x: Experiment) -> dict[str, list[str]] | None:
    return {} if x.config["evaluation"]["comparisons"] else None


def several_seeds(x: Experiment) -> bool:
    return any(len(x.recipes[name]["seeds"]) > 1 for name in used_recipes(x.config))


def ablated(x: Experiment) -> bool:
    return bool(settings(x.config))


def latency_wanted(x: Experiment) -> bool:
    return x.report["latency"]


def ablations_wanted(x: Experiment) -> bool:
    return x.report["ablations"]


# What is said where it lacks it.


def no_model(x: Experiment) -> str:
    return "experiment.methods names none that reads or asks a model; add one of kind attention"


def no_recipe(x: Experiment) -> str:
    return "experiment.methods names none with an adapter; add one"


def no_panels(x: Experiment) -> str:
    return "experiment.methods names none that reads a model; add one, or name report.panels"


def no_method(x: Experiment) -> str:
    return (
        "experiment.methods names none of selected heads without an adapter; add one, or name one "
        "in report.method"
    )


def no_selected(x: Experiment) -> str:
    return (
        f"report.panels is {x.report['panels']}; name a method of selected heads without an adapter"
    )


def no_ablations(x: Experiment) -> str:
    return "ablations is {}; declare a method, a key and other values of it"


def no_seeds(x: Experiment) -> str:
    return "no adapter of the experiment has several seeds; add to alignments.NAME.seeds"


def no_generative(x: Experiment) -> str:
    known = ", ".join(x.methods_of("generative")) or "that kind to methods, and then here"
    return f"experiment.methods names no method of kind generative; add one of {known}"


def no_orders(x: Experiment) -> str:
    return f"orders is {x.config['orders']}; it needs shuffled and reversed, and a model"


# Files and options that several share.


def per_query(x: Experiment) -> str:
    return f"{x.results}/evaluation/per_query.parquet"


def study(x: Experiment, wildcards: Any, name: str) -> str:
    return f"{x.results}/studies/{wildcards.model}/{name}.csv"


def profile(x: Experiment, wildcards: Any) -> str:
    """Return the profile that the report's method takes its heads from."""
    return x.profile(wildcards.model, x.layout_of(x.report["method"]))


def profiles(x: Experiment) -> dict[str, str]:
    """Return the layout of each selection that the experiment's methods fold."""
    methods = [name for name in x.methods_of("attention") if name in x.methods]
    names = dict.fromkeys(x.declared[name]["heads"] for name in methods)
    return {name: selection_layout(x.config, name) for name in names if name != "all"}


def measure(x: Experiment) -> str:
    return x.config["evaluation"]["main"]


def confidence(x: Experiment) -> float:
    return x.config["evaluation"]["confidence"]


def names(x: Experiment) -> Mapping[str, str]:
    return x.report["names"]


def ways(x: Experiment, methods: list[str]) -> dict[str, str]:
    """Return how each method reads its adapter, as far as that tells these methods apart."""
    said = {
        name: {key: value for key, value in x.declared[name].items() if key != "adapter"}
        | {"layout": x.layout_of(name)}
        for name in methods
    }
    keys = [
        key
        for key in dict.fromkeys(key for one in said.values() for key in one)
        if len({str(one.get(key)) for one in said.values()}) > 1
    ]
    return {name: ", ".join(f"{key} {one.get(key)}" for key in keys) for name, one in said.items()}


def benchmark_inputs(x: Experiment, wildcards: Any) -> dict[str, Any]:
    return {"parts": benchmark_parts(x, wildcards.model)}


def layout(x: Experiment, orders: list[str] | None = None) -> dict[str, Any]:
    """Return the arguments of ``headrank.report.tables.cells.Layout``."""
    return {
        "sets": x.sets,
        "orders": orders or x.config["orders"],
        "methods": x.methods,
        "kinds": {name: method["kind"] for name, method in x.declared.items()},
        "controls": x.report["controls"],
        "names": x.report["names"],
        "groups": x.report["groups"],
        "rerankable": [name for name in x.sets if x.config["sets"][name]["pool"] == "rerankable"],
    }


def main_inputs(x: Experiment, wildcards: Any) -> dict[str, Any]:
    tests = [] if compared(x) is None else [f"{x.results}/evaluation/significance.csv"]
    own = getattr(wildcards, "model", None)
    return {
        "cut": cut_files(x, x.model_names if own is None else [own]),
        "per_query": per_query(x),
        "significance": tests,
        "formatting": [f"{x.results}/tables/formatting/{m}.csv" for m in x.generating_models()],
    }


def main_options(x: Experiment, wildcards: Any) -> dict[str, Any]:
    model = getattr(wildcards, "model", None)
    return {
        "layout": layout(x, None if model is None else [x.report_order]),
        "measure": measure(x),
        "marks": {"baseline": x.report["baseline"], "alpha": x.report["alpha"]},
        "notes": x.report["notes"],
        "confidence": confidence(x),
        "model": model,
        "budget": x.config["prompt"].get("document_tokens"),
    }


def of_model(x: Experiment, wildcards: Any) -> dict[str, Any]:
    """Return what a figure of one model on the report's set says that it is of."""
    return {"model": wildcards.model, "name": x.report_set, "names": names(x)}


def of(x: Experiment, wildcards: Any, order: str | None = None) -> dict[str, Any]:
    """Return the fields of the ``headrank.report.subject.Subject`` of one model."""
    return of_model(x, wildcards) | {"measure": measure(x), "order": order}


def confident(x: Experiment, wildcards: Any) -> dict[str, Any]:
    return {"confidence": confidence(x), "names": names(x)}


def tested(x: Experiment, wildcards: Any) -> dict[str, Any]:
    return {"measure": measure(x), "alpha": x.report["alpha"]}


def curves(x: Experiment, wildcards: Any) -> dict[str, Any]:
    known = x.methods_of("first-stage", "dense", "cross-encoder", "random")
    return {"references": known, "of": of(x, wildcards)}


def orders(x: Experiment) -> dict[str, Any]:
    return {
        "layout": layout(x),
        "measure": measure(x),
        "confidence": confidence(x),
        "seed": x.config["seed"],
    }
