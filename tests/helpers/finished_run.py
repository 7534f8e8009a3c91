"""A small experiment that has run: its config, files, metadata and manifest, made by hand."""

from headrank.io.files import sha256, write_json
from headrank.workflow.provenance.manifest import Files, manifest
from headrank.workflow.provenance.process import Host, machine
from headrank.workflow.provenance.run_metadata import Shared, metadata_path, run_metadata

CONFIG = {
    "seed": 13,
    "prompt": {"document_tokens": 24},
    "models": {"tiny": {"dtype": "float32", "device": "cpu"}},
    "collections": {
        "food": {"source": {"kind": "local", "path": "f"}, "first_stage": "auto", "runs": {}}
    },
    "sets": {"exam": {"collection": "food", "split": "test"}},
    "first_stage": {"depth": 20, "k1": 0.9, "b": 0.4},
    "candidates": 2,
    "profiling": {"sets": ["heads"]},
    "alignments": {
        "own": {
            "selection": "top",
            "training": ["train"],
            "validation": "valid",
            "document_tokens": 16,
        }
    },
    "methods": {
        "core": {"kind": "attention", "heads": "core", "adapter": "own"},
        "bm25": {"kind": "first-stage"},
    },
    "evaluation": {"measures": ["nDCG@10"], "comparisons": [["core", "bm25"]]},
}
CELL = {"set": "exam", "model": "tiny", "adapter": "own-1", "order": "shuffled", "method": "core"}
RUN = "results/runs/exam/tiny/own-1/shuffled/core.run"
READING = "results/readings/exam/tiny/own-1/shuffled/0.npz"
ADAPTER = "results/adapters/tiny/own-1"
COMMAND = "snakemake --cores all --configfile config/mine.yaml"
QUERIES = "results/sets/exam/queries.jsonl"
COLLECTION = "resources/collections/food/collection.json"


def card(folder, file, name):
    """Write a card with the file's hash; return its path."""
    write_json(folder / name, {"source": {"kind": "test"}, "sha256": {file: sha256(folder / file)}})
    return f"{folder.as_posix()}/{name}"


def host(**packages):
    """Return this machine, with packages made up."""
    return Host(git=None, machine=machine(), packages=packages or {"numpy": "2"})


def described(config=CONFIG, made_from=None, *, models=None, collections=None, on=None):
    """Return the metadata of the run, as a rule: made from nothing, by a model without card."""
    collections = collections or {"food": COLLECTION}
    shared = Shared(config, COMMAND, on or host(), models or {}, collections)
    return run_metadata(shared, CELL, RUN, QUERIES, made_from or {})


def note(cards):
    """Write the manifest of what lies in results."""
    wanted = [RUN, metadata_path(RUN), f"{ADAPTER}/headrank.json"]
    files = Files(**cards, results=wanted, runs={RUN: QUERIES}, folder="results")
    write_json("results/manifest.json", manifest(CONFIG, files, host()))
