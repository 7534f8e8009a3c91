"""What the rules of latency and benchmarks time, and with what."""

from __future__ import annotations

from typing import Any

from headrank.options.prompt import STORABLE
from headrank.report.names import STORED, label
from headrank.workflow.config.layouts import prompt_in
from headrank.workflow.config.usage import split_method
from headrank.workflow.experiment import ADAPTER_FILES, Experiment

# Differences of a few percent need more rounds than the others.
BENCHMARKS = {
    "reading-float32": ("reading", ["--dtype", "float32", "--rounds", "9"]),
    "reading-bfloat16": ("reading", ["--dtype", "bfloat16", "--rounds", "9"]),
    "apart-bfloat16": ("apart", ["--dtype", "bfloat16"]),
    "growth-float32": (
        "reading",
        ["--dtype", "float32", "--words", "50", "--growth", "10", "20", "40", "80"],
    ),
    "training-bfloat16": ("training", ["--dtype", "bfloat16"]),
    "memory-float32": ("memory", ["--dtype", "float32"]),
    "memory-bfloat16": ("memory", ["--dtype", "bfloat16"]),
    "prompting": ("prompting", []),
    "methods-float32": ("methods", ["--dtype", "float32"]),
}
"""Module and options of each part of the benchmarks."""


def plain_name(method: str) -> str:
    """Return the method that a timed one is: the same scores, its documents stored or not."""
    return method.removesuffix(STORED)


def stored_of(x: Experiment, model: str) -> dict[str, str]:
    """Return ``{timed: method}`` of what is timed behind stored documents, too."""
    return {name: plain_name(name) for name in timed_systems(x, model) if name.endswith(STORED)}


def timed_names(x: Experiment, model: str) -> dict[str, str]:
    """Return the printed names of methods, of those behind stored documents as well."""
    names = x.report["names"]
    dense = timed_methods(x, "dense")
    what = {
        name: "vectors" if name in dense else "documents" for name in stored_of(x, model).values()
    }
    return {
        f"{name}{STORED}": f"{label(name, names)}, {what[name]} stored" for name in what
    } | names


def benchmark_parts(x: Experiment, model: str) -> list[str]:
    """Return the results of every benchmark of a model."""
    return [f"{x.results}/speed/{model}/{part}.csv" for part in BENCHMARKS]


def timed_methods(x: Experiment, kind: str) -> list[str]:
    """Return the methods of a kind that the experiment evaluates, fusions by their parts.

    Those that select heads anew after alignment are left out: a ranker reads the heads that its
    adapter was trained for.
    """
    names = dict.fromkeys(part for method in x.methods for part in split_method(method) if part)
    known = [name for name in names if x.declared[name]["kind"] == kind]
    return [name for name in known if not x.declared[name].get("reselect")]


def timed_attention(x: Experiment, model: str) -> dict[str, dict[str, Any]]:
    """Return heads, adapter and fold of each attention method; the first seed's adapter."""
    timed = {}
    for name in timed_methods(x, "attention"):
        selection, adapter = x.declared[name]["heads"], x.adapters_of(name)[0]
        heads = f"{x.results}/profiles/{model}/heads/{selection}.json"
        if x.serves_both(adapter):
            heads = x.adapter_file(model, adapter, "heads.json")
        timed[name] = {
            "heads": None if selection == "all" else heads,
            "adapter": None if adapter == "none" else f"{x.results}/adapters/{model}/{adapter}",
            "fold": x.fold_of(name),
            "stored": False,
        }
        # In the other layouts a document's numbers depend on its neighbours or the query.
        if x.layout_of(name) in STORABLE:
            timed[f"{name}{STORED}"] = timed[name] | {"stored": True}
    return timed


def timed_encoders(x: Experiment) -> dict[str, dict[str, Any]]:
    """Return the weights of each dense method and cross-encoder."""
    names = [*timed_methods(x, "dense"), *timed_methods(x, "cross-encoder")]
    timed = {}
    for name in names:
        encoder = x.declared[name]["encoder"]
        timed[name] = {
            "path": f"resources/models/{encoder}",
            "max_tokens": x.config["encoders"][encoder]["max_tokens"],
            "cross": x.declared[name]["kind"] == "cross-encoder",
            "stored": False,
        }
        if not timed[name]["cross"]:
            timed[f"{name}{STORED}"] = timed[name] | {"stored": True}
    return timed


def timed_generative(x: Experiment) -> dict[str, dict[str, Any]]:
    """Return the settings of each generative method, and of protocols that are only timed."""
    timed = {name: x.protocol_of(name) for name in timed_methods(x, "generative")}
    known = {*timed, *(settings["protocol"] for settings in timed.values())}
    latency = x.config["latency"]
    windows = {key: latency[key] for key in ("window", "stride")}
    for protocol in latency["generative"]:
        if protocol not in known:
            timed[protocol] = {"protocol": protocol} | (windows if protocol == "listwise" else {})
    return timed


def timed_systems(x: Experiment, model: str) -> dict[str, dict[str, Any]]:
    """Return every method that is timed on a model: its kind, prompt, and what it is made from."""
    return {
        name: {"kind": kind, "prompt": prompt_in(x.config, x.layout_of(plain_name(name))), **how}
        for kind, found in (
            ("attention", timed_attention(x, model)),
            ("encoder", timed_encoders(x)),
            ("generative", timed_generative(x)),
        )
        for name, how in found.items()
    }


def timed_files(x: Experiment, model: str) -> list[str]:
    """Return the files that a model's timed methods load, each once."""
    files: list[str] = []
    for system in timed_systems(x, model).values():
        if system["kind"] == "encoder":
            files += x.part_of(system["path"], "headrank.json")
        elif system["kind"] == "attention":
            folder = system["adapter"]
            files += [system["heads"]] if system["heads"] else []
            files += [f"{folder}/{name}" for name in ADAPTER_FILES if folder]
    return list(dict.fromkeys(files))


def report_index(x: Experiment) -> list[str]:
    """Return the index of the report's collection; none if its first stage was made elsewhere."""
    entry = x.declared_sets[x.report_set]
    imported = x.imported(entry["collection"], entry["split"])
    return [] if imported else x.index_files(entry["collection"])


def latency_files(x: Experiment, model: str) -> list[str]:
    """Return the costs of a model's methods and of a first stage that is ours."""
    files = [f"{x.results}/latency/{model}.csv"] if timed_systems(x, model) else []
    if report_index(x) and timed_methods(x, "first-stage"):
        files.append(f"{x.results}/latency/first-stage.csv")
    return files
