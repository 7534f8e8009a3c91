"""Metadata beside each run, in the form of ir_metadata: YAML in the six parts of PRIMAD.

Source: Breuer, Keller, Schaer, "ir_metadata: An Extensible Metadata Schema for IR
Experiments", SIGIR 2022. The schema may stand as comments on top of a run; here it is a file
of its own, so that times never change the bytes of a run. The actor is left out: who ran the
experiment is for the person to add who publishes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from headrank.baselines.generation.records import load_records
from headrank.errors import HeadRankError
from headrank.io.arrays import ArrayFile
from headrank.io.files import json_sha256, read_json, sha256, utc, write_text
from headrank.io.texts import read_text
from headrank.reading.readings import cut_summary
from headrank.workflow.config.layouts import method_layout, prompt_in
from headrank.workflow.provenance.manifest import (
    alignment_prompt_digest,
    missing_queries,
    prompt_digest,
)
from headrank.workflow.provenance.process import READER_SUFFIX

SUFFIX = ".ir_metadata.yaml"
SCHEMA_VERSION = "0.1"
READER = ("headrank", "code", "git", "device", "gpu", "versions")
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


def run_metadata(
    run: str | os.PathLike,
    cell: Mapping[str, str],
    config: Mapping,
    *,
    name: str,
    queries: str | os.PathLike,
    model: str | os.PathLike | None,
    collection: str | os.PathLike,
    made_from: Mapping[str, str],
    command: str,
    host: Mapping,
    readers: Sequence[Mapping] = (),
    cut: Mapping[str, int] = MappingProxyType({}),
) -> dict:
    """Return what one run was made with, from its own files and the complete config.

    Args:
        run: the TREC run; its time of last change is the time it was made.
        name: the run's path in the working folder.
        cell: ``set``, ``model``, ``adapter``, ``order``, ``method``; ``-`` where one has no say.
        queries: ``queries.jsonl`` of the run's set.
        model: ``headrank.json`` of the model or encoder; None for methods without one.
        collection: ``collection.json`` of the set's collection.
        made_from: SHA-256 of the readings, heads and adapter's files that the run was folded from.
        command: the call that makes the run, without a path of this machine.
        host: ``git``, ``machine`` and ``packages``, as in the manifest.
        cut: by `cut_of`, summed over the run's shards.
        readers: by `reader_of`, the distinct processes that read the model. Their versions stand
            above those of ``packages``: in a conda environment the job that folds a run holds no
            torch.

    Raises:
        HeadRankError: one of the files is missing or damaged.
    """
    method = config["methods"][cell["method"].partition("+")[0]]
    sampled = config["sets"][cell["set"]]
    card = read_json(collection)
    bm25 = _is_bm25(config["collections"][sampled["collection"]], sampled["split"], card)
    analyzer = config["first_stage"].get("analyzer", "lucene-english")
    git = host["git"] or {}
    return {
        "schema version": SCHEMA_VERSION,
        "tag": cell["method"],
        "platform": {
            "hardware": {
                "cpu": {
                    "architecture": host["machine"]["architecture"],
                    "number of cores": host["machine"]["cores"],
                },
                **({"gpu": host["machine"]["gpus"]} if host["machine"]["gpus"] else {}),
                "ram": f"{host['machine']['memory_gib']} GiB",
            },
            "operating system": {"kernel": host["machine"]["platform"]},
            "software": {
                "libraries": {
                    "python": [
                        f"{package}=={version}"
                        for package, version in sorted(_libraries(host, readers))
                    ]
                }
            },
        },
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
            "executable": {"cmd": command},
            "source": {
                "lang": ["python"],
                "commit": git.get("commit"),
                "uncommitted changes": git.get("dirty"),
            },
        },
        "method": {
            "automatic": True,
            "score ties": (
                "document id, ascending"
                if bm25 or method["kind"] != "first-stage"
                else "as in the run that was given"
            ),
            **({"indexing": dict(ANALYSIS[analyzer])} if bm25 else {}),
            "retrieval": _stages(cell, config, bm25),
        },
        "data": {
            "test collection": {
                "name": sampled["collection"],
                "source": card["source"],
                "topics": f"{cell['set']}, split {sampled['split']}",
                "sha256": card["sha256"],
            },
            "training data": _training(method, config),
            "other": [] if model is None else [{"name": _model(cell, method), **read_json(model)}],
        },
        "headrank": {
            "run": name,
            "sha256": sha256(run),
            "made": utc(Path(run).stat().st_mtime),
            **cell,
            "seed": config["seed"],
            **_weights(cell, config, readers),
            "config_sha256": json_sha256(config),
            "prompt_sha256": prompt_digest(_prompt(cell, method, config)),
            **_alignment_prompt(method, config),
            "made from": dict(made_from),
            "read by": [
                {key: made[key] for key in READER if key in made and key != "versions"}
                for made in readers
            ],
            **({"documents cut": dict(cut)} if cut.get("cut") else {}),
            "missing queries": missing_queries(run, queries),
        },
    }


def _prompt(cell: Mapping, method: Mapping, config: Mapping) -> Mapping:
    """Return the prompt of a method: an attention method may read in a layout of its own."""
    if method["kind"] != "attention":
        return config["prompt"]
    return prompt_in(config, method_layout(config, cell["method"].partition("+")[0]))


def _is_bm25(collection: Mapping, split: str, card: Mapping) -> bool:
    """Return whether the candidates of a split come from BM25, not from a run made elsewhere."""
    given = collection["source"]["kind"] == "local" and "candidates.run" in card["sha256"]
    own = collection["first_stage"] == "own" or (collection["first_stage"] == "auto" and given)
    return not own and split not in collection["runs"]


def _stages(cell: Mapping, config: Mapping, bm25: bool) -> list[dict]:
    """Return the first stage, and what reranks it."""
    name, _, fused = cell["method"].partition("+")
    method = config["methods"][name]
    depth = config["first_stage"]["depth"]
    first = {"name": "bm25", **config["first_stage"]} if bm25 else {"name": "run", "depth": depth}
    if method["kind"] == "first-stage":
        return [first]
    own = {"name": cell["method"], "method": method["kind"], "reranks": first["name"]}
    own |= {key: value for key, value in method.items() if key != "kind"}
    own["candidates"] = config["candidates"]
    return [first, own | ({"fused with": fused} if fused else {})]


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


def _alignment_prompt(method: Mapping, config: Mapping) -> dict:
    """Return the digest of the prompt that a method's adapter was trained with, if it has one."""
    if "adapter" not in method:
        return {}
    return {"alignment_prompt_sha256": alignment_prompt_digest(config, method["adapter"])}


def _model(cell: Mapping, method: Mapping) -> str:
    return cell["model"] if cell["model"] != "-" else method["encoder"]


def reader_of(path: str | os.PathLike) -> dict | None:
    """Return what a reading, a record of answers or a card of a reader tells of its process.

    None for other files. Keys are those of `READER` that are known.

    Raises:
        HeadRankError: the file is damaged.
    """
    suffix = Path(path).suffix
    if suffix == ".npz":
        made = ArrayFile(path, "reading", "read again").meta.get("provenance", {})
    elif suffix == ".jsonl":
        made, _ = load_records(path)
    elif Path(path).name.endswith(READER_SUFFIX):
        made = read_json(path)
    else:
        return None
    return {key: made[key] for key in READER if key in made}


def cut_of(path: str | os.PathLike) -> dict[str, int]:
    """Return what a reading or a card of a reader tells of documents that were cut.

    ``documents`` of all lists, how many were ``cut``, and ``tokens`` and ``kept_tokens`` of
    these; nothing for other files.

    Raises:
        HeadRankError: the file is damaged.
    """
    if Path(path).suffix == ".npz":
        return cut_summary([ArrayFile(path, "reading", "read again")])
    if Path(path).name.endswith(READER_SUFFIX):
        return read_json(path).get("documents cut", {})
    return {}


def distinct(readers: Iterable[dict | None]) -> list[dict]:
    """Return the readers that differ, in order; a run of many shards had one, as a rule."""
    found: list[dict] = []
    for made in readers:
        if made is not None and made not in found:
            found.append(made)
    return found


def _libraries(host: Mapping, readers: Sequence[Mapping]) -> set[tuple[str, str]]:
    """Return packages with their versions; several of one package where readers differ."""
    read = {pair for made in readers for pair in made.get("versions", {}).items()}
    known = {package for package, _ in read}
    return read | {pair for pair in host["packages"].items() if pair[0] not in known}


def _weights(cell: Mapping, config: Mapping, readers: Sequence[Mapping]) -> dict:
    """Return dtype and device of the model that was read; nothing for methods without one.

    The device is the one that was used, where a reader tells: ``auto`` names none.
    """
    if cell["model"] == "-":
        return {}
    declared = config["models"][cell["model"]]
    used = sorted({made["device"] for made in readers if "device" in made})
    return {"dtype": declared["dtype"], "device": ", ".join(used) or declared["device"]}


def save_metadata(run: str | os.PathLike, metadata: Mapping) -> None:
    """Write the metadata beside the run, whole or not at all."""
    import yaml

    text = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=100)
    write_text(metadata_path(run), text)


def load_metadata(path: str | os.PathLike) -> dict:
    """Return the metadata of one run.

    Raises:
        HeadRankError: missing, not YAML, or without the part that names its run.
    """
    import yaml

    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise HeadRankError(f"{path}: not YAML ({error}); make it anew") from None
    if not isinstance(found, dict) or "sha256" not in found.get("headrank", {}):
        raise HeadRankError(f"{path}: not the metadata of a run; make it anew")
    return found
