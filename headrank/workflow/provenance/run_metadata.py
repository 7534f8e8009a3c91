"""Metadata beside each run, in the form of ir_metadata: YAML in the six parts of PRIMAD.

Source: Breuer, Keller, Schaer, "ir_metadata: An Extensible Metadata Schema for IR
Experiments", SIGIR 2022. The schema may stand as comments on top of a run; here it is a file
of its own, so that times never change the bytes of a run. The actor is left out: who ran the
experiment is for the person to add who publishes it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from headrank.collections.layout import CANDIDATES
from headrank.errors import HeadRankError
from headrank.io.files import json_sha256, read_json, sha256, utc, write_text
from headrank.io.texts import read_text
from headrank.workflow.config.layouts import method_layout, prompt_in
from headrank.workflow.config.shown import BM25, first_stage_of
from headrank.workflow.config.usage import split_method
from headrank.workflow.provenance.manifest import (
    alignment_prompt_digest,
    missing_queries,
    prompt_digest,
)
from headrank.workflow.provenance.process import Host
from headrank.workflow.provenance.readers import Part, distinct

SUFFIX = ".ir_metadata.yaml"
SCHEMA_VERSION = "0.1"
# How headrank.first_stage.lucene_analyzer turns text into terms, by the analyser's name.
ANALYSIS = {
    "lucene-english": {
        "tokenizer": "words of UAX#29, lower case, without possessives",
        "stemmer": "Porter",
        "stopwords": "33 English words (Lucene)",
    },
    "unicode": {"tokenizer": "words of UAX#29, lower case", "stemmer": "none", "stopwords": "none"},
}


def metadata_path(run: str | os.PathLike) -> str:
    """Return where the metadata of a run stands."""
    return f"{Path(run).as_posix().removesuffix('.run')}{SUFFIX}"


@dataclass(frozen=True)
class Shared:
    """What the metadata of all runs of an experiment tell alike.

    Attributes:
        config: complete, with its defaults filled in.
        command: the call that makes the runs, without a path of this machine.
        host: of the process that describes them.
        models: ``{model or encoder: its headrank.json}``.
        collections: ``{collection: its collection.json}``.
        root: the folder that names of runs count from.
    """

    config: Mapping
    command: str
    host: Host
    models: Mapping[str, str | os.PathLike]
    collections: Mapping[str, str | os.PathLike]
    root: str | os.PathLike = "."


def run_metadata(
    shared: Shared,
    cell: Mapping[str, str],
    run: str,
    queries: str | os.PathLike,
    made_from: Mapping[str, Part],
) -> dict:
    """Return what one run was made with, from its own files and the complete config.

    Args:
        cell: ``set``, ``model``, ``adapter``, ``order``, ``method``; ``-`` where one has no say.
        run: the TREC run's name; its time of last change is the time it was made.
        queries: ``queries.jsonl`` of the run's set.
        made_from: the readings, heads and adapter's files that the run was folded from.

    Raises:
        HeadRankError: one of the files is missing or damaged.
    """
    config, (name, _) = shared.config, split_method(cell["method"])
    method, sampled = config["methods"][name], config["sets"][cell["set"]]
    card = read_json(shared.collections[sampled["collection"]])
    local = config["collections"][sampled["collection"]]["source"]["kind"] == "local"
    own = local and CANDIDATES in card["sha256"]
    bm25 = first_stage_of(config, cell["set"], lambda collection: own) == BM25
    readers = distinct(part.reader for part in made_from.values())
    return {
        "schema version": SCHEMA_VERSION,
        "tag": cell["method"],
        "platform": _platform(shared.host, readers),
        "research goal": {
            "evaluation": [
                {
                    "reported measures": list(config["evaluation"]["measures"]),
                    "baseline": sorted({pair[1] for pair in config["evaluation"]["comparisons"]}),
                    "significance test": [
                        {"name": "paired permutation test", "correction method": "Holm"}
                    ],
                }
            ]
        },
        "implementation": {
            "executable": {"cmd": shared.command},
            "source": {
                "lang": ["python"],
                "commit": (shared.host.git or {}).get("commit"),
                "uncommitted changes": (shared.host.git or {}).get("dirty"),
            },
        },
        "method": _method(config, cell["method"], bm25),
        "data": {
            "test collection": {
                "name": sampled["collection"],
                "source": card["source"],
                "topics": f"{cell['set']}, split {sampled['split']}",
                "sha256": card["sha256"],
            },
            "training data": _training(method, config),
            "other": [
                {"name": model, **read_json(shared.models[model])}
                for model in (cell["model"], method.get("encoder"))
                if model in shared.models
            ],
        },
        "headrank": {
            "run": run,
            "sha256": sha256(Path(shared.root, run)),
            "made": utc(Path(shared.root, run).stat().st_mtime),
            **cell,
            "seed": config["seed"],
            **_weights(cell["model"], config, readers),
            "config_sha256": json_sha256(config),
            **_prompts(name, config),
            "made from": {path: part.sha256 for path, part in made_from.items()},
            "read by": [{k: v for k, v in made.items() if k != "versions"} for made in readers],
            **_cut(made_from.values()),
            "missing queries": missing_queries(Path(shared.root, run), queries),
        },
    }


def _platform(host: Host, readers: Sequence[Mapping]) -> dict:
    """Return machine and packages; those of the readers stand above those of the host.

    In a conda environment the job that folds a run holds no torch. Where readers differ, a
    package has several versions.
    """
    read = {pair for made in readers for pair in made.get("versions", {}).items()}
    known = {package for package, _ in read}
    libraries = read | {pair for pair in host.packages.items() if pair[0] not in known}
    machine = host.machine
    return {
        "hardware": {
            "cpu": {
                "architecture": machine["architecture"],
                "number of cores": machine["cores"],
            },
            **({"gpu": machine["gpus"]} if machine["gpus"] else {}),
            "ram": f"{machine['memory_gib']} GiB",
        },
        "operating system": {"kernel": machine["platform"]},
        "software": {
            "libraries": {"python": [f"{name}=={version}" for name, version in sorted(libraries)]}
        },
    }


def _method(config: Mapping, tag: str, bm25: bool) -> dict:
    """Return the first stage, and what reranks it."""
    name, fused = split_method(tag)
    stage, method = config["first_stage"], config["methods"][name]
    ties, reranks = "document id, ascending", method["kind"] != "first-stage"
    first = {"name": "bm25", **stage} if bm25 else {"name": "run", "depth": stage["depth"]}
    own = {
        "name": tag,
        "method": method["kind"],
        "reranks": first["name"],
        **{key: value for key, value in method.items() if key != "kind"},
        "candidates": config["candidates"],
        **({"fused with": fused} if fused else {}),
    }
    analysis = ANALYSIS[stage.get("analyzer", "lucene-english")]
    return {
        "automatic": True,
        "score ties": ties if bm25 or reranks else "as in the run that was given",
        **({"indexing": dict(analysis)} if bm25 else {}),
        "retrieval": [first, own] if reranks else [first],
    }


def _training(method: Mapping, config: Mapping) -> list[dict]:
    """Return the sets that heads were selected and an adapter was trained on."""
    found = []
    if method.get("heads", "all") != "all":
        found += [{"name": name, "use": "head selection"} for name in config["profiling"]["sets"]]
    if "adapter" in method:
        recipe = config["alignments"][method["adapter"]]
        found += [{"name": name, "use": "alignment"} for name in recipe["training"]]
        found.append({"name": recipe["validation"], "use": "validation"})
    return found


def _weights(model: str, config: Mapping, readers: Sequence[Mapping]) -> dict:
    """Return dtype and device of the model that was read; nothing for methods without one.

    The device is the one that was used, where a reader tells: ``auto`` names none.
    """
    if model == "-":
        return {}
    declared = config["models"][model]
    used = sorted({made["device"] for made in readers if "device" in made})
    return {"dtype": declared["dtype"], "device": ", ".join(used) or declared["device"]}


def _prompts(name: str, config: Mapping) -> dict:
    """Return the digests of a method's prompt and, if it has an adapter, of the training's.

    An attention method may read in a layout of its own.
    """
    method, prompt = config["methods"][name], config["prompt"]
    if method["kind"] == "attention":
        prompt = prompt_in(config, method_layout(config, name))
    found = {"prompt_sha256": prompt_digest(prompt)}
    if "adapter" in method:
        found["alignment_prompt_sha256"] = alignment_prompt_digest(config, method["adapter"])
    return found


def _cut(parts: Iterable[Part]) -> dict:
    """Return how many documents were cut in all shards; nothing if none was."""
    cut = sum((Counter(part.cut) for part in parts), Counter())
    return {"documents cut": dict(cut)} if cut["cut"] else {}


def save_metadata(run: str | os.PathLike, metadata: Mapping) -> None:
    """Write the metadata beside the run, whole or not at all."""
    text = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=100)
    write_text(metadata_path(run), text)


def load_metadata(path: str | os.PathLike) -> dict:
    """Return the metadata of one run.

    Raises:
        HeadRankError: missing, not YAML, or without the part that names its run.
    """
    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise HeadRankError(f"{path}: not YAML ({error}); make it anew") from None
    if not isinstance(found, dict) or "sha256" not in found.get("headrank", {}):
        raise HeadRankError(f"{path}: not the metadata of a run; make it anew")
    return found
