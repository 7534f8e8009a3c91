"""What the ledger of claims takes from an experiment."""

from __future__ import annotations

from typing import Any

from headrank.errors import HeadRankError
from headrank.workflow.experiment import Experiment


def claimed_method(x: Experiment) -> str | None:
    """Return the aligned method that the paper's claims are held against; None without one."""
    aligned = (name for name in x.methods if x.declared.get(name, {}).get("adapter"))
    return x.report["claims"] or next(aligned, None)


def rivals(x: Experiment) -> dict[str, str]:
    """Return the baselines of the claimed method by kind; no controls, not its own criterion."""
    # The same criterion under another limit is no baseline of the method.
    own = x.declared[claimed_method(x)]["heads"]
    criteria = {name: made["criterion"] for name, made in x.config["selections"].items()}
    like = [name for name in criteria if criteria[name] == criteria.get(own)]
    found = {}
    for name in x.methods:
        method = x.declared.get(name, {})
        if method.get("kind") == "generative":
            found[name] = "generative"
        elif method.get("kind") != "attention" or name in x.report["controls"]:
            continue
        elif "adapter" not in method and method["heads"] not in (own, *like):
            found[name] = "decoding-free"
    return found


def dataset_of(x: Experiment, name: str) -> str:
    """Return the ir_datasets id of a set that holds all judged queries of one; else nothing."""
    entry, source = x.declared_sets[name], x.collection_of(name)["source"]
    whole = (entry["pool"], entry["take"], entry["skip"]) == ("judged", None, 0)
    if not whole or source["kind"] != "ir_datasets":
        return ""
    return source.get("splits", {}).get(entry["split"], source)["id"]


def claim_setup(x: Experiment) -> dict[str, Any] | None:
    """Return the arguments of ``headrank.report.claims.measures.Setup``."""
    if claimed_method(x) is None:
        return None
    sources = {name: x.models[name]["source"] for name in x.model_names}
    return {
        "method": claimed_method(x),
        "rivals": rivals(x),
        "beside": [
            name
            for name in x.methods
            if x.declared.get(name, {}).get("kind") in ("first-stage", "dense", "cross-encoder")
        ],
        "models": {name: source.get("repository", "") for name, source in sources.items()},
        "sets": {name: dataset_of(x, name) for name in x.sets},
        "report_set": x.report_set,
        "order": x.report_order,
        "candidates": x.config["candidates"],
        "confidence": x.config["evaluation"]["confidence"],
        "names": x.report["names"],
        "groups": x.report["groups"],
    }


def claim_cards(x: Experiment) -> dict[str, list[str]] | None:
    """Return the cards of the claimed method's adapters, by model."""
    method = claimed_method(x)
    if method is None:
        return None
    return {
        model: [x.adapter_file(model, adapter) for adapter in x.adapters_of(method)]
        for model in x.model_names
    }


def claim_heads(x: Experiment) -> dict[str, str] | None:
    """Return the heads that the claimed method reads, by model: its first seed's."""
    method = claimed_method(x)
    if method is None:
        return None
    adapter = x.adapters_of(method)[0]
    return {model: x.adapter_file(model, adapter, "heads.json") for model in x.model_names}


def followed_models(x: Experiment) -> list[str]:
    """Return the models whose middle zone is followed."""
    return x.model_names if x.report["panels"] else []


def claim_files(x: Experiment) -> list[str]:
    """Return the files of the ledger; none without a claimed method."""
    if claimed_method(x) is None:
        return []
    return [f"{x.results}/claims{end}" for end in (".csv", ".md", ".html")]


def claim_inputs(x: Experiment) -> dict[str, Any]:
    """Return everything that the ledger is computed from.

    Raises:
        HeadRankError: no method has an adapter.
    """
    if claimed_method(x) is None:
        raise HeadRankError(
            "experiment.methods names no method with an adapter, which the paper's claims are "
            "about; add one"
        )
    return {
        "per_query": f"{x.results}/evaluation/per_query.parquet",
        "middle": [f"{x.results}/studies/{m}/middle_zone.csv" for m in followed_models(x)],
        "formatting": [f"{x.results}/tables/formatting/{m}.csv" for m in x.generating_models()],
        "needed": [
            *(path for paths in claim_cards(x).values() for path in paths),
            *claim_heads(x).values(),
        ],
    }
