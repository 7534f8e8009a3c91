"""What the report shows where the config leaves it open, and what its candidates come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from headrank.workflow.config.usage import split_method, unrecorded, used_recipes, used_selections

BM25, RUN, OWN = "bm25", "run", "own"


def shown(config: Mapping) -> dict:
    """Return the config's ``report`` with a method and panels, as far as the experiment has some.

    ``method``, whose heads are shown, is an unaligned method of selected heads: the one that an
    aligned method is trained from, else one of graded selection (HeadRank's), else the first.
    ``panels``, which are compared along the prompt, are a method of all heads, that method, and
    an aligned one. Methods that read what readings do not hold are passed over.
    """
    report, methods = dict(config["report"]), config["methods"]
    used = dict.fromkeys(split_method(name)[0] for name in config["experiment"]["methods"])
    reading = [
        name
        for name in used
        if methods[name]["kind"] == "attention" and unrecorded(config, name) is None
    ]
    aligned = [name for name in reading if "adapter" in methods[name]]
    plain = [name for name in reading if name not in aligned]
    selected = [name for name in plain if methods[name]["heads"] != "all"]
    trained = {methods[name]["heads"] for name in aligned}

    def likely(name: str) -> tuple[bool, bool]:
        heads = methods[name]["heads"]
        return heads not in trained, config["selections"][heads]["criterion"] != "graded"

    if report["method"] is None:
        report["method"] = min(selected, key=likely, default=None)
    if not report["panels"]:
        every = [name for name in plain if methods[name]["heads"] == "all"]
        report["panels"] = [*every[:1], *filter(None, [report["method"]]), *aligned[:1]]
    return report


def first_stage_of(config: Mapping, name: str, own_run: Callable[[str], bool]) -> str:
    """Return what the candidates of a set come from: ``bm25``, ``run`` or ``own``.

    Args:
        own_run: whether a collection brings candidates of its own.
    """
    entry = config["sets"][name]
    collection = config["collections"][entry["collection"]]
    if entry["split"] in collection["runs"]:
        return RUN
    if collection["first_stage"] == "own":
        return OWN
    if collection["first_stage"] == "auto" and own_run(entry["collection"]):
        return OWN
    return BM25


def told_first_stage(config: Mapping, own_run: Callable[[str], bool]) -> str:
    """Return a sentence on what the evaluated candidates come from, for the report."""
    names = config["report"]["names"]
    parts: dict[str, list[str]] = {}
    for name in config["experiment"]["sets"]:
        kind = first_stage_of(config, name, own_run)
        said = {BM25: "BM25", OWN: "the collection's own candidates"}.get(kind)
        if said is None:
            entry = config["sets"][name]
            runs = config["collections"][entry["collection"]]["runs"]
            said = f"the imported run {marked(runs[entry['split']])}"
        parts.setdefault(said, []).append(marked(names.get(name, name)))
    if len(parts) == 1:
        return f"First stage: {next(iter(parts))}."
    told = "; ".join(f"{said} ({', '.join(sets)})" for said, sets in parts.items())
    return f"First stage: {told}."


def told_models(config: Mapping) -> str:
    """Return the printed names of the models, for the report."""
    names = config["report"]["names"]
    return ", ".join(marked(names.get(name, name)) for name in config["experiment"]["models"])


def first_stage_names(config: Mapping, own_run: Callable[[str], bool]) -> dict[str, str]:
    """Return printed names of first-stage methods whose candidates are not BM25's.

    A method may be keyed ``bm25`` and yet keep the order of an imported run. Names that the
    config gives stay.
    """
    kinds = {first_stage_of(config, name, own_run) for name in config["experiment"]["sets"]}
    if kinds <= {BM25}:
        return {}
    named = "First stage" if BM25 in kinds or len(kinds) > 1 else "Imported first stage"
    return {
        name: named
        for name, method in config["methods"].items()
        if method["kind"] == "first-stage" and name not in config["report"]["names"]
    }


def other_first_stages(config: Mapping, own_run: Callable[[str], bool]) -> Iterator[str]:
    """Yield where heads or adapters learn from another first stage than they rerank."""
    reranked = {first_stage_of(config, name, own_run) for name in config["experiment"]["sets"]}
    learned = {}
    if used_selections(config):
        learned["heads are selected"] = list(config["profiling"]["sets"])
    for recipe in used_recipes(config):
        entry = config["alignments"][recipe]
        learned[f"adapter {recipe} is trained"] = [*entry["training"], entry["validation"]]
    words = {BM25: "BM25's", RUN: "an imported run's", OWN: "the collection's own"}
    for what, sets in learned.items():
        for name in sets:
            kind = first_stage_of(config, name, own_run)
            if kind not in reranked:
                entry = config["sets"][name]
                yield (
                    f"{what} on {words[kind]} candidates (set {name}), and "
                    f"{' and '.join(words[k] for k in sorted(reranked))} candidates are reranked; "
                    f"a run for collections.{entry['collection']}.runs.{entry['split']} makes them "
                    "alike"
                )


def marked(text: str) -> str:
    """Return a user's text so that reStructuredText, the language of captions, prints it as it is.

    Links, roles, directives and line breaks of a path or a name would be read otherwise.
    """
    return re.sub(r"([^\w\s./-]|_)", r"\\\1", " ".join(text.split()))
